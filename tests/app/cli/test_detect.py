import numpy as np
import pytest
from PIL import Image

from app.cli.drawing import draw_faces
from app.domain.face import Face, Quality
from app.settings import Settings

POOR = Quality(0.1, ("blurred", "too_dark"), 40.0, 3.0, 0.0, 0.0, 0.5, 0.5, 0.0)
LANDMARKS = ((110.0, 110.0), (140.0, 110.0), (125.0, 125.0), (112.0, 140.0), (138.0, 140.0))


@pytest.fixture
def grey(tmp_path):
    path = tmp_path / "grey.png"
    Image.new("RGB", (240, 180), (90, 90, 90)).save(path)
    return path


def test_lists_the_faces_with_what_is_wrong(in_memory, onelook, tmp_path, pictures):
    image = tmp_path / "two.jpg"
    image.write_bytes(pictures.show(pictures.face("ada"), pictures.face("bob", quality=0.1)))
    result = onelook("detect", image)
    assert result.exit_code == 0
    assert result.stdout.startswith("2 face(s) in 640 x 480 pixels\n")
    assert "nothing" in result.stdout
    assert "blurred" in result.stdout


def test_no_face_is_an_answer(in_memory, onelook, tmp_path, pictures):
    image = tmp_path / "none.jpg"
    image.write_bytes(pictures.show())
    assert onelook("detect", image).stdout == "0 face(s) in 640 x 480 pixels\n"


def test_draws_box_landmarks_and_reasons(grey, tmp_path):
    to = tmp_path / "drawn.png"
    face = Face((100.0, 90.0, 150.0, 160.0), LANDMARKS, 0.9, POOR)
    draw_faces(grey.read_bytes(), [face], to, Settings())
    before, after = (np.asarray(Image.open(path)).astype(int) for path in (grey, to))
    changed = np.abs(after - before).sum(2) > 0
    assert after.shape == before.shape
    for x, y in LANDMARKS:
        assert changed[int(y), int(x)]
    assert changed[90, 100:151].all()
    assert changed[90:161, 150].all()
    assert not changed[150, 125]
    assert changed[:90].any()


def test_draws_a_face_that_touches_every_edge(grey, tmp_path):
    face = Face((0.0, 0.0, 240.0, 180.0), LANDMARKS, 0.9, POOR)
    draw_faces(grey.read_bytes(), [face], tmp_path / "drawn.jpg", Settings())
    with Image.open(tmp_path / "drawn.jpg") as drawn:
        assert drawn.size == (240, 180)


def test_never_draws_over_the_picture_itself(in_memory, onelook, grey, reader):
    before = grey.read_bytes()
    result = onelook("detect", grey, "--draw", grey)
    assert (result.exit_code, grey.read_bytes(), reader.asked) == (2, before, [])


def test_a_name_of_no_known_format_is_one_sentence(in_memory, onelook, grey, tmp_path, reader):
    reader.readings[grey.read_bytes()] = ()
    result = onelook("detect", grey, "--draw", tmp_path / "drawn.xyz")
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert not (tmp_path / "drawn.xyz").exists()
