"""Detection: where the faces are, at which size the picture is looked at, and which face is the main one."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from models.face import detect as module
from models.face.detect import Face, Network, detect, load_detector, prominence
from models.image import decode


@pytest.fixture(scope="module")
def network() -> Network:
    return load_detector()


@pytest.fixture(scope="module")
def photo(samples: Path) -> np.ndarray:
    """A photo that is mostly a face."""
    return decode((samples / "hopper.jpg").read_bytes())


class Watched:
    """A detector that remembers how large the pictures were that it was shown."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.longest: list[int] = []

    def __call__(self, batch: torch.Tensor) -> torch.Tensor:
        self.longest.append(max(batch.shape[2:]))
        return self.network(batch)


def on_canvas(photo: np.ndarray, width: int, height: int, share: float) -> np.ndarray:
    """The photo, `share` as high as the canvas, in the middle of a grey canvas."""
    high = round(height * share)
    small = Image.fromarray(photo).resize((round(photo.shape[1] * high / photo.shape[0]), high))
    canvas = Image.new("RGB", (width, height), "grey")
    canvas.paste(small, ((width - small.width) // 2, (height - high) // 2))
    return np.asarray(canvas)


def test_finds_one_face_with_its_landmarks_in_order_in_every_sample(network: Network, samples: Path) -> None:
    for path in samples.glob("*.jpg"):
        faces = detect(network, decode(path.read_bytes()))
        assert len(faces) == 1, path.name
        x0, y0, x1, y1 = faces[0].box
        right_eye, left_eye, nose, right_mouth, left_mouth = faces[0].landmarks
        assert faces[0].score > 0.8
        assert x0 < right_eye[0] < nose[0] < left_eye[0] < x1
        assert right_mouth[0] < left_mouth[0]
        assert y0 < right_eye[1] < nose[1] < right_mouth[1] < y1


def test_finds_nothing_where_there_is_nothing(network: Network) -> None:
    assert detect(network, np.zeros((480, 640, 3), np.uint8)) == []
    assert detect(network, np.random.default_rng(1).integers(0, 255, (300, 300, 3), np.uint8)) == []


@pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (7, 3), (33, 31)])
def test_takes_pictures_of_any_shape(network: Network, shape: tuple[int, int]) -> None:
    assert detect(network, np.zeros((*shape, 3), np.uint8)) == []


def test_a_clear_face_is_settled_by_one_look_at_320_pixels(network: Network, photo: np.ndarray) -> None:
    watched = Watched(network)
    assert len(detect(watched, on_canvas(photo, 1920, 1080, 0.9))) == 1
    assert watched.longest == [320]


def test_a_small_face_is_looked_at_again_larger(network: Network, photo: np.ndarray) -> None:
    watched = Watched(network)
    assert len(detect(watched, on_canvas(photo, 1920, 1080, 0.2))) == 1
    assert watched.longest == [320, 640, 1280]


def test_thorough_looks_at_640_at_once(network: Network, photo: np.ndarray) -> None:
    watched = Watched(network)
    detect(watched, on_canvas(photo, 1920, 1080, 0.9), thorough=True)
    assert watched.longest == [640]


def test_boxes_are_in_pixels_of_the_picture_whatever_the_size_of_the_look(network: Network, photo: np.ndarray) -> None:
    small = detect(network, on_canvas(photo, 640, 480, 0.8))[0]
    large = detect(network, on_canvas(photo, 1920, 1440, 0.8))[0]
    np.testing.assert_allclose(large.box / 3, small.box, atol=0.06 * small.width)
    np.testing.assert_allclose(large.landmarks / 3, small.landmarks, atol=0.06 * small.width)


def face_at(x: float, y: float, side: float) -> Face:
    box = np.array([x - side / 2, y - side / 2, x + side / 2, y + side / 2], np.float32)
    return Face(box, np.zeros((5, 2), np.float32), 0.9)


def test_the_larger_of_two_faces_as_central_is_the_more_prominent() -> None:
    assert prominence(face_at(220, 240, 100), 640, 480) > prominence(face_at(420, 240, 90), 640, 480)


def test_a_face_in_the_middle_is_more_prominent_than_a_slightly_larger_one_at_the_edge() -> None:
    assert prominence(face_at(320, 240, 100), 640, 480) > prominence(face_at(60, 60, 120), 640, 480)


def slow_suppression(boxes: np.ndarray, scores: np.ndarray) -> list[int]:
    kept: list[int] = []
    for i in sorted(range(len(boxes)), key=lambda i: -scores[i]):
        for j in kept:
            wide = min(boxes[i][2], boxes[j][2]) - max(boxes[i][0], boxes[j][0])
            high = min(boxes[i][3], boxes[j][3]) - max(boxes[i][1], boxes[j][1])
            common = max(0.0, wide) * max(0.0, high)
            areas = [(b[2] - b[0]) * (b[3] - b[1]) for b in (boxes[i], boxes[j])]
            if common / (sum(areas) - common) > module.MOST_OVERLAP:
                break
        else:
            kept.append(i)
    return kept


def test_suppression_equals_a_slow_loop() -> None:
    generator = np.random.default_rng(6)
    for _ in range(50):
        corner = generator.uniform(0, 100, (30, 2))
        boxes = np.concatenate((corner, corner + generator.uniform(10, 60, (30, 2))), 1).astype(np.float32)
        scores = generator.uniform(0.6, 1, 30).astype(np.float32)
        assert module._suppress(boxes, scores) == slow_suppression(boxes.astype(np.float64), scores)


def test_a_larger_look_that_finds_nothing_does_not_take_away_what_a_smaller_one_found(
    network: Network, photo: np.ndarray
) -> None:
    looks: list[int] = []

    def blind_after_the_first(batch: torch.Tensor) -> torch.Tensor:
        looks.append(max(batch.shape[2:]))
        cells = network(batch)
        return cells if len(looks) == 1 else torch.zeros_like(cells)

    assert len(detect(blind_after_the_first, on_canvas(photo, 1920, 1080, 0.45))) == 1
    assert len(looks) > 1
