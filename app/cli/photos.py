"""The photos of a data set, read through the path that serves, and kept so that a stop loses little."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from app.errors import ImageRefused
from app.ports import FaceReader
from app.settings import Settings
from models.measure.readings import FOUND, NO_FACE, REFUSED, PhotoReading, Readings, checksum

READING_THREADS = 16
SAVE_EVERY = 512

OpenReader = Callable[[], AbstractContextManager[FaceReader]]


def read_photos(
    folder: Path,
    paths: Sequence[str],
    cache: Path | None,
    model_id: str,
    open_reader: OpenReader,
    console: Console,
    *,
    fresh: bool = False,
) -> Readings:
    """The readings of those photos: from the cache where the file is unchanged, else read now and kept.

    paths are relative to the folder. `fresh`: read all of them now. A stop in between costs at most 512 photos. Without
    a cache nothing is kept on disk: readings hold embeddings.
    Raises FileNotFoundError for a missing photo, ValueError for a cache of another model or a damaged one.
    """
    readings = Readings(model_id) if fresh or cache is None else Readings.load(cache, model_id)
    missing = readings.missing(folder, paths)
    console.print(f"{model_id}: {len(paths)} photos, {len(paths) - len(missing)} of them read before")
    if not missing:
        return readings
    columns = (TextColumn("reading"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with (
        open_reader() as reader,
        ThreadPoolExecutor(READING_THREADS) as pool,
        Progress(*columns, console=console) as bar,
    ):
        task = bar.add_task("reading", total=len(missing))
        for begin in range(0, len(missing), SAVE_EVERY):
            some = missing[begin : begin + SAVE_EVERY]
            answers = pool.map(lambda path: read_photo(reader, (folder / path).read_bytes()), some)
            for path, reading in zip(some, answers, strict=True):
                readings.put(path, reading)
                bar.advance(task)
            if cache is not None:
                readings.save(cache)
    return readings


def read_photo(reader: FaceReader, content: bytes) -> PhotoReading:
    """The main face of one photo; a photo that is refused is kept as refused, and counts as a miss later."""
    try:
        faces = reader.read(content, encode="main").faces
    except ImageRefused:
        return PhotoReading(REFUSED, checksum(content))
    if not faces or faces[0].embedding is None:
        return PhotoReading(NO_FACE, checksum(content))
    return PhotoReading(FOUND, checksum(content), faces[0].embedding)


def serving_reader(settings: Settings, *, flip: bool) -> OpenReader:
    """How to open the reader of the service as it is set, but for flip averaging; nothing is loaded before that."""

    def open_reader() -> AbstractContextManager[FaceReader]:
        from app.inference.face_reader import NetworkFaceReader  # torch takes seconds to import

        return closing(
            NetworkFaceReader(
                model=settings.model,
                flip=flip,
                device=settings.device,
                precision=settings.precision,
                lanes=settings.inference_lanes,
                queue=max(settings.inference_queue, READING_THREADS),
                batch_faces=settings.batch_faces,
                max_image_bytes=settings.max_image_bytes,
                max_image_pixels=settings.max_image_pixels,
            )
        )

    return open_reader
