"""Encoding: unit rows, flip averaging, batches, what the network sees, and the choice of precision."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from models import weights
from models.encoder import Encoder
from models.face import encode as module
from models.face.align import middle
from models.face.detect import load_detector
from models.face.encode import FaceEncoder, choose_precision, open_encoder
from models.face.refine import refined
from models.weights import load_encoder, sample_crops


def sface() -> Encoder:
    return load_encoder("sface")


@pytest.fixture(scope="module")
def encoder() -> FaceEncoder:
    return FaceEncoder(load_encoder("sface"), precision=torch.float32)


def test_rows_are_what_the_plain_network_says_at_unit_length(encoder: FaceEncoder) -> None:
    crops = sample_crops()
    with torch.inference_mode():
        seen = torch.from_numpy(np.stack([middle(crop) for crop in crops])).permute(0, 3, 1, 2).float()
        raw = load_encoder("sface")(seen).numpy().astype(np.float64)
    expected = raw / np.sqrt((raw**2).sum(1, keepdims=True))
    rows = encoder.encode(crops)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(rows, expected, atol=2e-5)


def test_no_crop_gives_no_row(encoder: FaceEncoder) -> None:
    assert encoder.encode([]).shape == (0, 128)


def test_two_photos_of_one_person_are_closer_than_two_people(encoder: FaceEncoder) -> None:
    crops = sample_crops()
    similarities = encoder.encode(crops) @ encoder.encode([c[:, ::-1] for c in crops]).T
    assert (np.diag(similarities) > 0.8).all()
    assert (similarities[~np.eye(len(crops), dtype=bool)] < np.diag(similarities).min()).all()


def test_flip_averaging_is_the_direction_of_the_sum_and_blind_to_mirroring() -> None:
    crops = sample_crops()
    both = FaceEncoder(load_encoder("sface"), precision=torch.float32, flip=True)
    np.testing.assert_allclose(both.encode(crops), both.encode([c[:, ::-1] for c in crops]), atol=1e-5)
    assert not np.allclose(
        both.encode(crops), FaceEncoder(load_encoder("sface"), precision=torch.float32).encode(crops), atol=1e-3
    )


def test_a_wanted_precision_is_taken_and_reasoned() -> None:
    chosen = choose_precision(sface, sample_crops(), wanted="float32")
    assert chosen.name == "float32"
    assert "asked" in chosen.why
    assert choose_precision(sface, sample_crops(), wanted="bfloat16").name == "bfloat16"


@pytest.mark.parametrize(("gain", "expected"), [(1.0, "float32"), (1.9, "bfloat16")])
def test_a_lower_precision_is_chosen_only_for_its_speed(
    monkeypatch: pytest.MonkeyPatch, gain: float, expected: str
) -> None:
    monkeypatch.setattr(module, "_gain", lambda *_: gain)
    chosen = choose_precision(sface, sample_crops())
    assert chosen.name == expected
    assert f"{gain:.2f}" in chosen.why


def test_a_lower_precision_that_changes_the_embeddings_is_never_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    def fragile() -> Encoder:
        # A step that float32 resolves and bfloat16 does not: the rounded slopes carry the signal.
        network = load_encoder("sface")
        with torch.no_grad():
            network.trunk_norm.running_mean.add_(1000.0)
            network.trunk_norm.bias.sub_(0.0)
            network.trunk[-1].norm.bias.add_(1000.0)
        return network

    monkeypatch.setattr(module, "_gain", lambda *_: 5.0)
    for wanted in ("auto", "bfloat16"):
        chosen = choose_precision(fragile, sample_crops(), wanted=wanted)
        assert chosen.name == "float32"
        assert "cosine" in chosen.why


def test_many_crops_are_encoded_as_each_of_them_alone(encoder: FaceEncoder) -> None:
    crops = (sample_crops() * 5)[: 2 * module.MOST_TOGETHER + 1]
    together = encoder.encode(crops)
    assert together.shape == (len(crops), 128)
    np.testing.assert_allclose(together, np.concatenate([encoder.encode([crop]) for crop in crops]), atol=2e-5)


def test_without_a_closer_look_the_network_sees_the_middle_of_the_crop(encoder: FaceEncoder) -> None:
    crops = sample_crops()
    for crop, seen in zip(crops, encoder.inputs(crops), strict=True):
        np.testing.assert_array_equal(seen, crop[16:128, 16:128])
    np.testing.assert_array_equal(encoder.encode(crops), encoder.encode_inputs([middle(crop) for crop in crops]))


def test_weights_that_ask_for_a_closer_look_get_it(tmp_path: Path) -> None:
    plain, closer = tmp_path / "plain.safetensors", tmp_path / "closer.safetensors"
    tensors = load_file(weights.file_of("sface"))
    save_file(tensors, plain)
    save_file(tensors, closer, {weights.ALIGNMENT: weights.REFINED})
    crops = sample_crops()
    as_it_is, looked = (open_encoder(file, precision=torch.float32) for file in (plain, closer))
    np.testing.assert_array_equal(as_it_is.inputs(crops), [middle(crop) for crop in crops])
    np.testing.assert_array_equal(looked.inputs(crops), refined(load_detector(), crops))
    assert not np.array_equal(as_it_is.encode(crops), looked.encode(crops))
