"""Photos -> crops, found once; crops -> embeddings, once for each encoder; both kept, so that a stop loses little."""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from app.cli.contenders import Contender
from app.settings import Settings
from models.errors import ImageError
from models.measure.crops import CropReading, Crops
from models.measure.readings import FOUND, NO_FACE, REFUSED, Readings, checksum

if TYPE_CHECKING:
    from models.face.reading import FaceChain

T = TypeVar("T")
BUILD = Path("build")
SAVE_EVERY = 512
TOGETHER = 8

# One photo: what `find` makes of the file's bytes. The key says what for, where one photo is looked at in several ways.
Find = Callable[["FaceChain", str, bytes], CropReading]


@dataclass(frozen=True, slots=True)
class Shelf:
    """Where crops and embeddings of one data set are kept. kind: what is done to its photos, for the names there."""

    top: Path
    build: Path
    kind: str

    def crops(self) -> Path:
        """The folder of crops: another one for another data set, and after any change of how faces are found."""
        return self.build / "crops" / f"{self._name}-{_way_digest()}"

    def readings(self, one: Contender) -> Path:
        """The file of one encoder's embeddings of them."""
        return self.build / "readings" / f"{self._name}-{_way_digest()}-{one.model_id}-{one.precision}.npz"

    @property
    def _name(self) -> str:
        place = hashlib.sha256(os.fsencode(self.top.resolve())).hexdigest()[:6]
        return f"{self.top.resolve().name}-{place}-{self.kind}"


def cropped(
    shelf: Shelf,
    photo_of: Mapping[str, str],
    settings: Settings,
    console: Console,
    find: Find | None = None,
    *,
    fresh: bool = False,
) -> Crops:
    """The crop of the main face behind each key; photo_of: key -> path of the photo, relative to the shelf's top.

    What is kept of an unchanged photo is not read again, unless `fresh`. Raises FileNotFoundError for a missing photo,
    ValueError for damaged files of an earlier run.
    """
    if fresh:
        _forget(shelf.crops())
    crops = Crops(shelf.crops())
    sums = {path: checksum((shelf.top / path).read_bytes()) for path in dict.fromkeys(photo_of.values())}
    missing = crops.missing({key: sums[path] for key, path in photo_of.items()})
    console.print(f"{shelf.top.name}: {len(photo_of)} crops, {len(photo_of) - len(missing)} of them found before")
    if not missing:
        return crops
    chain, find = _chain(settings), find or main_face

    def one(key: str) -> CropReading:
        return find(chain, key, (shelf.top / photo_of[key]).read_bytes())

    with _pool() as pool, _bar(console, "finding faces") as bar:
        task = bar.add_task("", total=len(missing))
        for some in _parts(missing, SAVE_EVERY):
            for key, reading in zip(some, pool.map(one, some), strict=True):
                crops.put(key, reading)
                bar.advance(task)
            crops.save()
    return crops


def main_face(chain: "FaceChain", key: str, content: bytes) -> CropReading:
    """The main face of a photo as it is. A refused photo is kept as refused, and counts as a miss later."""
    try:
        found = chain.find(content).faces
    except ImageError:
        return CropReading(REFUSED, checksum(content))
    if not found:
        return CropReading(NO_FACE, checksum(content))
    return CropReading(FOUND, checksum(content), found[0].quality.score, found[0].crop)


def embedded(shelf: Shelf, crops: Crops, keys: Sequence[str], one: Contender, console: Console) -> Readings:
    """What that encoder makes of those crops; what is kept of the same crops is not encoded again."""
    file = shelf.readings(one)
    readings = Readings.load(file, one.model_id)
    missing = crops.unread(readings, keys)
    if not missing:
        return readings
    encoder = one.open()
    for path in missing:
        if not crops.found(path):
            readings.put(path, crops.reading(path, None))
    with _pool() as pool, _bar(console, f"encoding with {one.title}") as bar:
        task = bar.add_task("", total=sum(map(crops.found, missing)))
        for batches in _parts(crops.batches(missing, TOGETHER), SAVE_EVERY // TOGETHER):
            answers = pool.map(lambda batch: encoder.encode(batch[1]), batches)
            for (paths, _), vectors in zip(batches, answers, strict=True):
                for path, vector in zip(paths, vectors, strict=True):
                    readings.put(path, crops.reading(path, vector))
                bar.advance(task, len(paths))
            readings.save(file)
    readings.save(file)
    return readings


def _chain(settings: Settings) -> "FaceChain":
    from app.cli.contenders import contenders
    from models.face.reading import FaceChain, load_detector

    (one,) = contenders([settings.model], settings.model_copy(update={"precision": "float32"}), flip=False)
    limits = {"max_bytes": settings.max_image_bytes, "max_pixels": settings.max_image_pixels}
    return FaceChain(load_detector(one.device), one.open(), device=one.device, **limits)


def _way_digest() -> str:
    """Of all that decides which crop a photo gives: the detector's weights, and the code between file and crop."""
    import models.image
    from models import face, weights

    digest = hashlib.sha256(weights.file_of("yunet").read_bytes())
    folder = Path(face.__path__[0])
    for name in ("align", "detect", "quality", "reading"):
        digest.update((folder / f"{name}.py").read_bytes())
    digest.update(Path(models.image.__file__).read_bytes())
    return digest.hexdigest()[:8]


def _forget(folder: Path) -> None:
    for name in ("index.npz", "crops.bin"):
        (folder / name).unlink(missing_ok=True)


def _pool() -> ThreadPoolExecutor:
    import torch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return ThreadPoolExecutor(cores, initializer=torch.set_num_threads, initargs=(1,))


def _parts(things: Iterable[T], size: int) -> Iterator[list[T]]:
    rest = iter(things)
    while some := list(islice(rest, size)):
        yield some


def _bar(console: Console, what: str) -> Progress:
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console)
