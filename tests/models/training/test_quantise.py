"""From float to eight bits: ranges that lose least, channels evened without a change, means put right."""

import numpy as np
import pytest
import torch

from models import weights
from models.errors import WeightsError
from models.face.align import middle
from models.image import Pixels
from models.quantised import exactly
from models.training import quantise
from models.training.quantise import quantise_file, quantised, range_of, whole


@pytest.fixture(scope="module")
def faces() -> Pixels:
    return np.stack([middle(crop) for crop in weights.sample_crops()])


def planes(faces: Pixels) -> torch.Tensor:
    return torch.from_numpy(faces).permute(0, 3, 1, 2)


@torch.inference_mode()
def in_float(name: str, faces: Pixels) -> torch.Tensor:
    return weights.load_encoder(name)(planes(faces).float())


def test_weights_are_whole_numbers_whose_scales_lose_no_more_than_the_plain_ones() -> None:
    weight = torch.randn(6, 3, 3, 3, generator=torch.Generator().manual_seed(1))
    weight[0, 0, 0, 0] = 9  # one that stands out: not worth its range
    found, scale = whole(weight)
    assert found.dtype == torch.int8
    assert found.abs().max() <= 127
    plain = weight.flatten(1).abs().amax(1) / 127
    for out in range(6):
        of_plain = ((weight[out] / plain[out]).round() * plain[out] - weight[out]).square().sum()
        of_found = (found[out].float() * scale[out] - weight[out]).square().sum()
        assert of_found <= of_plain + 1e-9


def test_a_range_holds_nothing_exactly_and_all_but_the_rarest() -> None:
    numbers = torch.randn(200_000, generator=torch.Generator().manual_seed(2)) + 1
    numbers[0] = 1000.0
    step, zero = range_of([numbers])
    assert 0 <= zero <= 255
    assert (255 - zero) * step < 10
    inside = ((numbers >= -zero * step) & (numbers <= (255 - zero) * step)).float().mean()
    assert inside > 0.9999


def test_a_range_of_numbers_above_nothing_begins_at_nothing() -> None:
    assert range_of([torch.rand(1000) + 5])[1] == 0


@torch.inference_mode()
def test_evening_channels_changes_nothing_in_float(faces: Pixels) -> None:
    plain = quantise._evened(quantise._plain(weights.load_encoder("onelook").folded()), faces)
    x = (planes(faces).float() - 128) / 128
    for layer in plain:
        x = quantise.through(layer.shape, x, layer.weight, layer.bias)
        x = torch.prelu(x, layer.slope) if len(layer.slope) else x
    torch.testing.assert_close(x, in_float("onelook", faces), atol=2e-2, rtol=1e-3)


def test_eight_bits_say_nearly_what_float_says_and_as_much_on_average(faces: Pixels) -> None:
    layers = quantised(weights.load_encoder("sface"), faces)
    coarse, exact = exactly(layers, planes(faces)), in_float("sface", faces)
    assert torch.nn.functional.cosine_similarity(coarse, exact).min() > 0.985
    # But for numbers that lie between two levels, and fall to either side by the order of a sum.
    assert (coarse.mean(0) - exact.mean(0)).abs().max() < 0.03 * exact.std()


def test_a_file_in_eight_bits_is_a_model_of_its_own_with_the_terms_of_the_one_in_float(tmp_path, faces) -> None:
    file = tmp_path / "ours-int8.safetensors"
    quantise_file("onelook", faces, file, how={"people": 2})
    assert weights.in_eight_bits(file)
    assert weights.refines(file)
    assert weights.terms(file) == weights.terms("onelook")
    assert weights.model_id(file) not in (weights.model_id("onelook"), weights.model_id("onelook-int8"))
    assert len(weights.load(file)) == 28
    assert file.stat().st_size < 0.6 * weights.file_of("onelook").stat().st_size
    with pytest.raises(WeightsError, match="in eight bits"):
        weights.load_encoder(file)


def test_without_a_face_there_are_no_ranges() -> None:
    with pytest.raises(ValueError, match="no faces"):
        quantised(weights.load_encoder("sface"), np.zeros((0, 112, 112, 3), np.uint8))
