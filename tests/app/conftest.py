"""A whole service in memory: scripted pictures, a clock that stands still, and requests without a network."""

import asyncio
import hashlib
import itertools
import json
import math
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import httpx
import numpy as np
import pytest

from app.actions.enroll import Enroll, Enrolment
from app.assembly.parts import Parts
from app.domain.face import Face, Quality, Reading, ReadingTimes
from app.domain.likelihood import Likelihood, Trial
from app.domain.model import Served
from app.domain.operating_point import Calibration, OperatingPoint
from app.domain.person import Person
from app.domain.style_job import OtherState
from app.errors import InvalidOption, TooLarge, UnreadableImage
from app.index.exact import ExactIndex
from app.index.follow import FollowedGallery
from app.main import create_app
from app.ports import Checked, Rendered
from app.routes.desk import About
from app.routes.log import make_log
from app.settings import Settings
from app.store.files.style_files import FileStyleFiles
from app.store.memory.store import MemoryStore
from app.store.vault.ring import MasterRing
from app.store.vault.vault import Vault
from tests.acceptance.style_storm.renderer import ChainRenderer

MODEL = "model-a"
LANDMARKS = ((10.0, 10.0), (30.0, 10.0), (20.0, 20.0), (12.0, 30.0), (28.0, 30.0))


class ScriptedReader:
    """Knows the pictures it was shown beforehand; any other bytes are unreadable."""

    def __init__(self) -> None:
        self.model_id = MODEL
        self.readings: dict[bytes, tuple[Face, ...]] = {}
        self.asked: list[dict[str, object]] = []
        self.before_reading: Callable[[], None] = lambda: None

    def read(self, image: bytes, *, encode: str = "main", thorough: bool = False) -> Reading:
        self.asked.append({"encode": encode, "thorough": thorough})
        self.before_reading()
        if image not in self.readings:
            raise UnreadableImage
        faces = tuple(map(self._by_the_model, self.readings[image]))
        return Reading(640, 480, faces, ReadingTimes(0.1, 1.0, 2.0, 0.5, 3.0), self.model_id)

    def encode(self, crops, model_id: str) -> np.ndarray:
        """What the crop carries; by another model than MODEL each number stands elsewhere."""
        vectors = np.stack([np.frombuffer(crop.tobytes()[:512], np.float32) for crop in crops])
        return vectors if model_id == MODEL else np.roll(vectors, 1 + sum(model_id.encode()) % 100, axis=1)

    def serve(self, served: Served) -> None:
        self.model_id = served.model_id

    def waiting(self) -> int:
        return 0

    def _by_the_model(self, face: Face) -> Face:
        if self.model_id == MODEL or face.embedding is None:
            return face
        return replace(face, embedding=self.encode([face.crop], self.model_id)[0])


class Pictures:
    """Makes pictures of people whose similarity to each other is chosen."""

    def __init__(self, reader: ScriptedReader) -> None:
        self._reader = reader
        self._axes: dict[str, np.ndarray] = {}
        self._number = itertools.count()

    def axis(self, who: str) -> np.ndarray:
        """The person's own direction; any two of them are orthogonal."""
        if who not in self._axes:
            self._axes[who] = np.eye(128, dtype=np.float32)[len(self._axes)]
        return self._axes[who]

    def face(self, who: str, similarity: float = 1.0, *, quality: float = 0.9, like: str | None = None) -> Face:
        """A face with that similarity to the axis of `who`; what is left lies towards `like`, or towards nobody."""
        rest = np.eye(128, dtype=np.float32)[127 - next(self._number) % 60] if like is None else self.axis(like)
        vector = similarity * self.axis(who) + math.sqrt(max(0.0, 1 - similarity**2)) * rest
        return face_of(vector.astype(np.float32), quality)

    def show(self, *faces: Face) -> bytes:
        """The bytes of a picture of these faces."""
        image = f"picture {next(self._number)}".encode()
        self._reader.readings[image] = faces
        return image

    def of(self, who: str, similarity: float = 1.0, **more: Any) -> bytes:
        """A picture of one face."""
        return self.show(self.face(who, similarity, **more))


def face_of(vector: np.ndarray, quality: float = 0.9) -> Face:
    reasons = () if quality > 0.5 else ("blurred",)
    box, seen = (5.0, 5.0, 45.0, 55.0), Quality(quality, reasons, 40.0, 0.0, 0.0, 0.0, 0.5, 0.5, 0.0)
    return Face(box, LANDMARKS, 0.98, seen, vector, crop_of(vector))


def crop_of(vector: np.ndarray) -> np.ndarray:
    """A crop that carries the vector, as the ScriptedReader encodes it."""
    plain = np.zeros(144 * 144 * 3, np.uint8)
    plain[:512] = np.frombuffer(vector.astype(np.float32).tobytes(), np.uint8)
    return plain.reshape(144, 144, 3)


class StandingClock:
    """Time that moves only when told."""

    def __init__(self) -> None:
        self.time = datetime(2030, 1, 1, 12, tzinfo=UTC)

    def now(self) -> datetime:
        return self.time

    def move(self, **amount: float) -> None:
        self.time += timedelta(**amount)


class CountedIdentifiers:
    """1, 2, 3."""

    def __init__(self) -> None:
        self._number = itertools.count(1)

    def new(self, prefix: str) -> str:
        return f"{prefix}_{next(self._number):020d}"

    def secret(self) -> str:
        return f"secret-{next(self._number):036d}"


def point(kind: str, target: float, threshold: float, size: int | None, support: str = "measured") -> OperatingPoint:
    return OperatingPoint(
        f"{kind}-{target:g}",
        kind,
        target,
        threshold,
        support,
        target,
        (0.0, 2 * target),
        100,
        1000,
        100,
        size,
        0.01,
        MODEL,
    )


@pytest.fixture
def calibration() -> Calibration:
    return Calibration(
        MODEL,
        (point("fmr", 1e-2, 0.4, None), point("fmr", 1e-3, 0.5, None), point("fmr", 1e-6, 0.9, None, "extrapolated")),
        (point("fpir", 0.1, 0.45, 10), point("fpir", 0.01, 0.6, 10), point("fpir", 0.01, 0.7, 100)),
    )


@pytest.fixture
def likely(calibration: Calibration) -> Calibration:
    """The same with a likelihood: even odds of a pair at 0.3, a thousand to one at 0.6."""
    knots = ((0.0, -math.log(1000)), (0.3, 0.0), (0.6, math.log(1000)))
    trials = (Trial("isotonic", 0.01, 0.02), Trial("platt", 0.02, 0.03))
    return replace(calibration, likelihood=Likelihood("isotonic", 0.5, knots, 100, 50, 60, 4000, trials))


@pytest.fixture
def make_vault(tmp_path) -> Iterator[Callable[..., Vault]]:
    """Makes vaults on the same keys of people, as several processes of one home have them."""
    made: list[Vault] = []

    def make(url: str = f"sqlite:///{tmp_path / 'keys' / 'people.db'}", master: bytes = bytes(range(32))) -> Vault:
        made.append(Vault(url, MasterRing([master]), timeout_s=5))
        made[-1].prepare()
        return made[-1]

    yield make
    for vault in made:
        vault.close()


@pytest.fixture
def vault(make_vault) -> Vault:
    return make_vault()


class ScriptedRenderer:
    """A render whose every step is a number made of the one before; two scales.

    before_step: called with each step before it is made, which may raise; states: what each render began with.
    """

    def __init__(self) -> None:
        self.before_step: Callable[[int], object] = lambda step: None
        self.states: list[bytes | None] = []

    def check(self, content, styles, options) -> Checked:
        if content == b"damaged":
            raise UnreadableImage
        if options.get("size", 0) > 1000:
            raise TooLarge(512)
        if options.get("steps", 6) < 1:
            raise InvalidOption("steps", "steps is a whole number from 1.")
        settled = {"steps": 6, "extra": 0, "seed": 0, "masks": [], **options}
        steps = settled["steps"] + settled["extra"]
        return Checked("picture", "image/png", steps, 2, 1000, settled, {"version": 1})

    def render(self, content, styles, options, *, state, beat):
        self.states.append(state)
        masks, seed = options.get("masks"), options.get("seed")
        identity = hashlib.sha256(repr((content, list(styles), masks, seed)).encode()).hexdigest()
        place = {"identity": identity, "step": 0, "value": ""} if state is None else json.loads(state)
        if place["identity"] != identity:
            raise OtherState
        for step in range(place["step"] + 1, options["steps"] + options["extra"] + 1):
            beat()
            self.before_step(step)
            value = hashlib.sha256(f"{identity}{place['value']}".encode()).hexdigest()
            place = {**place, "step": step, "value": value}
            yield ScriptedStep(place, options["steps"])

    def peak_memory_bytes(self) -> int:
        return 1 << 20


class ScriptedStep:
    """What a ScriptedRenderer shows."""

    def __init__(self, place, steps: int) -> None:
        self._place, self.step = place, place["step"]
        self.scale = 1 if self.step <= steps // 2 else 2
        self.last_of_scale = self.step in (steps // 2, steps)
        self.losses = {"total": 1 / self.step, "content": 0.0, "style": math.inf, "per_layer": {"conv1_1": 1.0}}
        self.evaluations = 2 * self.step
        self.warning = "mended" if self.step == 3 else None

    def preview(self):
        return f"preview {self.step}".encode(), "image/jpeg"

    def state(self) -> bytes:
        return json.dumps(self._place).encode()

    def result(self) -> Rendered:
        return Rendered(self._place["value"].encode(), "image/png", ".png", {"width": 3, "height": 2})


@pytest.fixture
def renderer() -> ScriptedRenderer:
    return ScriptedRenderer()


@pytest.fixture
def style_files(tmp_path) -> FileStyleFiles:
    return FileStyleFiles(tmp_path / "style")


@pytest.fixture
def clock() -> StandingClock:
    return StandingClock()


@pytest.fixture
def identifiers() -> CountedIdentifiers:
    return CountedIdentifiers()


@pytest.fixture
def reader() -> ScriptedReader:
    return ScriptedReader()


@pytest.fixture
def pictures(reader: ScriptedReader) -> Pictures:
    return Pictures(reader)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def gallery(store: MemoryStore, reader: ScriptedReader) -> FollowedGallery:
    return FollowedGallery(store, ExactIndex, MODEL, on_model=reader.serve)


@pytest.fixture
def enroll(store, gallery, reader, calibration, clock, identifiers) -> Enroll:
    return Enroll(store, gallery, reader, calibration, clock, identifiers, 0.35)


@pytest.fixture
def enrolled(enroll: Enroll, pictures: Pictures) -> Callable[..., Person]:
    """Enrols somebody whose face is their own axis, or what is given."""

    def enrol(who: str, *, image: bytes | None = None, **more: Any) -> Person:
        more = {"person_id": who, "name": who.title(), "on_duplicate": "allow", **more}
        return enroll(image or pictures.of(who), Enrolment(**more)).person

    return enrol


@pytest.fixture
def settings(tmp_path) -> Settings:
    return Settings(home=tmp_path / "home", shutdown_grace_s=5.0, body_timeout_s=2.0)


@pytest.fixture
def chain_renderer() -> ChainRenderer:
    return ChainRenderer()


@pytest.fixture
def parts(store, gallery, reader, calibration, clock, identifiers, chain_renderer) -> Parts:
    about = About("0", "terms", "cpu", "float32", "for the test", 1, 1, "exact")
    return Parts(store, gallery, reader, calibration, about, clock, identifiers, chain_renderer, close=lambda: None)


class Service:
    """The service behind its HTTP surface, on an event loop of its own."""

    def __init__(self, settings: Settings, parts: Parts) -> None:
        self.log = StringIO()
        self.app = create_app(settings, parts, log=make_log("json", "info", self.log))
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._lifespan = self.app.router.lifespan_context(self.app)
        self._admin: str | None = None

    def start(self, *, wait: bool = True) -> None:
        self.run(self._lifespan.__aenter__())
        deadline = time.monotonic() + 5
        while wait and self.app.state.gate.phase != "ready":
            assert time.monotonic() < deadline
            time.sleep(0.002)

    def begin_stop(self) -> Any:
        return asyncio.run_coroutine_threadsafe(self._lifespan.__aexit__(None, None, None), self._loop)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def run(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(20)

    @property
    def desk(self):
        return self.app.state.desk

    def key(self, *scopes: str, **more: Any) -> str:
        """A fresh key's text."""
        return self.desk.make_key("test", scopes, **more)[1]

    @property
    def admin(self) -> str:
        if self._admin is None:
            self._admin = self.key("admin")
        return self._admin

    def call(self, method: str, path: str, *, key: str | None = "", **more: Any) -> httpx.Response:
        """One request, as admin unless another key, or None, is given."""
        headers = dict(more.pop("headers", {}))
        if key is not None:
            headers.setdefault("Authorization", f"Bearer {key or self.admin}")
        return self.run(self._send(method, path, headers=headers, **more))

    async def _send(self, method: str, path: str, **more: Any) -> httpx.Response:
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=True)
        async with httpx.AsyncClient(transport=transport, base_url="http://onelook.test") as client:
            return await client.request(method, path, **more)

    def photo(self, path: str, image: bytes, *, key: str | None = "", **fields: Any) -> httpx.Response:
        """A multipart request with one picture."""
        return self.call("POST", path, key=key, files={"image": ("photo.jpg", image, "image/jpeg")}, data=fields)


@pytest.fixture(scope="session")
def service_class() -> type[Service]:
    return Service


@pytest.fixture
def make_service(settings: Settings, parts: Parts) -> Iterator[Callable[..., Service]]:
    made: list[Service] = []

    def make(using: Settings = settings, *, start: bool = True, **more: Any) -> Service:
        service = Service(using, more.get("parts", parts))
        made.append(service)
        if start:
            service.start()
        return service

    yield make
    for service in made:
        if service.app.state.desk is not None and service.app.state.gate.phase != "stopping":
            service.begin_stop().result(20)
        service.close()


@pytest.fixture
def service(make_service) -> Service:
    return make_service()
