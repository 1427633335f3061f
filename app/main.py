"""The composition root: the only file that names every concrete class."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Protocol

import anyio
import anyio.to_thread
from fastapi import Depends, FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.routing import Route

from app import ports
from app.actions.add_template import AddTemplate
from app.actions.authenticate import Authenticate
from app.actions.change_person import ChangePerson
from app.actions.detect import Detect
from app.actions.enroll import Enroll
from app.actions.erase import Erase, FindReceipt
from app.actions.first_key import FirstKey
from app.actions.identify import Identify
from app.actions.keys import ListKeys, MakeKey, RevokeKey
from app.actions.people import FindPerson, ListPeople, ListTemplates
from app.actions.remove_template import RemoveTemplate
from app.actions.verify import VerifyPair, VerifyPerson
from app.clock import RandomIdentifiers, SystemClock
from app.domain.operating_point import Calibration
from app.errors import Misconfigured, OnelookError
from app.index.flat import FlatIndex
from app.index.follow import FollowedGallery
from app.inference import calibration as shipped
from app.inference.face_reader import NetworkFaceReader
from app.routes import (
    calibration,
    detect,
    docs,
    enroll,
    erasures,
    health,
    identify,
    info,
    keys,
    metrics,
    persons,
    templates,
    verify,
)
from app.routes.access import access
from app.routes.budget import ByteBudget
from app.routes.crew import Crew
from app.routes.desk import About, Desk
from app.routes.envelope import Envelope
from app.routes.gate import Gate, GateKeeper
from app.routes.log import Log, describe_fault, make_log
from app.routes.methods import HeadAsGet, methods_by_path
from app.routes.problems import on_error, on_http_exception, on_validation_error
from app.settings import Settings
from app.store.migrate import migrate
from app.store.sealing import Sealer, master_key
from app.store.templates import any_stored
from app.store.unit_of_work import SqlStore
from models.errors import WeightsError

RESOURCES = (
    *(detect, enroll, verify, identify),
    *(persons, templates, erasures),
    *(keys, calibration, health, info, metrics, docs),
)
LONGEST_PAUSE_S = 30.0


class RebuiltGallery(ports.Gallery, Protocol):
    """A gallery that can read every row anew."""

    def rebuild(self) -> int:
        """Reads every row; the seq reached."""
        ...


class ReaderAtWork(ports.FaceReader, Protocol):
    """A reader whose queue can be seen."""

    def waiting(self) -> int:
        """Pictures that wait to be read."""
        ...


@dataclass(frozen=True, slots=True)
class Parts:
    """What the actions stand on; `close` lets go of all of it."""

    store: ports.Store
    gallery: RebuiltGallery
    reader: ReaderAtWork
    calibration: Calibration
    about: About
    clock: ports.Clock
    identifiers: ports.Identifiers
    close: Callable[[], None]


def open_store(settings: Settings) -> SqlStore:
    """The rows of the home, brought up to date; makes home and master key if need be. Raises Misconfigured."""
    settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    url = settings.sqlalchemy_url()
    migrate(url)
    sealer = Sealer(master_key(settings.home, anything_sealed=lambda: any_stored(url)))
    # One row that the key does not open is passed over by the index; if it opens none, it is the wrong key.
    if any_stored(url) and not any_stored(url, key_id=sealer.key_id):
        raise Misconfigured(
            f"keys/master.key in {settings.home} is not the key that the stored templates were sealed with: put the "
            "right keys/master.key back"
        )
    return SqlStore(url, sealer)


def build_parts(settings: Settings) -> Parts:
    """Makes the real parts: loads the networks and brings the database up to date; seconds. Raises Misconfigured."""
    store = open_store(settings)
    try:
        reader = NetworkFaceReader(
            model=settings.model,
            flip=settings.flip_averaging,
            device=settings.device,
            precision=settings.precision,
            lanes=settings.inference_lanes,
            queue=settings.inference_queue,
            batch_faces=settings.batch_faces,
            max_image_bytes=settings.max_image_bytes,
            max_image_pixels=settings.max_image_pixels,
        )
    except WeightsError as e:
        store.close()
        raise Misconfigured(f"the weights cannot be used: {e}") from e
    facts = reader.facts
    # Standard error: what the verbs print on standard output is for other programs.
    report = make_log(settings.log_format, settings.log_level, sys.stderr).warning

    def close() -> None:
        reader.close()
        store.close()

    try:
        _refuse_another_model(store, reader.model_id)
        points = shipped.load(settings.model, reader.model_id)
    except Misconfigured:
        close()
        raise

    return Parts(
        store=store,
        gallery=FollowedGallery(store, FlatIndex, reader.model_id, report),
        reader=reader,
        calibration=points,
        about=About(
            version=_version(),
            terms=facts.terms,
            device=facts.device,
            precision=facts.precision,
            precision_why=facts.why,
            lanes=facts.lanes,
            batch_faces=facts.batch_faces,
            search="faiss, flat inner product (exact)",
        ),
        clock=SystemClock(),
        identifiers=RandomIdentifiers(),
        close=close,
    )


def _refuse_another_model(store: ports.Store, model_id: str) -> None:
    """A home whose people were enrolled by another model would know nobody, and not say so."""
    with store.read() as uow:
        others = uow.templates.models() - {model_id}
    if others:
        raise Misconfigured(
            f"this home holds templates of {', '.join(sorted(others))}, but the settings make {model_id}; vectors of "
            "two models are never compared: set ONELOOK_MODEL and ONELOOK_FLIP_AVERAGING as they were"
        )


def make_desk(settings: Settings, parts: Parts, log: Log) -> Desk:
    """Every action on those parts."""
    store, gallery, reader, points = parts.store, parts.gallery, parts.reader, parts.calibration
    clock, ids, floor = parts.clock, parts.identifiers, settings.min_enroll_quality
    return Desk(
        settings=settings,
        store=store,
        gallery=gallery,
        reader=reader,
        about=parts.about,
        calibration=points,
        authenticate=Authenticate(store, clock),
        detect=Detect(reader),
        enroll=Enroll(store, gallery, reader, points, clock, ids, floor, log.warning),
        add_template=AddTemplate(store, gallery, reader, points, clock, ids, floor, log.warning),
        remove_template=RemoveTemplate(store, gallery, log.warning),
        verify_person=VerifyPerson(store, gallery, reader, points, clock, floor),
        verify_pair=VerifyPair(gallery, reader, points, floor),
        identify=Identify(store, gallery, reader, points, clock, floor),
        find_person=FindPerson(store),
        list_people=ListPeople(store),
        list_templates=ListTemplates(store),
        change_person=ChangePerson(store, gallery, clock, log.warning),
        erase=Erase(store, gallery, clock, ids, log.warning),
        find_receipt=FindReceipt(store),
        make_key=MakeKey(store, clock, ids),
        list_keys=ListKeys(store),
        revoke_key=RevokeKey(store, clock),
        bodies=ByteBudget.for_bodies(settings.max_body_bytes),
        # More threads than the reader takes pictures: its own bound is the one that answers `busy`.
        pictures=Crew(
            settings.inference_queue + parts.about.lanes * parts.about.batch_faces + 16,
            refusal="Too many pictures are waiting: try again in a second.",
        ),
    )


def create_app(settings: Settings, parts: Parts | None = None, *, log: Log | None = None) -> FastAPI:
    """The service. Without `parts` the real ones are made when it starts; they are closed when it stops."""
    log = log or make_log(settings.log_format, settings.log_level)
    app = FastAPI(
        title="Onelook",
        version=_version(),
        description="Face recognition for office access control: one look enrols, one look answers.",
        dependencies=[Depends(access)],
        lifespan=_lifespan(settings, parts, log),
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.desk, app.state.gate, app.state.metrics = None, Gate(), metrics.Metrics()
    for resource in RESOURCES:
        app.include_router(resource.router)
    app.state.methods = methods_by_path(
        route for resource in RESOURCES for route in resource.router.routes if isinstance(route, Route)
    )
    app.add_exception_handler(OnelookError, on_error)
    app.add_exception_handler(HTTPException, on_http_exception)
    app.add_exception_handler(RequestValidationError, on_validation_error)
    app.add_middleware(HeadAsGet)
    app.add_middleware(GateKeeper, gate=app.state.gate)
    app.add_middleware(Envelope, log=log, counts=app.state.metrics)
    return app


def _lifespan(
    settings: Settings, given: Parts | None, log: Log
) -> Callable[[FastAPI], AbstractAsyncContextManager[None, bool | None]]:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        gate: Gate = app.state.gate
        log.info("starting", version=_version())
        try:
            parts = given if given is not None else await anyio.to_thread.run_sync(build_parts, settings)
        except Misconfigured as e:
            log.error("cannot start", reason=e.detail)
            raise
        desk = app.state.desk = make_desk(settings, parts, log)
        first_key = FirstKey(parts.store, desk.make_key, _announce)
        await anyio.to_thread.run_sync(first_key, settings.home / "admin.key")
        gate.phase = "filling"
        filling = asyncio.create_task(_fill(parts.gallery, gate, log))
        try:
            yield
        finally:
            gate.stop()
            filling.cancel()
            emptied = await gate.until_empty(settings.shutdown_grace_s)
            await anyio.to_thread.run_sync(parts.close)
            desk.close()
            log.info("stopped", everything_finished=emptied)

    return lifespan


async def _fill(gallery: RebuiltGallery, gate: Gate, log: Log) -> None:
    pause_s = 1.0
    while gate.phase == "filling":
        began = time.perf_counter()
        try:
            seq = await anyio.to_thread.run_sync(gallery.rebuild)
        except Exception as e:  # the database may come back: the service stays up, and says that it is not ready
            log.error("the index cannot be filled", fault=describe_fault(e))
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
            continue
        persons, count = gallery.size()
        if gate.phase == "filling":
            gate.phase = "ready"
            ms = round((time.perf_counter() - began) * 1000, 1)
            log.info("ready", persons=persons, templates=count, seq=seq, ms=ms)


def _announce(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()


def _version() -> str:
    try:
        return version("onelook")
    except PackageNotFoundError:
        return "uninstalled"
