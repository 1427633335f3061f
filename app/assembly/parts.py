"""What the actions stand on, made by the settings: rows, index, networks."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Protocol

from app import ports
from app.actions.models import settle_model
from app.assembly.serving import Serving
from app.assembly.style import style_renderer
from app.clock import RandomIdentifiers, SystemClock
from app.domain.model import Served
from app.domain.operating_point import Calibration
from app.errors import Misconfigured
from app.index.compressed import CompressedIndex
from app.index.follow import FollowedGallery
from app.index.packed import Packing
from app.index.snapshot_file import SnapshotFile
from app.inference import calibration as shipped
from app.inference.encoders import wanted_model
from app.inference.face_reader import NetworkFaceReader
from app.inference.footprint import bound_footprint
from app.routes.desk import About
from app.routes.log import Log, make_log
from app.settings import Settings
from app.store.opening import open_rows
from app.store.pgvector.search import PgVectorGallery
from app.store.pgvector.table import drop_vectors, keep_vectors
from app.store.postgres.replicas import Replicas
from app.store.unit_of_work import SqlStore
from models import weights
from models.errors import WeightsError


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
    renderer: ports.Renderer
    close: Callable[[], None]
    #: The model that the settings make: what is served once a home was re-embedded.
    wanted_model_id: str = ""
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
    bound_footprint()
    store = open_store(settings)
    try:
        wanted = wanted_model(settings)
        served = settle_model(store, wanted)
        name, flip = _weights_of(served.model_id, wanted)
        reader = NetworkFaceReader(
            model=name,
            flip=flip,
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
    except Misconfigured:
        store.close()
        raise
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
        serving = Serving(reader, shipped.load(name, served.model_id, settings.home), report, settings.home)
        if wanted != served.model_id:
            # What cannot be served once it was embedded is told before, and not at the cut-over.
            shipped.load(settings.model, wanted, settings.home)
            report(
                f"{wanted} is wanted, and {served.model_id} is served until `onelook reembed`, or POST /reembeddings, "
                "has embedded the templates anew"
            )
        replicas = Replicas(settings.replica_urls, store, report)
        gallery = _gallery(settings, store, served, serving, report, replicas)
    except Misconfigured:
        close()
        raise

    return Parts(
        store=store,
        gallery=gallery,
        reader=reader,
        calibration=serving.points,
        wanted_model_id=wanted,
        about=About(
            version=version_here(),
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
            networks=lambda: reader.facts,
        ),
        clock=SystemClock(),
        identifiers=RandomIdentifiers(),
        renderer=style_renderer(settings),
        close=close,
        before_filling=lambda: drop_vectors(store, report) if settings.search == "faiss" else replicas.watch(),
    )


def version_here() -> str:
    """Of the package that is installed."""
    try:
        return version("onelook")
    except PackageNotFoundError:
        return "uninstalled"


def _weights_of(model_id: str, wanted: str) -> tuple[str, bool]:
    """(name, flip) of the model that the home is served by. Raises Misconfigured where it is not here."""
    try:
        return weights.named(model_id)
    except WeightsError as e:
        raise Misconfigured(
            f"this home is served by {model_id}, and the settings make {wanted}; vectors of two models are never "
            f"compared, and {e}, then run `onelook reembed`"
        ) from e


def _gallery(
    settings: Settings,
    store: SqlStore,
    served: Served,
    serving: Serving,
    report: Callable[[str], object],
    replicas: Replicas,
) -> FollowedGallery | PgVectorGallery:
    """The engine that the settings choose, not filled yet. Raises Misconfigured."""
    model_id = served.model_id
    snapshots = SnapshotFile(settings.home / "snapshots", model_id, store.vault.secret("snapshot"), report)
    if settings.search == "pgvector":
        # Of a time when the index lay here: nobody would take the erased out of it.
        snapshots.discard()
        keep_vectors(store)
        snapshots.discard_others()
        return PgVectorGallery(store, model_id, report, least=serving.least, helpers=replicas, on_model=serving.go_over)
    # Of models that were served before: nobody would take the erased out of them.
    snapshots.discard_others()
    return FollowedGallery(store, lambda: CompressedIndex(report=report), model_id, report, snapshots, serving.go_over)
