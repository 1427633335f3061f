from pathlib import Path

import numpy as np
import pytest
import torch

from models import weights
from models.face.detect import load_detector
from models.face.doors import around_the_face, contact_sheet, under_conditions
from models.face.encode import FaceEncoder
from models.face.reading import FaceChain
from models.image import Pixels, decode
from models.measure.conditions import CONDITIONS
from models.measure.doors import CLEAN


@pytest.fixture(scope="module")
def chain() -> FaceChain:
    return FaceChain(load_detector(), FaceEncoder(weights.load_encoder("sface"), precision=torch.float32))


@pytest.fixture
def face(chain: FaceChain, samples: Path) -> Pixels:
    return around_the_face(chain, decode((samples / "collins.jpg").read_bytes()))


def test_each_condition_gives_another_picture_of_the_same_face(chain: FaceChain, face: Pixels) -> None:
    seen = under_conditions(chain, face, "collins.jpg")
    assert list(seen) == [CLEAN, *CONDITIONS]
    assert np.array_equal(seen[CLEAN].picture, face)
    assert seen[CLEAN].faces
    pictures = [one.picture.tobytes() for one in seen.values()]
    assert len(set(pictures)) == len(pictures)
    again = under_conditions(chain, face, "collins.jpg")
    assert all(np.array_equal(again[one].picture, seen[one].picture) for one in seen)
    other = under_conditions(chain, face, "another.jpg")
    assert any(not np.array_equal(other[one].picture, seen[one].picture) for one in seen)


def test_where_no_face_is_found_none_is_found_under_any_condition(chain: FaceChain) -> None:
    seen = under_conditions(chain, np.full((120, 160, 3), 128, np.uint8), "wall.png")
    assert list(seen) == [CLEAN, *CONDITIONS]
    assert not any(one.faces for one in seen.values())


def test_the_sheet_shows_every_condition(chain: FaceChain, face: Pixels) -> None:
    sheet = np.asarray(contact_sheet(under_conditions(chain, face, "collins.jpg")))
    tiles = [
        sheet[22 + 242 * row : 242 * (row + 1), 220 * column : 220 * (column + 1)]
        for row in range(3)
        for column in range(4)
    ]
    drawn = [tile for tile in tiles if tile.std() > 5]
    assert len(drawn) == 1 + len(CONDITIONS)


def test_the_part_around_a_face_is_smaller_and_holds_it(chain: FaceChain, samples: Path, face: Pixels) -> None:
    whole = decode((samples / "collins.jpg").read_bytes())
    assert face.size < whole.size
    assert len(chain.find_in(face).faces) == 1
    wall = np.full((120, 160, 3), 128, np.uint8)
    assert around_the_face(chain, wall) is wall
