"""The shipped weights: they load, they are named by their content, and damage is noticed."""

from pathlib import Path

import pytest
import torch

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


def test_every_encoder_says_under_which_terms_it_may_be_used() -> None:
    encoders = {path.name.removesuffix(".safetensors") for path in weights.FOLDER.glob("*.safetensors")} - {"yunet"}
    assert encoders == set(weights.TERMS)
