"""An encoder in eight bits: whole numbers times a scale, held in a file, refused when they are something else."""

import numpy as np
import pytest
import torch

from models import weights
from models.quantised import CENTRE, INPUT_STEP, Layer, Shape, as_tensors, exactly, of_tensors, rounded, shapes


def test_a_number_becomes_the_nearest_level_and_beyond_the_range_its_end() -> None:
    x = torch.linspace(-3, 5, 997)
    expected = [(min(max(round(float(one) / 0.02) + 100, 0), 255) - 100) * 0.02 for one in x]
    np.testing.assert_allclose(rounded(x.double(), 0.02, 100), expected, atol=1e-6)
    assert float(rounded(torch.zeros(1), 0.02, 100)) == 0


def test_a_layer_is_a_sum_of_whole_numbers_times_two_scales() -> None:
    chance = np.random.default_rng(1)
    whole, scale = chance.integers(-127, 128, (4, 3, 3, 3)), chance.uniform(0.001, 0.01, 4).astype(np.float32)
    bias = chance.normal(0, 1, 4).astype(np.float32)
    pixels = chance.integers(0, 256, (1, 3, 6, 6))
    layer = Layer(
        Shape((4, 3, 3, 3)),
        torch.from_numpy(whole.astype(np.int8)),
        torch.from_numpy(scale),
        torch.from_numpy(bias),
        torch.zeros(0),
        INPUT_STEP,
        CENTRE,
    )
    found = exactly([layer], torch.from_numpy(pixels.astype(np.uint8)))[0].numpy()
    padded = np.pad(pixels[0] - CENTRE, ((0, 0), (1, 1), (1, 1)))
    for out in range(4):
        for row in range(6):
            for column in range(6):
                total = int((whole[out] * padded[:, row : row + 3, column : column + 3]).sum())
                assert found[out, row, column] == pytest.approx(total * scale[out] * INPUT_STEP + bias[out], abs=1e-4)


def test_layers_come_back_from_what_a_file_holds() -> None:
    held = weights._tensors(weights.file_of("onelook-int8"))
    layers = of_tensors(held)
    assert [layer.shape for layer in layers] == shapes()
    again = as_tensors(layers)
    assert again.keys() == held.keys()
    assert all(torch.equal(again[name], held[name]) for name in held)


def test_what_is_no_encoder_in_eight_bits_is_refused() -> None:
    held = weights._tensors(weights.file_of("onelook-int8"))
    with pytest.raises(ValueError, match="other layers"):
        of_tensors({name: t for name, t in held.items() if name != "03.bias"})
    with pytest.raises(ValueError, match=r"03\.bias is missing"):
        of_tensors({name.replace("03.bias", "03.base"): t for name, t in held.items()})
    with pytest.raises(ValueError, match="another shape"):
        of_tensors({**held, "05.weight": held["05.weight"].float()})
    with pytest.raises(ValueError, match="numbers that are none"):
        of_tensors({**held, "05.scale": held["05.scale"] * torch.nan})
