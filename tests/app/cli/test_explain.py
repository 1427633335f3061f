from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import Result

Onelook = Callable[..., Result]


@pytest.fixture(autouse=True)
def _float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONELOOK_PRECISION", "float32")


def test_draws_what_carried_the_similarity_of_two_photos(onelook: Onelook, samples: Path, tmp_path: Path) -> None:
    out = tmp_path / "heat.png"
    first, second = samples / "obama-2009.jpg", samples / "obama-2012.jpg"
    result = onelook("explain", first, second, "--out", out, "--patch", 40, "--stride", 24)
    assert result.exit_code == 0, result.output
    similarity = float(result.output.split()[1].rstrip(";"))
    assert similarity > 0.6
    with Image.open(out) as picture:
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    faces, heat = pixels[12:348], pixels[360:696]
    assert faces.std() > 20
    # On grey faces red is the colour of heat alone.
    assert (heat[..., 0] - heat[..., 2]).max() > 80


def test_a_photo_without_a_face_is_refused(onelook: Onelook, samples: Path, tmp_path: Path) -> None:
    Image.new("RGB", (200, 200), "grey").save(tmp_path / "wall.png")
    result = onelook("explain", samples / "hopper.jpg", tmp_path / "wall.png", "--out", tmp_path / "heat.png")
    assert result.exit_code == 1
    assert "wall.png: no face was found" in result.output
    assert not (tmp_path / "heat.png").exists()


def test_what_cannot_be_drawn_is_said_before_or_after(onelook: Onelook, samples: Path, tmp_path: Path) -> None:
    photo = tmp_path / "photo.jpg"
    photo.write_bytes((samples / "hopper.jpg").read_bytes())
    itself = onelook("explain", photo, samples / "collins.jpg", "--out", photo)
    assert itself.exit_code == 2
    assert "give another file" in itself.output
    sparse = onelook("explain", photo, photo, "--out", tmp_path / "x.png", "--patch", 8, "--stride", 9)
    assert sparse.exit_code == 2
    assert "places would be left out" in sparse.output
    unknown = onelook("explain", photo, photo, "--out", tmp_path / "x.docx", "--patch", 112, "--stride", 112)
    assert unknown.exit_code == 2
    assert "no known format" in unknown.output
