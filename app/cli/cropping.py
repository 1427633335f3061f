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
    from models.face.reading import FaceChain, FoundFace

T = TypeVar("T")
BUILD = Path("build")
# Modules of models/face that do not decide which crop a photo gives.
BEHIND_THE_CROP = ("doors", "encode", "frozen", "int8", "refine", "sample", "throughput")
SAVE_EVERY = 512
TOGETHER = 8

# What is made of one photo, given as path and bytes: key -> crop, for a photo may be looked at in several ways.
Find = Callable[["FaceChain", str, bytes], Mapping[str, CropReading]]


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
    keys_of: Mapping[str, Sequence[str]],
    settings: Settings,
    console: Console,
    find: Find | None = None,
    *,
    fresh: bool = False,
) -> Crops:
    """What `find` makes of those photos, the main face of each unless told otherwise.

    keys_of: path of a photo, relative to the shelf's top -> the keys that `find` gives for it. What is kept of an
    unchanged photo is not read again, unless `fresh`. Raises FileNotFoundError for a missing photo, ValueError for
    damaged files of an earlier run.
    """
    if fresh:
        _forget(shelf.crops())
    crops = Crops(shelf.crops())
    sums = {path: checksum((shelf.top / path).read_bytes()) for path in keys_of}
    missing = [path for path, keys in keys_of.items() if crops.missing(dict.fromkeys(keys, sums[path]))]
    console.print(f"{shelf.top.name}: {len(keys_of)} photos, {len(keys_of) - len(missing)} of them read before")
    if not missing:
        return crops
    chain, find = open_chain(settings), find or main_face

    def one(path: str) -> Mapping[str, CropReading]:
        return find(chain, path, (shelf.top / path).read_bytes())

    with _pool() as pool, _bar(console, "finding faces") as bar:
        task = bar.add_task("", total=len(missing))
        for some in _parts(missing, SAVE_EVERY):
            for readings in pool.map(one, some):
                for key, reading in readings.items():
                    crops.put(key, reading)
                bar.advance(task)
            crops.save()
    return crops


def main_face(chain: "FaceChain", path: str, content: bytes) -> Mapping[str, CropReading]:
    """The main face of a photo as it is. A refused photo is kept as refused, and counts as a miss later."""
    try:
        found = chain.find(content).faces
    except ImageError:
        return {path: CropReading(REFUSED, checksum(content))}
    return {path: as_crop(found[:1], checksum(content))}


def as_crop(found: "Sequence[FoundFace]", of: int) -> CropReading:
    """The first of those faces, NO_FACE when there is none; of: the checksum of the photo."""
    if not found:
        return CropReading(NO_FACE, of)
    return CropReading(FOUND, of, found[0].quality.score, found[0].crop)


def open_chain(settings: Settings) -> "FaceChain":
    """The detector that serves, with the encoder that is set in float32, for what is found and not encoded."""
    from app.cli.contenders import contenders
    from models.face.detect import load_detector
    from models.face.reading import FaceChain

    (one,) = contenders([settings.model], settings.model_copy(update={"precision": "float32"}), flip=False)
    limits = {"max_bytes": settings.max_image_bytes, "max_pixels": settings.max_image_pixels}
    return FaceChain(load_detector(one.device), one.open(), device=one.device, **limits)


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


def _way_digest() -> str:
    """Of all that decides which crop a photo gives: the detector's weights, and the code between file and crop."""
    import models.image
    from models import face, weights

    digest = hashlib.sha256(weights.file_of("yunet").read_bytes())
    for file in sorted(Path(face.__path__[0]).glob("*.py")):
        if file.stem not in BEHIND_THE_CROP:
            digest.update(file.read_bytes())
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
