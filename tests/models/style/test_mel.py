import pytest
import torch

from models.style.mel import ENVELOPE, FLOOR, LEVEL, Frames, Hearing, LogMel, filters
from models.style.objective import Objective, Style, Terms
from models.style.tiles import mean_grams

SOUND = Frames.of_sound(16_000)


def noise(channels, samples, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return LEVEL * torch.randn(1, channels, samples, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("frames", [Frames.of_series(), *map(Frames.of_sound, (2_000, 8_000, 44_100, 192_000))])
def test_every_band_sums_to_one_and_leaves_zero_hertz_out(frames):
    bands = filters(frames)
    assert bands.shape == (frames.bands, frames.window // 2 + 1)
    assert torch.allclose(bands.sum(1), torch.ones(frames.bands, dtype=torch.float64))
    assert not bands[:, 0].any()


def test_white_noise_is_as_loud_in_every_band_as_in_the_waveform():
    loud = LogMel(SOUND).power(noise(1, 64_000)[0]).mean((0, 2)).sqrt() * FLOOR
    assert torch.allclose(loud, torch.ones_like(loud), atol=0.15)


def test_a_tone_is_loudest_in_the_band_around_it():
    time = torch.arange(16_000, dtype=torch.float64) / 16_000
    for hertz in (200.0, 1000.0, 5000.0):
        seen = LogMel(SOUND)(LEVEL * torch.sin(2 * torch.pi * hertz * time)[None])[0].mean(1)
        bins = torch.linspace(0, 8000, SOUND.window // 2 + 1, dtype=torch.float64)
        centre = float((filters(SOUND)[int(seen.argmax())] * bins).sum())
        assert centre == pytest.approx(hertz, rel=0.06)


def test_silence_has_a_derivative_that_is_finite():
    silent = torch.zeros(1, 1, 4000, requires_grad=True)
    found = Hearing(SOUND, (3,))(silent, [ENVELOPE, "width3"])
    (found[ENVELOPE].sum() + found["width3"].sum()).backward()
    assert bool(silent.grad.isfinite().all())


def test_channels_are_heard_one_by_one_and_a_gram_is_taken_over_all():
    hearing, stereo = Hearing(SOUND, (3, 9), filters=8), noise(2, 6000)
    found = hearing(stereo, [ENVELOPE, "width9"])
    count = 1 + 6000 // SOUND.hop
    assert found["width9"].shape == (1, 8, 2, count)
    assert found[ENVELOPE].shape == (1, 1, 2, count)
    left, right = (mean_grams(hearing, stereo[:, [side]], ["width9"])["width9"] for side in (0, 1))
    assert torch.allclose(mean_grams(hearing, stereo, ["width9"])["width9"], (left + right) / 2)


def test_the_envelope_follows_loudness_and_no_pitch():
    time = torch.arange(16_000, dtype=torch.float64) / 16_000
    hearing, loud = Hearing(SOUND, (3,)), 1.0 + 0.9 * torch.sin(2 * torch.pi * 3 * time)
    low, high = (
        hearing((LEVEL * loud * torch.sin(2 * torch.pi * hertz * time))[None, None], [ENVELOPE])[ENVELOPE].flatten()
        for hertz in (400.0, 700.0)
    )
    assert float(torch.corrcoef(torch.stack([low, high]))[0, 1]) > 0.99


def test_the_gradient_is_that_of_finite_differences():
    hearing = Hearing(Frames.of_series(), (3, 7), filters=6)
    style = Style(mean_grams(hearing, noise(1, 500, seed=2), hearing.banks.layers))
    with torch.no_grad():
        content = hearing(noise(1, 400, seed=3), [ENVELOPE])[ENVELOPE]
    objective = Objective(
        hearing, content, [style], Terms(1.0, 30.0, dict.fromkeys(hearing.banks.layers, 0.5), ENVELOPE)
    )
    canvas, step = noise(1, 400), 1e-4
    _, gradient = objective(canvas)
    for seed in range(4):
        way = torch.randn(canvas.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        ahead, behind = (objective(canvas + sign * step * way)[0].total for sign in (1, -1))
        assert float((gradient * way).sum()) == pytest.approx((ahead - behind) / (2 * step), rel=1e-5)


def test_a_position_sees_no_more_samples_than_the_reach():
    hearing, quiet = Hearing(SOUND, (3,), filters=16), torch.zeros(1, 1, 16_000, dtype=torch.float64)
    click = quiet.clone()
    click[..., 8000] = LEVEL
    for layer in (ENVELOPE, "width3"):
        differ = (hearing(click, [layer])[layer] - hearing(quiet, [layer])[layer]).abs().sum((0, 1, 2)) > 1e-9
        assert 1 <= int(differ.sum()) <= -(-hearing.reach(layer) // hearing.stride(layer))
