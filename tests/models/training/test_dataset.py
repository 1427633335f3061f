import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from models import weights
from models.face.align import CROP_PX, MARGIN_PX, TEMPLATE, align, middle
from models.face.detect import detect, load_detector
from models.face.encode import FaceEncoder
from models.face.refine import refined
from models.image import decode
from models.training.dataset import canvas_of, load_faces, photos_of

SAMPLES = Path(__file__).parents[3] / "samples"


@pytest.fixture(scope="module")
def detector():
    return load_detector()


@pytest.fixture(scope="module")
def teacher():
    return FaceEncoder(weights.load_encoder("sface"), precision=torch.float32, flip=True)


@pytest.fixture
def folder(tmp_path):
    """One person with two photos, one with one and a file that is no photo, one whose photo shows nobody."""
    for person, photos in {"obama": ["obama-2009.jpg", "obama-2012.jpg"], "hopper": ["hopper.jpg"]}.items():
        (tmp_path / "people" / person).mkdir(parents=True)
        for photo in photos:
            shutil.copy(SAMPLES / photo, tmp_path / "people" / person / photo)
    (tmp_path / "people" / "hopper" / "broken.jpg").write_bytes(b"no picture")
    (tmp_path / "people" / "hopper" / "notes.txt").write_text("no photo")
    return tmp_path / "people"


def test_faces_are_found_once_and_kept(folder, tmp_path, detector, teacher):
    told = []
    keep = tmp_path / "kept" / "faces.npz"
    faces = load_faces([folder], keep, detector, teacher, tell=lambda done, of: told.append((done, of)))
    assert faces.identities == ("hopper", "obama", "obama")
    assert faces.person().tolist() == [0, 1, 1]
    assert faces.canvases.shape == (3, CROP_PX, CROP_PX, 3)
    assert told == [(4, 4)]
    assert keep.stat().st_mode & 0o077 == 0

    def nothing(*_):
        raise AssertionError("read again")

    again = load_faces([folder], keep, nothing, teacher)
    assert (again.canvases == faces.canvases).all()
    assert again.photos == faces.photos
    # Two photos of one person are alike, another's is not.
    similarity = again.teacher @ again.teacher.T
    assert similarity[1, 2] > 0.4 > similarity[0, 1]


def test_other_photos_or_half_a_file_are_read_anew(folder, tmp_path, detector, teacher):
    keep = tmp_path / "faces.npz"
    assert len(load_faces([folder], keep, detector, teacher)) == 3
    keep.write_bytes(keep.read_bytes()[:1000])
    assert len(load_faces([folder], keep, detector, teacher)) == 3
    (folder / "obama" / "obama-2012.jpg").unlink()
    assert len(load_faces([folder], keep, detector, teacher)) == 2


@pytest.mark.parametrize("refine", [True, False])
def test_what_is_inside_the_canvas_is_what_the_encoder_sees_in_service(detector, refine):
    photo = SAMPLES / "collins.jpg"
    found = canvas_of(photo, detector, refine=refine)
    assert found is not None
    canvas, points = found
    picture = decode(photo.read_bytes(), max_bytes=10**8, max_pixels=10**8)
    crop = align(picture, detect(detector, picture)[0].landmarks)
    served = refined(detector, [crop])[0] if refine else middle(crop)
    # The one is aligned in the picture, the other in the crop, which is smoother.
    assert np.abs(middle(canvas).astype(int) - served).mean() <= (2.5 if refine else 0)
    assert np.abs(points - (TEMPLATE + MARGIN_PX)).max() < 12


def test_faces_that_were_found_otherwise_are_found_anew(folder, tmp_path, detector, teacher):
    keep = tmp_path / "faces.npz"
    closer = load_faces([folder], keep, detector, teacher)
    assert not np.array_equal(load_faces([folder], keep, detector, teacher, refine=False).canvases, closer.canvases)
    np.testing.assert_array_equal(load_faces([folder], keep, detector, teacher).canvases, closer.canvases)


def test_a_name_in_two_folders_is_one_person(folder, tmp_path):
    other = tmp_path / "others"
    (other / "obama").mkdir(parents=True)
    shutil.copy(SAMPLES / "obama-2009.jpg", other / "obama" / "again.jpg")
    names = [name for name, _ in photos_of([folder, other])]
    assert names.count("obama") == 3


def test_a_folder_without_photos_or_faces_is_refused(tmp_path, detector, teacher):
    (tmp_path / "nobody").mkdir()
    with pytest.raises(ValueError, match="no photos"):
        photos_of([tmp_path])
    (tmp_path / "nobody" / "broken.png").write_bytes(b"")
    with pytest.raises(ValueError, match="none of the photos"):
        load_faces([tmp_path], tmp_path / "faces.npz", detector, teacher)
