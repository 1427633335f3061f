from itertools import pairwise

import pytest
import torch

from models.style import pyramid
from models.style.pyramid import resized, shares, sizes


def test_each_scale_is_half_of_the_next_and_the_coarsest_no_smaller_than_the_least():
    assert sizes((512, 384)) == [(128, 96), (256, 192), (512, 384)]
    assert sizes((223, 100)) == [(223, 100)]
    assert sizes((224, 100)) == [(112, 50), (224, 100)]
    assert sizes((64, 64, 32), coarsest=16) == [(16, 16, 8), (32, 32, 16), (64, 64, 32)]
    assert sizes((1000,), coarsest=250) == [(250,), (500,), (1000,)]


def test_no_axis_becomes_shorter_than_it_may():
    assert sizes((512, 20), multiple=16) == [(128, 16), (256, 16), (512, 20)]


@pytest.mark.parametrize("scales", range(1, 9))
def test_the_steps_are_shared_out_without_rest(scales):
    for steps in [*range(scales, 80), 300, 1000, 20_000]:
        found = shares(steps, scales)
        assert len(found) == scales
        assert sum(found) == steps
        assert min(found) >= 1
        assert all(later >= earlier - 1 for earlier, later in pairwise(found))
    for steps in range(1, scales):
        assert shares(steps, scales) == [0] * (scales - 1) + [steps]


def test_half_of_many_steps_are_the_last_scales():
    assert shares(300, 3) == [50, 100, 150]
    assert shares(300, 1) == [300]


@pytest.mark.parametrize("space", [(40,), (24, 40), (8, 12, 16)], ids=["line", "plane", "room"])
@pytest.mark.parametrize("factor", [0.5, 1.0, 2.0])
def test_a_constant_stays_constant_at_every_size(space, factor):
    other = tuple(int(length * factor) for length in space)
    found = resized(torch.full((1, 3, *space), 7.0), other)
    assert found.shape == (1, 3, *other)
    torch.testing.assert_close(found, torch.full_like(found, 7.0))


@pytest.mark.parametrize("space", [(40,), (24, 40), (8, 12, 16)], ids=["line", "plane", "room"])
def test_what_is_shrunk_is_averaged(space):
    noise = torch.rand(1, 3, *space, generator=torch.Generator().manual_seed(1))
    found = resized(noise, tuple(length // 4 for length in space))
    assert float(found.mean()) == pytest.approx(float(noise.mean()), abs=0.02)
    assert float(found.std()) < 0.6 * float(noise.std())


@pytest.mark.parametrize("space", [(40,), (24, 40), (8, 12, 16)], ids=["line", "plane", "room"])
def test_a_ramp_stays_a_ramp_within(space):
    ramp = torch.arange(space[-1], dtype=torch.float32).expand(1, 1, *space).contiguous()
    found = resized(ramp, tuple(2 * length for length in space)).flatten(0, -2)[0]
    torch.testing.assert_close(found[8:-8].diff(), torch.full((2 * space[-1] - 17,), 0.5), atol=0.1, rtol=0)


def test_the_same_size_is_a_copy():
    values = torch.rand(1, 3, 5, 6)
    found = resized(values, (5, 6))
    assert torch.equal(found, values)
    assert found.data_ptr() != values.data_ptr()


def test_there_is_a_mode_for_every_number_of_axes():
    assert sorted(pyramid.MODES) == [1, 2, 3]
