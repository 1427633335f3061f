"""The whole chain on real photos."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from models.errors import TooManyPixels, UnreadableImage
from models.face import reading as module
from models.face.detect import load_detector
from models.face.encode import FaceEncoder
from models.face.reading import FaceChain
from models.weights import load_encoder


@pytest.fixture(scope="module")
def chain() -> FaceChain:
    return FaceChain(load_detector(), FaceEncoder(load_encoder("sface"), precision=torch.float32), max_pixels=4_000_000)


def jpeg(pixels: np.ndarray | Image.Image) -> bytes:
    out = BytesIO()
    (pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)).save(out, "JPEG", quality=92)
    return out.getvalue()


def side_by_side(left: Path, right: Path, share: float = 1.0) -> bytes:
    """Both photos at one height, the right one `share` as large."""
    first = Image.open(left).convert("RGB").resize((300, 400))
    second = Image.open(right).convert("RGB").resize((round(300 * share), round(400 * share)))
    canvas = Image.new("RGB", (first.width + second.width, 400), "grey")
    canvas.paste(first, (0, 0))
    canvas.paste(second, (first.width, 400 - second.height))
    return jpeg(canvas)


def test_reads_one_face_of_each_sample_with_a_unit_embedding(chain: FaceChain, samples: Path) -> None:
    for path in samples.glob("*.jpg"):
        ((found, vector),) = chain.read(path.read_bytes())
        assert found.crop.shape == (144, 144, 3)
        assert found.quality.score > 0.5
        assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)


def test_two_people_as_large_are_both_there(chain: FaceChain, samples: Path) -> None:
    assert len(chain.find(side_by_side(samples / "hopper.jpg", samples / "hopper.jpg")).faces) == 2


def test_a_small_face_in_the_background_is_left_out_unless_thorough(chain: FaceChain, samples: Path) -> None:
    first, second = samples / "hopper.jpg", samples / "obama-2012.jpg"
    image = side_by_side(first, second, 0.4)
    assert len(chain.find(image).faces) == 1
    assert len(chain.find(image, thorough=True).faces) == 2


def test_the_embedding_survives_rescaling_of_the_photo(chain: FaceChain, samples: Path) -> None:
    photo = Image.open(sorted(samples.glob("*.jpg"))[0]).convert("RGB")
    ((_, vector),) = chain.read(jpeg(photo))
    for factor in (0.5, 2.0):
        ((_, other),) = chain.read(jpeg(photo.resize((round(photo.width * factor), round(photo.height * factor)))))
        assert float(vector @ other) > 0.85


def test_says_how_large_the_upright_picture_is_and_what_each_step_took(chain: FaceChain, samples: Path) -> None:
    photo = Image.open(sorted(samples.glob("*.jpg"))[0]).convert("RGB")
    exif = Image.Exif()
    exif[0x0112] = 6
    out = BytesIO()
    photo.transpose(Image.Transpose.ROTATE_90).save(out, "JPEG", exif=exif.tobytes())
    found = chain.find(out.getvalue())
    assert (found.width, found.height) == photo.size
    assert len(found.faces) == 1
    assert min(found.decode_s, found.detect_s, found.align_s) > 0


def test_refuses_what_the_decoder_refuses(chain: FaceChain) -> None:
    with pytest.raises(UnreadableImage):
        chain.find(jpeg(np.zeros((64, 64, 3), np.uint8))[:200])
    with pytest.raises(TooManyPixels):
        chain.find(jpeg(np.zeros((2001, 2000, 3), np.uint8)))


def test_no_vector_and_no_crop_is_shown_by_repr(chain: FaceChain, samples: Path) -> None:
    found = chain.find(sorted(samples.glob("*.jpg"))[0].read_bytes())
    assert "crop" not in repr(found)


def test_keeps_the_most_prominent_of_very_many_faces(
    chain: FaceChain, samples: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = (samples / "hopper.jpg").read_bytes()
    face = chain.find(image).faces[0].face
    monkeypatch.setattr(module, "detect", lambda *_, **__: [face] * 500)
    assert len(chain.find(image, thorough=True).faces) == module.MOST_FACES
