"""Renders that are asked for and made at once, with time that moves when told."""

import threading
from datetime import UTC, datetime, timedelta

import pytest

from app.actions.style.cancel import CancelStyle
from app.actions.style.claim import ClaimStyle
from app.actions.style.events import StyleEventsAfter
from app.actions.style.find import FindStyle, OpenStyle
from app.actions.style.remove import RemoveStyle
from app.actions.style.resume import ResumeStyle
from app.actions.style.run import RunStyle
from app.actions.style.submit import Submission, SubmitStyle
from app.actions.style.tidy import TidyStyles
from app.domain.key import Key
from app.store.memory.store import MemoryStore

KEPT = timedelta(days=1)


class Time:
    """The database's time, and ticks; both move together."""

    def __init__(self):
        self.now, self.ticks = datetime(2030, 1, 1, 12, tzinfo=UTC), 0.0

    def move(self, seconds):
        self.now += timedelta(seconds=seconds)
        self.ticks += seconds


@pytest.fixture
def time():
    return Time()


@pytest.fixture
def store(time) -> MemoryStore:
    store = MemoryStore()
    store.time = lambda: time.now
    return store


@pytest.fixture
def key():
    def make(id_="k1", *scopes):
        return Key(id_, id_, frozenset(scopes or ("style",)), datetime(2030, 1, 1, tzinfo=UTC), bytes(32))

    return make


@pytest.fixture
def mine(key):
    return key()


@pytest.fixture
def submit(store, style_files, renderer, identifiers) -> SubmitStyle:
    return SubmitStyle(store, style_files, renderer, identifiers, KEPT, 5)


@pytest.fixture
def asked(submit):
    """Asks for a render."""

    def ask(content=b"content", styles=(b"style",), owner="k1", person_id=None, **options):
        return submit(Submission(content, styles, options, person_id), owner)

    return ask


@pytest.fixture
def claim(store, style_files) -> ClaimStyle:
    return ClaimStyle(store, style_files)


@pytest.fixture
def reports():
    return []


@pytest.fixture
def told():
    return lambda error: (type(error).__name__, error.detail, {})


@pytest.fixture
def run(store, style_files, renderer, told, reports, time):
    """Works on a render; each step takes a second."""
    work = RunStyle(
        store, style_files, renderer, told, KEPT, reports.append, ticks=lambda: time.ticks, pause=lambda seconds: None
    )

    def begin(job, stop=None):
        before = renderer.before_step

        def step(number):
            time.move(1)
            before(number)

        renderer.before_step = step
        try:
            work(job, stop or threading.Event())
        finally:
            renderer.before_step = before

    return begin


@pytest.fixture
def find(store, mine):
    return lambda job_id, by=mine: FindStyle(store)(job_id, by)


@pytest.fixture
def events(store, mine):
    return lambda job_id, **more: StyleEventsAfter(store)(job_id, mine, **more)


@pytest.fixture
def cancel(store, mine):
    return lambda job_id, by=mine: CancelStyle(store, KEPT)(job_id, by)


@pytest.fixture
def remove(store, style_files, mine):
    return lambda job_id, by=mine: RemoveStyle(store, style_files)(job_id, by)


@pytest.fixture
def resume(store, style_files, submit, mine):
    return lambda job_id, steps, by=mine: ResumeStyle(store, style_files, submit)(job_id, by, steps)


@pytest.fixture
def read(store, style_files, mine):
    """The content of the result, or of the preview, and what is told of it."""

    def bytes_of(job_id, what="output"):
        found = OpenStyle(store, style_files)(job_id, mine, what)
        with found.file:
            return found.file.read(), found.facts

    return bytes_of


@pytest.fixture
def tidy(store, style_files, reports) -> TidyStyles:
    return TidyStyles(store, style_files, KEPT, reports.append)


@pytest.fixture
def whole(asked, claim, run, read, find):
    """What an uninterrupted render with these options makes."""

    def make(**options):
        job = asked(**options)
        run(claim())
        assert find(job.id).job.status == "succeeded"
        return read(job.id)[0]

    return make
