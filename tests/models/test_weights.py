"""The shipped weights: they load, they are named by their content, and damage is noticed."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from models import weights
from models.errors import WeightsError


def test_half_precision_weights_load_as_float32() -> None:
    for network in (weights.load_encoder("sface"), weights.load_detector()):
        assert {p.dtype for p in network.parameters()} == {torch.float32}
        assert not network.training


def test_model_id_names_weights_and_preprocessing() -> None:
    plain, flipped = weights.model_id("sface"), weights.model_id("sface", flip=True)
    assert plain.startswith("sface-")
    assert plain != flipped
    assert plain == weights.model_id("sface")


def test_model_id_changes_with_the_preprocessing(monkeypatch: pytest.MonkeyPatch) -> None:
    before = weights.model_id("sface")
    monkeypatch.setattr(weights, "PREPROCESSING", {**weights.PREPROCESSING, "crop_px": 96})
    assert weights.model_id("sface") != before


def test_damaged_or_missing_weights_are_an_error_that_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "FOLDER", tmp_path)
    with pytest.raises(WeightsError, match="install"):
        weights.load_encoder("sface")
    (tmp_path / "sface.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0 no weights at all")
    with pytest.raises(WeightsError, match="install"):
        weights.load_encoder("sface")


def own_folder(tmp_path: Path, name: str, **says: str) -> Path:
    folder = tmp_path / "encoders"
    folder.mkdir()
    save_file(load_file(weights.file_of("sface")), folder / f"{name}.safetensors", says or None)
    return folder


def test_an_encoder_of_ones_own_is_known_by_the_name_of_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "_own_folders", [])
    shipped, folder = weights.encoders(), own_folder(tmp_path, "ours", terms="our staff agreed")
    weights.look_in(folder)
    weights.look_in(folder)
    assert weights.encoders() == tuple(sorted((*shipped, "ours")))
    assert weights.named(weights.model_id("ours", flip=True)) == ("ours", True)
    assert weights.terms("ours") == "our staff agreed"
    assert weights.calibration_of("ours") == folder / "ours.calibration.json"
    assert not weights.load_encoder("ours").training


def test_an_encoder_of_ones_own_without_terms_says_whose_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "_own_folders", [])
    weights.look_in(own_folder(tmp_path, "ours"))
    assert "your own" in weights.terms("ours")


def test_a_folder_that_is_none_or_takes_a_shipped_name_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "_own_folders", [])
    with pytest.raises(WeightsError, match="no folder"):
        weights.look_in(tmp_path / "nowhere")
    with pytest.raises(WeightsError, match="another encoder"):
        weights.look_in(own_folder(tmp_path, "sface"))
    assert weights.encoders() == ("onelook", "onelook-int8", "sface")


def test_a_file_that_wants_an_unknown_alignment_is_refused(tmp_path: Path) -> None:
    folder = own_folder(tmp_path, "ours", **{weights.ALIGNMENT: "by hand"})
    with pytest.raises(WeightsError, match="by hand"):
        weights.refines(folder / "ours.safetensors")
    assert not weights.refines("sface")
    assert weights.refines("onelook")


def test_another_closer_look_is_another_model_only_for_weights_that_take_one(monkeypatch: pytest.MonkeyPatch) -> None:
    before = {name: weights.model_id(name) for name in ("onelook", "sface")}
    monkeypatch.setattr(weights, "REFINEMENT", "another")
    assert weights.model_id("onelook") != before["onelook"]
    assert weights.model_id("sface") == before["sface"]


def test_every_encoder_says_under_which_terms_it_may_be_used() -> None:
    encoders = {path.name.removesuffix(".safetensors") for path in weights.FOLDER.glob("*.safetensors")}
    assert encoders - {"yunet", "vgg19"} == set(weights.TERMS)
