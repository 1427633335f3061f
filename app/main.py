"""The composition root: the only file that names every concrete class."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Protocol

import anyio
import anyio.to_thread
from fastapi import Depends, FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.routing import Route

from app import ports
from app.actions.add_template import AddTemplate
from app.actions.audit import ListAudit, SignHead, VerifyAudit
from app.actions.authenticate import Authenticate
from app.actions.batch_item import EnrollItem
from app.actions.batches import CancelBatch, FindBatch, ListItems
from app.actions.change_person import ChangePerson
from app.actions.detect import Detect
from app.actions.duplicates import FindDuplicates
from app.actions.enroll import Enroll
from app.actions.erase import Erase, FindReceipt
from app.actions.export import Export
from app.actions.first_key import FirstKey
from app.actions.galleries import ChangeMembership, ListGalleries, MakeGallery, RemoveGallery
from app.actions.identify import Identify
from app.actions.keys import ListKeys, MakeKey, RevokeKey
from app.actions.merge import Merge
from app.actions.once import Once
from app.actions.people import FindPerson, ListPeople, ListTemplates
from app.actions.remove_template import RemoveTemplate
from app.actions.retain import Retain
from app.actions.run_batch import ClaimBatch, RunBatch
from app.actions.split import Split
from app.actions.submit_batch import SubmitBatch
from app.actions.tidy_batches import TidyBatches
from app.actions.trail import QueuedTrail
from app.actions.undo import Undo
from app.actions.verify import VerifyPair, VerifyPerson
from app.clock import RandomIdentifiers, SystemClock
from app.domain.actor import SERVICE
from app.domain.audit import Entry
from app.domain.operating_point import Calibration
from app.errors import Misconfigured, OnelookError
from app.index.compressed import CompressedIndex
from app.index.follow import FollowedGallery
from app.index.packed import Packing
from app.index.snapshot_file import SnapshotFile
from app.inference import calibration as shipped
from app.inference.face_reader import NetworkFaceReader
from app.routes import (
    audit,
    batches,
    calibration,
    detect,
    docs,
    enroll,
    erasures,
    export,
    galleries,
    health,
    identify,
    identities,
    info,
    keys,
    metrics,
    persons,
    templates,
    verify,
)
from app.routes.access import access
from app.routes.batch_body import read_line
from app.routes.budget import ByteBudget
from app.routes.crew import Crew
from app.routes.desk import About, Desk
from app.routes.envelope import Envelope
from app.routes.gate import Gate, GateKeeper
from app.routes.limits import KeyLimits
from app.routes.lockout import LockOut
from app.routes.log import Log, describe_fault, make_log
from app.routes.methods import HeadAsGet, methods_by_path
from app.routes.problems import on_error, on_http_exception, on_validation_error, told
from app.routes.remembered import GOOD_KEYS, Remembered
from app.routes.traces import SpanTraces
from app.settings import Settings
from app.store.batch_file import Limits
from app.store.opening import open_rows
from app.store.replicas import Replicas
from app.store.spool import FileSpool
from app.store.unit_of_work import SqlStore
from app.store.vector_search import PgVectorGallery
from app.store.vector_table import drop_vectors, keep_vectors
from app.worker.batch_work import BatchWork
from app.worker.batches import BatchLoop
from app.worker.upkeep import keep_up
from models.errors import WeightsError

RESOURCES = (
    *(detect, enroll, batches, verify, identify),
    *(persons, templates, erasures, galleries, identities, export),
    *(audit, keys, calibration, health, info, metrics, docs),
)
LONGEST_PAUSE_S = 30.0
TELL_EVERY_S = 1.0
# Templates that a request for duplicates compares at most: their time grows with the square of it, to some two minutes.
MOST_COMPARED = 200_000
# Fewer templates are read from the rows in less than a second.
LEAST_KEPT = 5000


class RebuiltGallery(ports.Gallery, Protocol):
    """A gallery that can read every row anew, and keep what it holds for the next start."""

    def rebuild(self) -> int:
        """Reads every row; the seq reached."""
        ...

    def keep_snapshot(self) -> bool:
        """Writes what is held to disk, unless that is there already; whether it is there now."""
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
    #: What a service does before it fills the gallery, and a verb does not; may be called again.
    before_filling: Callable[[], object] = lambda: None


def open_store(settings: Settings) -> SqlStore:
    """The rows of the home, brought up to date; makes home and keys if need be. Raises Misconfigured.

    What processes that were killed left undone is done before this returns: nobody erased has a key any more.
    """
    return open_rows(settings, make_log(settings.log_format, settings.log_level, sys.stderr).warning)


def build_parts(settings: Settings, log: Log | None = None) -> Parts:
    """Makes the real parts: loads the networks and brings the database up to date; seconds. Raises Misconfigured.

    log: where the parts report; None: standard error.
    """
    store = open_store(settings)
    try:
        reader = NetworkFaceReader(
            model=settings.model,
            flip=settings.flip_averaging,
            device=settings.device,
            precision=settings.precision,
            lanes=settings.inference_lanes,
            processes=settings.workers,
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
    report = (log or make_log(settings.log_format, settings.log_level, sys.stderr)).warning

    replicas: Replicas | None = None

    def close() -> None:
        reader.close()
        if replicas is not None:
            replicas.close()
        store.close()

    try:
        _refuse_another_model(store, reader.model_id)
        points = shipped.load(settings.model, reader.model_id)
        replicas = Replicas(settings.replica_urls, store, report)
        gallery = _gallery(settings, store, points, report, replicas)
    except Misconfigured:
        close()
        raise

    return Parts(
        store=store,
        gallery=gallery,
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
            search=gallery.engine
            if isinstance(gallery, PgVectorGallery)
            else f"faiss: every vector up to {Packing().bound} templates, above that packed codes refined exactly",
            vectors_in_clear=settings.search == "pgvector",
            replicas=replicas.states,
        ),
        clock=SystemClock(),
        identifiers=RandomIdentifiers(),
        close=close,
        before_filling=lambda: drop_vectors(store, report) if settings.search == "faiss" else replicas.watch(),
    )


def _gallery(
    settings: Settings, store: SqlStore, points: Calibration, report: Callable[[str], object], replicas: Replicas
) -> FollowedGallery | PgVectorGallery:
    """The engine that the settings choose, not filled yet. Raises Misconfigured."""
    model_id = points.model_id
    if settings.search == "pgvector":
        keep_vectors(store)
        least = min(p.threshold for p in points.identification)
        return PgVectorGallery(store, model_id, report, least=least, helpers=replicas)
    snapshots = SnapshotFile(settings.home / "snapshots", model_id, store.vault.secret("snapshot"), report)
    return FollowedGallery(store, lambda: CompressedIndex(report=report), model_id, report, snapshots)


def _refuse_another_model(store: ports.Store, model_id: str) -> None:
    """A home whose people were enrolled by another model would know nobody, and not say so."""
    with store.read() as uow:
        others = uow.templates.models() - {model_id}
    if others:
        raise Misconfigured(
            f"this home holds templates of {', '.join(sorted(others))}, but the settings make {model_id}; vectors of "
            "two models are never compared: set ONELOOK_MODEL and ONELOOK_FLIP_AVERAGING as they were"
        )


def make_desk(settings: Settings, parts: Parts, log: Log, shared: Path | None = None) -> Desk:
    """Every action on those parts. shared: as in `create_app`."""
    store, gallery, reader, points = parts.store, parts.gallery, parts.reader, parts.calibration
    clock, ids, floor = parts.clock, parts.identifiers, settings.min_enroll_quality
    enroll = Enroll(store, gallery, reader, points, clock, ids, floor, log.warning)
    add_template = AddTemplate(store, gallery, reader, points, clock, ids, floor, log.warning)
    spool = FileSpool(
        settings.home / "batches",
        Limits(settings.max_batch_items, settings.max_image_bytes, settings.max_batch_bytes),
    )
    kept = timedelta(hours=settings.batch_kept_hours)
    tidy_batches = TidyBatches(store, spool, clock, kept, log.warning)
    enroll_item = EnrollItem(store, enroll, add_template, told, log.warning)
    erase = Erase(store, gallery, clock, ids, log.warning, tidy_batches.blank_erased)
    trail = QueuedTrail(store, clock, log.warning)
    return Desk(
        settings=settings,
        trail=trail,
        list_audit=ListAudit(store),
        verify_audit=VerifyAudit(store),
        sign_head=SignHead(store),
        retain=Retain(store, erase, clock, settings.retention_unseen_days, settings.retention_audit_days),
        store=store,
        gallery=gallery,
        reader=reader,
        about=parts.about,
        calibration=points,
        authenticate=Authenticate(store, clock),
        detect=Detect(reader),
        enroll=enroll,
        submit_batch=SubmitBatch(store, spool, clock, ids, kept),
        find_batch=FindBatch(store, clock),
        list_items=ListItems(store),
        cancel_batch=CancelBatch(store, spool, clock, kept),
        claim_batch=ClaimBatch(store, clock, ids),
        run_batch=RunBatch(store, enroll_item, told, clock, kept, reader.waiting, spool.remove),
        tidy_batches=tidy_batches,
        spool=spool,
        add_template=add_template,
        remove_template=RemoveTemplate(store, gallery, clock, log.warning),
        verify_person=VerifyPerson(store, gallery, reader, points, clock, floor, trail),
        verify_pair=VerifyPair(gallery, reader, points, floor, clock, trail),
        identify=Identify(store, gallery, reader, points, clock, floor, trail),
        find_person=FindPerson(store),
        list_people=ListPeople(store),
        list_templates=ListTemplates(store),
        change_person=ChangePerson(store, gallery, clock, log.warning),
        erase=erase,
        find_receipt=FindReceipt(store),
        make_gallery=MakeGallery(store, gallery, clock, ids, log.warning),
        list_galleries=ListGalleries(store, gallery, points),
        remove_gallery=RemoveGallery(store, gallery, clock, log.warning),
        change_membership=ChangeMembership(store, gallery, clock, log.warning),
        merge=Merge(store, gallery, clock, ids, log.warning),
        split=Split(store, gallery, clock, ids, log.warning),
        undo=Undo(store, gallery, clock, log.warning),
        find_duplicates=FindDuplicates(store, points, MOST_COMPARED),
        export=Export(store, clock),
        once=Once(store, clock, ids),
        make_key=MakeKey(store, clock, ids),
        list_keys=ListKeys(store),
        revoke_key=RevokeKey(store, clock),
        key_limits=KeyLimits(settings.key_rate_per_minute, settings.key_concurrency, workers=settings.workers),
        lock_out=LockOut(
            Remembered(shared and shared / GOOD_KEYS),
            lambda address, seconds: _lock_out(trail, clock, log, address, seconds),
            workers=settings.workers,
        ),
        bodies=ByteBudget.for_bodies(settings.max_body_bytes),
        # More threads than the reader takes pictures: its own bound is the one that answers `busy`.
        pictures=Crew(
            settings.inference_queue + parts.about.lanes * parts.about.batch_faces + 16,
            refusal="Too many pictures are waiting: try again in a second.",
        ),
    )


def _lock_out(trail: ports.Trail, clock: ports.Clock, log: Log, address: str, seconds: int) -> None:
    log.warning("an address is locked out", address=address, seconds=seconds)
    # Without the address: it may be a person's.
    trail.note(Entry("key.refused", clock.now(), "locked_out", facts={"seconds": seconds}, actor=SERVICE))


def create_app(
    settings: Settings, parts: Parts | None = None, *, log: Log | None = None, shared: Path | None = None
) -> FastAPI:
    """The service. Without `parts` the real ones are made when it starts; they are closed when it stops.

    shared: the folder that the processes of this service have together, for counts; None: there is but one.
    """
    log = log or make_log(settings.log_format, settings.log_level)
    app = FastAPI(
        title="Onelook",
        version=_version(),
        description="Face recognition for office access control: one look enrols, one look answers.",
        dependencies=[Depends(access)],
        lifespan=_lifespan(settings, parts, log, shared),
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.desk, app.state.gate, app.state.metrics = None, Gate(), metrics.Metrics(shared)
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
    app.state.counts = [app.state.metrics]
    app.add_middleware(Envelope, log=log, counts=app.state.counts)
    return app


def _lifespan(
    settings: Settings, given: Parts | None, log: Log, shared: Path | None
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
        desk = app.state.desk = make_desk(settings, parts, log, shared)
        first_key = FirstKey(parts.store, desk.make_key, _announce)
        await anyio.to_thread.run_sync(first_key, settings.home / "admin.key")
        desk.trail.note(_started(settings, parts))
        gate.phase = "filling"
        filling = asyncio.create_task(_fill(parts, gate, log))
        batch_loop = _batch_loop(settings, desk, gate, log)
        batch_loop.start()
        telling = asyncio.create_task(_tell(parts.reader, desk.trail, app.state.metrics))
        keeping = asyncio.create_task(_keep(parts.gallery, gate, settings.snapshot_every_s, log))
        upkeep = asyncio.create_task(_upkeep(desk, gate, log))
        traces = _traces(settings)
        app.state.counts.extend(traces)
        try:
            yield
        finally:
            gate.stop()
            batch_loop.stop()
            filling.cancel()
            telling.cancel()
            keeping.cancel()
            upkeep.cancel()
            emptied = await gate.until_empty(settings.shutdown_grace_s)
            # The photo at hand is read to its end; without that the lease of its job would have to run out.
            emptied &= await anyio.to_thread.run_sync(batch_loop.join, settings.shutdown_grace_s)
            await anyio.to_thread.run_sync(desk.trail.close, settings.shutdown_grace_s)
            await anyio.to_thread.run_sync(parts.close)
            desk.close()
            for one in traces:
                await anyio.to_thread.run_sync(one.close)
            log.info("stopped", everything_finished=emptied)

    return lifespan


async def _keep(gallery: RebuiltGallery, gate: Gate, every_s: float, log: Log) -> None:
    while every_s:
        await asyncio.sleep(every_s)
        if gate.phase != "ready" or gallery.size()[1] < LEAST_KEPT:
            continue
        try:
            await anyio.to_thread.run_sync(gallery.keep_snapshot)
        except Exception as e:  # the next start reads the rows instead
            log.warning("no snapshot was kept", fault=describe_fault(e))


def _started(settings: Settings, parts: Parts) -> Entry:
    facts = {"settings": settings.digest(), "model_id": parts.reader.model_id, "version": _version()}
    return Entry("service.started", parts.clock.now(), facts=facts, actor=SERVICE)


async def _upkeep(desk: Desk, gate: Gate, log: Log) -> None:
    await keep_up(
        desk.retain,
        desk.sign_head,
        may_run=lambda: gate.phase == "ready",
        tell=log.info,
        fail=lambda e: log.error("the hourly upkeep failed", fault=describe_fault(e)),
    )


def _traces(settings: Settings) -> list[SpanTraces]:
    if settings.otlp_endpoint is None:
        return []
    return [SpanTraces.to(settings.otlp_endpoint, settings.trace_share, _version())]


def _batch_loop(settings: Settings, desk: Desk, gate: Gate, log: Log) -> BatchLoop:
    """The loop that works on batches in this process, and leaves a lane to doors where there is more than one."""
    work = BatchWork(
        desk.spool,
        desk.claim_batch,
        desk.run_batch,
        desk.tidy_batches,
        lambda line, defaults: read_line(line, defaults, settings.max_image_bytes),
        at_once=max(1, desk.about.lanes - 1),
    )
    return BatchLoop(
        work,
        may_begin=lambda: gate.phase == "ready",
        report=lambda e: log.error("a batch was interrupted", fault=describe_fault(e)),
        wake=desk.batches_due,
    )


async def _fill(parts: Parts, gate: Gate, log: Log) -> None:
    gallery, pause_s = parts.gallery, 1.0
    while gate.phase == "filling":
        began = time.perf_counter()
        try:
            await anyio.to_thread.run_sync(parts.before_filling)
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


async def _tell(reader: ReaderAtWork, trail: QueuedTrail, counts: metrics.Metrics) -> None:
    """What /metrics of another process says about this one is never older than a second."""
    while True:
        counts.note_waiting(reader.waiting())
        counts.note_trail(trail.waiting, trail.lost)
        await asyncio.sleep(TELL_EVERY_S)


def _announce(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()


def _version() -> str:
    try:
        return version("onelook")
    except PackageNotFoundError:
        return "uninstalled"
