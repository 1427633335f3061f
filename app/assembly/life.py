"""What runs while the service lives: from the first key to the last answer."""

import asyncio
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import anyio
import anyio.to_thread
from fastapi import FastAPI

from app.actions.first_key import FirstKey
from app.actions.trail import QueuedTrail
from app.assembly.desk import make_desk
from app.assembly.parts import Parts, ReaderAtWork, RebuiltGallery, build_parts, version_here
from app.domain.actor import SERVICE
from app.domain.audit import Entry
from app.domain.job import Job
from app.errors import Misconfigured
from app.inference.footprint import give_back
from app.routes import (
    metrics,
)
from app.routes.batch_body import read_line
from app.routes.desk import Desk
from app.routes.gate import Gate
from app.routes.log import Log, describe_fault
from app.routes.traces import SpanTraces
from app.settings import Settings
from app.worker.batch_work import BatchWork
from app.worker.calibration_work import CalibrationWork
from app.worker.loop import JobLoop, Work
from app.worker.reembedding_work import ReembeddingWork
from app.worker.upkeep import keep_up

LONGEST_PAUSE_S = 30.0
TELL_EVERY_S = 1.0
GIVE_BACK_EVERY_S = 10.0
TIDY_STYLES_EVERY_S = 60.0
# Fewer templates are read from the rows in less than a second.
LEAST_KEPT = 5000


def lifespan_of(
    settings: Settings, given: Parts | None, log: Log, shared: Path | None
) -> Callable[[FastAPI], AbstractAsyncContextManager[None, bool | None]]:
    """The lifespan of an app whose state has a gate, metrics and counts; it adds the desk.

    given: None: the real parts are made. Entering raises Misconfigured; leaving closes the parts.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        gate: Gate = app.state.gate
        log.info("starting", version=version_here())
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
        beside = [
            asyncio.create_task(_fill(parts, gate, log)),
            asyncio.create_task(_tell(parts.reader, desk.trail, app.state.metrics)),
            asyncio.create_task(_keep(parts.gallery, gate, settings.snapshot_every_s, log)),
            asyncio.create_task(_upkeep(desk, gate, log)),
            asyncio.create_task(_give_back()),
            asyncio.create_task(_tidy_styles(desk, gate, log)),
        ]
        loops = _loops(settings, desk, gate, log)
        for loop in loops:
            loop.start()
        traces = _traces(settings)
        app.state.counts.extend(traces)
        try:
            yield
        finally:
            gate.stop()
            for loop in loops:
                loop.stop()
            for task in beside:
                task.cancel()
            emptied = await gate.until_empty(settings.shutdown_grace_s)
            # The photo at hand is read to its end; without that the lease of its job would have to run out.
            for loop in loops:
                emptied &= await anyio.to_thread.run_sync(loop.join, settings.shutdown_grace_s)
            await anyio.to_thread.run_sync(desk.trail.close, settings.shutdown_grace_s)
            await anyio.to_thread.run_sync(parts.close)
            desk.close()
            for one in traces:
                await anyio.to_thread.run_sync(one.close)
            log.info("stopped", everything_finished=emptied)

    return lifespan


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
    facts = {
        "settings": settings.digest(),
        "model_id": parts.reader.model_id,
        "precision": parts.about.precision,
        "version": version_here(),
    }
    return Entry("service.started", parts.clock.now(), facts=facts, actor=SERVICE)


async def _give_back() -> None:
    while True:
        await asyncio.sleep(GIVE_BACK_EVERY_S)
        await anyio.to_thread.run_sync(give_back)


async def _upkeep(desk: Desk, gate: Gate, log: Log) -> None:
    await keep_up(
        desk.retain,
        desk.sign_head,
        desk.once.sweep,
        may_run=lambda: gate.phase == "ready",
        tell=log.info,
        fail=lambda e: log.error("the hourly upkeep failed", fault=describe_fault(e)),
    )


async def _tidy_styles(desk: Desk, gate: Gate, log: Log) -> None:
    """Where no worker of this service does: another's may have ended, and what has expired must go."""
    while not desk.settings.style_workers:
        await asyncio.sleep(TIDY_STYLES_EVERY_S)
        if gate.phase != "ready":
            continue
        try:
            await desk.on_writes(desk.tidy_styles)
        except Exception as e:  # it is tried again in a minute
            log.warning("renders could not be tidied", fault=describe_fault(e))


def _traces(settings: Settings) -> list[SpanTraces]:
    if settings.otlp_endpoint is None:
        return []
    return [SpanTraces.to(settings.otlp_endpoint, settings.trace_share, version_here())]


def _loops(settings: Settings, desk: Desk, gate: Gate, log: Log) -> tuple[JobLoop[Job], ...]:
    """The loops that work on jobs in this process, one a kind, so that none waits for hours of another."""

    def loop(work: Work[Job], name: str, wake: threading.Event) -> JobLoop[Job]:
        return JobLoop(
            work,
            name=name,
            may_begin=lambda: gate.phase == "ready",
            report=lambda e: log.error("a job was interrupted", kind=name, fault=describe_fault(e)),
            wake=wake,
        )

    # It leaves a lane to doors where there is more than one.
    batches = BatchWork(
        desk.spool,
        desk.claim_batch,
        desk.run_batch,
        desk.tidy_batches,
        lambda line, defaults: read_line(line, defaults, settings.max_image_bytes),
        at_once=max(1, desk.about.lanes - 1),
    )
    reembeddings = ReembeddingWork(desk.store, desk.claim_reembedding, desk.run_reembedding, desk.tidy_reembeddings)
    calibrations = CalibrationWork(
        desk.calibration_spool, desk.claim_calibration, desk.run_calibration, desk.tidy_calibrations
    )
    return (
        loop(batches, "batches", desk.batches_due),
        loop(reembeddings, "reembeddings", desk.reembeddings_due),
        loop(calibrations, "calibrations", desk.calibrations_due),
    )


def _announce(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()
