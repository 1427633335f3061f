import threading
from datetime import timedelta

import pytest

from app.actions.style.claim import ClaimStyle
from app.actions.style.run import RunStyle
from app.actions.style.submit import Submission, SubmitStyle
from app.actions.style.tidy import TidyStyles
from app.worker.loop import JobLoop
from app.worker.style_work import StyleWork

KEPT = timedelta(days=1)


@pytest.fixture
def work(store, style_files, renderer):
    told = lambda error: ("code", str(error), {})  # noqa: E731
    run = RunStyle(store, style_files, renderer, told, KEPT, print)
    return StyleWork(ClaimStyle(store, style_files), run, TidyStyles(store, style_files, KEPT, print))


@pytest.fixture
def ask(store, style_files, renderer, identifiers):
    submit = SubmitStyle(store, style_files, renderer, identifiers, KEPT, 10)
    return lambda **options: submit(Submission(b"content", [b"style"], options), "k1").id


def statuses(store):
    with store.read() as uow:
        return [job.status for job in uow.style_jobs.page(owner=None, status=None, before=None, limit=20)]


def wait_for(condition):
    again = threading.Event()
    for _ in range(500):
        if condition():
            return True
        again.wait(0.01)
    return False


def test_two_loops_make_every_render_once(work, ask, store, renderer):
    ids = [ask(seed=seed) for seed in range(8)]
    loops = [JobLoop(work, name="renders", may_begin=lambda: True, report=print, poll_s=0.01) for _ in range(2)]
    for loop in loops:
        loop.start()
    assert wait_for(lambda: statuses(store) == ["succeeded"] * 8)
    for loop in loops:
        loop.stop()
    assert all(loop.join(5) for loop in loops)
    assert len(renderer.states) == len(ids)


def test_a_loop_that_stops_gives_the_render_back_and_another_ends_it(work, ask, store, renderer):
    ask(steps=3)
    begun, go = threading.Event(), threading.Event()

    def hold(step):
        begun.set()
        go.wait(5)

    renderer.before_step = hold
    loop = JobLoop(work, name="renders", may_begin=lambda: True, report=print, poll_s=0.01)
    loop.start()
    assert begun.wait(5)
    loop.stop()
    go.set()
    assert loop.join(5)
    assert statuses(store) == ["queued"]
    again = JobLoop(work, name="renders", may_begin=lambda: True, report=print, poll_s=0.01)
    again.start()
    assert wait_for(lambda: statuses(store) == ["succeeded"])
    again.stop()
    assert again.join(5)
    assert renderer.states[1] is not None


def test_sweeps_nothing_and_tidies_up(work, ask, style_files):
    ask()
    work.sweep()
    work.tidy()
    assert len(style_files.held()) == 1
    assert work.waits() == [style_files.home]
