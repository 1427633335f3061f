"""Encoders by model id, and a reader that goes over from one to another."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from app.domain.model import Served
from app.errors import Misconfigured, NotReady
from app.inference import calibration
from app.inference.encoders import Encoders, wanted_model
from app.inference.face_reader import NetworkFaceReader
from app.settings import Settings
from models import weights
from models.errors import WeightsError
from models.face.detect import load_detector


@pytest.fixture
def second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A folder of weights with a second encoder, whose weights are slightly other ones; its name."""
    folder = tmp_path / "weights"
    shutil.copytree(weights.FOLDER, folder)
    tensors = load_file(folder / "sface.safetensors")
    name = next(name for name in tensors if name.endswith("project.weight"))
    tensors[name] = tensors[name] * 1.0
    tensors[name][0] = -tensors[name][0]
    save_file(tensors, folder / "second.safetensors")
    monkeypatch.setattr(weights, "FOLDER", folder)
    monkeypatch.setattr(weights, "TERMS", {**weights.TERMS, "second": "for the test"})
    return "second"


def test_a_model_id_finds_its_weights_and_its_setting(second: str) -> None:
    assert weights.encoders() == ("onelook", "onelook-int8", "second", "sface")
    for name in ("onelook", "sface", second):
        for flip in (False, True):
            assert weights.named(weights.model_id(name, flip=flip)) == (name, flip)
    with pytest.raises(WeightsError, match="not here"):
        weights.named("sface-000000000000")


def test_weights_without_terms_are_not_loaded(second: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "TERMS", {"sface": "free"})
    with pytest.raises(WeightsError, match="terms"):
        Encoders(load_detector(), device="cpu", precision="float32").of(weights.model_id(second))


def test_each_is_loaded_once_and_let_go(second: str) -> None:
    encoders = Encoders(load_detector(), device="cpu", precision="float32")
    ids = [weights.model_id("sface"), weights.model_id(second)]
    first, other = (encoders.of(id_) for id_ in ids)
    assert encoders.of(ids[0]) is first
    crops = weights.sample_crops()
    assert np.abs(first.encoder.encode(crops) - other.encoder.encode(crops)).max() > 0.01
    encoders.keep_only((ids[1], None))
    assert encoders.of(ids[1]) is other
    assert encoders.of(ids[0]) is not first


def test_a_reader_goes_over_to_another_model_and_says_so_in_each_reading(second: str, samples: Path) -> None:
    photo = (samples / "hopper.jpg").read_bytes()
    old, new = weights.model_id("sface", flip=True), weights.model_id(second)
    reader = NetworkFaceReader(model="sface", flip=True, precision="float32", lanes=1)
    try:
        before = reader.read(photo)
        assert (before.model_id, reader.model_id, reader.facts.model) == (old, old, "sface")
        face = before.faces[0]
        # The crop of a reading is what the embedding was made of, by whichever model.
        ahead = reader.encode([face.crop], new)[0]
        np.testing.assert_allclose(reader.encode([face.crop], old)[0], face.embedding, atol=1e-5)
        reader.serve(Served(new))
        after = reader.read(photo)
        assert (after.model_id, reader.facts.terms, reader.facts.flip_averaging) == (new, "for the test", False)
        np.testing.assert_allclose(after.faces[0].embedding, ahead, atol=1e-5)
        np.testing.assert_array_equal(after.faces[0].crop, face.crop)
    finally:
        reader.close()


def test_faces_that_are_not_encoded_have_no_crop(samples: Path) -> None:
    reader = NetworkFaceReader(precision="float32", lanes=1)
    try:
        face = reader.read((samples / "hopper.jpg").read_bytes(), encode="none").faces[0]
    finally:
        reader.close()
    assert (face.crop, face.embedding) == (None, None)


def test_a_model_whose_weights_are_not_here_is_not_ready_and_nothing_changes(samples: Path) -> None:
    reader = NetworkFaceReader(precision="float32", lanes=1)
    try:
        before = reader.model_id
        with pytest.raises(NotReady, match="other-1 is served now"):
            reader.serve(Served("other-1"))
        with pytest.raises(NotReady):
            reader.encode([np.zeros((144, 144, 3), np.uint8)], "other-1")
        assert reader.model_id == before
    finally:
        reader.close()


def test_points_are_those_of_the_model_that_the_id_names(second: str) -> None:
    for flip in (False, True):
        model_id = weights.model_id("sface", flip=flip)
        assert calibration.of_model(model_id).model_id == model_id
    with pytest.raises(Misconfigured, match="not here"):
        calibration.of_model("sface-000000000000")
    with pytest.raises(Misconfigured, match="second"):
        calibration.of_model(weights.model_id(second))


def test_what_follows_gives_the_points_of_the_moment() -> None:
    plain, flipped = (calibration.of_model(weights.model_id("onelook", flip=flip)) for flip in (False, True))
    now = [plain]
    points = calibration.following(lambda: now[0])
    assert points.for_verification() == plain.for_verification()
    now[0] = flipped
    assert (points.model_id, points.for_identification(5)) == (flipped.model_id, flipped.for_identification(5))


def test_the_settings_name_an_encoder_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "_own_folders", [])
    folder = tmp_path / "encoders"
    folder.mkdir()
    shutil.copy(weights.file_of("sface"), folder / "ours.safetensors")
    settings = Settings(weights=folder, model="ours", flip_averaging=False)
    assert wanted_model(settings) == weights.model_id("ours", flip=False)
    assert Encoders(load_detector(), device="cpu", precision="float32").of(wanted_model(settings)).name == "ours"


def test_settings_that_name_no_encoder_are_told_which_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "_own_folders", [])
    with pytest.raises(Misconfigured, match="there are onelook, onelook-int8, sface"):
        wanted_model(Settings(model="ours"))
    with pytest.raises(Misconfigured, match="no folder"):
        wanted_model(Settings(weights=Path("nowhere-at-all")))
