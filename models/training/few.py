"""Some faces out of folders of identities, clean and as a door would show them: what ranges are measured on."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.encoder import DIMENSIONS
from models.face.detect import Network
from models.image import Pixels
from models.training.dataset import Faces, canvas_of, photos_of
from models.training.split import is_for_validation
from models.training.views import degraded


def few_faces(
    folders: Sequence[Path],
    count: int,
    detector: Network,
    *,
    refine: bool,
    seed: int,
    tell: Callable[[int, int], None] = lambda done, of: None,
) -> Pixels:
    """What an encoder sees of `count` people's faces, uint8 (2 n, 112, 112, 3): n clean ones, then the same degraded.

    One photo a person, drawn by the seed from those who may be trained on; n is less than count where there are fewer
    people or photos without a face. refine: as in `canvas_of`. tell: called with (faces found, of how many). Raises
    ValueError where no face is found.
    """
    chance = np.random.default_rng(seed)
    of_each: dict[str, list[Path]] = {}
    for name, photo in photos_of(folders):
        if not is_for_validation(name):
            of_each.setdefault(name, []).append(photo)
    found: list[tuple[str, str, Pixels, NDArray[np.float32]]] = []
    names = list(of_each)
    for number in chance.permutation(len(names)):
        if len(found) == count:
            break
        photos = of_each[names[number]]
        photo = photos[int(chance.integers(len(photos)))]
        face = canvas_of(photo, detector, refine=refine)
        if face is not None:
            found.append((names[number], str(photo), *face))
            tell(len(found), count)
    if not found:
        raise ValueError("no photo of the people who may be trained on shows a face")
    people, paths, canvases, points = zip(*found, strict=True)
    faces = Faces(np.stack(canvases), np.stack(points), people, paths, np.zeros((len(found), DIMENSIONS), np.float32))
    hard = [degraded(faces, number, chance) for number in range(len(found))]
    return np.concatenate([faces.inputs(), np.stack(hard)])
