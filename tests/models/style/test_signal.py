"""Short sounds and series: what goes in, what comes out, and what is refused before."""

import io

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image

from models.errors import InvalidOption, OtherRender, TooLarge, UnreadableMedia
from models.style import plan, sounds
from models.style.options import Options
from models.style.plan import Limits
from models.style.signal import looks_like, open_signal
from models.style.sounds import CEILING, limited, resampled
from models.style.tiles import mean_grams

RATE = 8_000
PLENTY = 1 << 33


def sound(seconds=0.6, rate=RATE, channels=1, *, hertz=300.0, form="WAV", subtype=None, seed=0):
    """A tone with some noise that comes and goes four times a second."""
    time = np.arange(round(seconds * rate)) / rate
    grain = np.random.default_rng(seed).normal(size=(channels, len(time)))
    wave = (0.6 + 0.4 * np.sin(2 * np.pi * 4 * time)) * (0.3 * np.sin(2 * np.pi * hertz * time) + 0.05 * grain)
    return written(wave.T, rate, form, subtype)


def written(samples, rate=RATE, form="WAV", subtype=None):
    out = io.BytesIO()
    soundfile.write(out, samples, rate, subtype, format=form)
    return out.getvalue()


def crackle(seconds=0.5, rate=RATE, channels=1):
    """Rough and even: as unlike the tone as can be."""
    generator = np.random.default_rng(5)
    return written(0.2 * generator.normal(size=(round(seconds * rate), channels)), rate)


def saved(array):
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


def heartbeat(samples=700, seed=0):
    time = np.arange(samples) / 100.0
    return 1000.0 + np.exp(-(((time % 0.8) - 0.4) ** 2) / 0.002) * 50 + np.random.default_rng(seed).normal(size=samples)


def opened(content=None, styles=None, memory=PLENTY, **given):
    return open_signal(content or sound(), styles or [crackle()], Options.of(given), memory)


def planned(content=None, styles=None, **given):
    return plan.plan(content or sound(), styles or [crackle()], Options.of({"steps": 3, **given}))


def last(found):
    *_, progress = found.render()
    return progress


def style_distance(signal, canvas):
    hearing, layers = signal.hearing(), list(signal.options.layers)
    ours, theirs = (mean_grams(hearing, wave, layers) for wave in (canvas, signal.style_canvas(0)))
    return sum(float((ours[n] - theirs[n]).square().sum() / theirs[n].square().sum()) for n in layers)


def envelope(samples, rate=RATE):
    length = round(0.05 * rate)
    pieces = samples[: len(samples) // length * length].reshape(-1, length)
    return np.sqrt((pieces**2).mean(1))


@pytest.mark.parametrize(("form", "subtype"), [("WAV", "PCM_16"), ("WAV", "FLOAT"), ("FLAC", "PCM_24"), ("OGG", None)])
@pytest.mark.parametrize("channels", [1, 2])
def test_every_format_comes_back_as_wav_of_the_same_rate_length_and_channels(form, subtype, channels):
    content = sound(channels=channels, form=form, subtype=subtype, rate=22_050)
    signal = opened(content)
    result = signal.result(signal.canvas())
    before, rate = soundfile.read(io.BytesIO(content), always_2d=True)
    after, same = soundfile.read(io.BytesIO(result.content), always_2d=True)
    assert (same, result.media_type, result.suffix) == (rate, "audio/wav", ".wav")
    assert result.facts == {"rate": rate, "channels": channels, "samples": len(before)}
    assert np.abs(after - before).max() < 1e-4
    fine = subtype in ("FLOAT", "PCM_24")
    assert soundfile.info(io.BytesIO(result.content)).subtype == ("PCM_24" if fine else "PCM_16")


@pytest.mark.parametrize(
    "content", [sound(), sound(form="FLAC"), sound(form="OGG"), saved(heartbeat()), b"t,v\n0,1\n1,2\n"]
)
def test_sound_and_series_are_known_by_their_content(content):
    assert looks_like(content)
    assert plan.medium_of(content) == "sound"


def test_a_picture_a_volume_and_a_text_are_no_sound(photo):
    out = io.BytesIO()
    Image.new("RGB", (20, 20)).save(out, "WEBP")
    for content in (
        photo(20, 20),
        out.getvalue(),
        saved(np.zeros((4, 4, 4))),
        b"x,y\na,b\nc,d\n",
        b"",
        b"ply\nx\ny\nz\n",
    ):
        assert not looks_like(content)


@pytest.mark.parametrize("dtype", ["float64", "float32", "int16"])
def test_an_npy_series_comes_back_in_its_shape_with_its_offset(dtype):
    array = np.stack([heartbeat(), heartbeat(seed=1) / 2], 1).astype(dtype)
    signal = opened(saved(array), [saved(heartbeat(900, seed=2))])
    after = np.load(io.BytesIO(signal.result(signal.canvas()).content))
    assert (after.shape, after.dtype) == (array.shape, "float64" if dtype == "float64" else "float32")
    assert np.allclose(after, array, atol=1e-3)


def test_a_csv_series_keeps_its_names_and_its_times():
    rows = "\n".join(f"{number / 100:.2f},{value:.3f}" for number, value in enumerate(heartbeat()))
    content = f"seconds,mV\n{rows}\n".encode()
    signal = opened(content, [saved(heartbeat(400, seed=2))])
    lines = signal.result(signal.canvas()).content.decode().splitlines()
    assert lines[0] == "seconds,mV"
    assert lines[124].split(",")[0] == "1.23"
    assert np.allclose([float(line.split(",")[1]) for line in lines[1:]], heartbeat(), atol=0.01)


def test_a_series_is_rendered_in_the_style_of_another():
    found = planned(saved(heartbeat()), [saved(np.random.default_rng(1).normal(size=500))], steps=40)
    first, *_, end = found.render()
    assert end.losses.style < 0.3 * first.losses.style
    assert len(np.load(io.BytesIO(end.result().content))) == 700


def test_a_short_render_nears_the_style_and_keeps_the_envelope():
    found = planned(steps=60)
    end = last(found)
    signal = found.subject
    assert style_distance(signal, end._step.canvas) < 0.05 * style_distance(signal, signal.canvas())
    before = soundfile.read(io.BytesIO(sound()))[0]
    after = soundfile.read(io.BytesIO(end.result().content))[0]
    assert np.corrcoef(envelope(before), envelope(after))[0, 1] > 0.8


@pytest.mark.parametrize(("channels", "other"), [(1, 2), (2, 1)])
def test_mono_and_stereo_of_other_rates_and_lengths_are_each_others_style(channels, other):
    found = planned(sound(channels=channels), [crackle(0.9, 11_025, other), sound(0.4, 48_000, hertz=900.0)])
    end = last(found)
    assert torch.isfinite(torch.tensor(end.losses.total))
    assert soundfile.info(io.BytesIO(end.result().content)).channels == channels


def test_a_render_from_noise_differs_by_seed_and_not_otherwise():
    one, same, other = (last(planned(init="noise", seed=seed)).result().content for seed in (1, 1, 2))
    assert one == same
    assert one != other


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_a_render_that_goes_on_is_bit_for_bit_the_uninterrupted_one(optimizer):
    found = planned(steps=6, optimizer=optimizer)
    states = [progress.state() for progress in found.render()]
    whole = last(found).result().content
    *_, end = planned(steps=6, optimizer=optimizer).render(state=states[2])
    assert end.result().content == whole
    with pytest.raises(OtherRender):
        next(planned(sound(hertz=500.0), steps=6, optimizer=optimizer).render(state=states[2]))


def test_the_steps_add_up_and_nothing_is_left_open():
    found = planned(steps=5)
    assert (found.steps, found.scales, found.medium, found.media_type) == (5, 1, "sound", "audio/wav")
    left = {name for name, value in found.options.as_json().items() if value is None}
    assert left == {"size"}  # sound has none
    again = plan.plan(sound(), [crackle()], found.options)
    assert again.identity == found.identity


def test_the_preview_is_a_spectrogram():
    signal = opened(sound(channels=2))
    content, media_type = signal.preview(signal.canvas())
    picture = Image.open(io.BytesIO(content))
    assert (picture.format, media_type) == ("PNG", "image/png")
    rows = np.array(picture).astype(int).sum((1, 2))
    assert rows[picture.height // 2 :].sum() > rows[: picture.height // 2].sum()  # a low tone lies low


def test_what_would_clip_is_limited_and_what_would_not_is_left_alone():
    generator = torch.Generator().manual_seed(1)
    quiet = 0.3 * torch.rand(2, 4000, generator=generator)
    assert limited(quiet, RATE) is quiet
    loud = quiet.clone()
    loud[0, 2000] = 3.0
    kept = limited(loud, RATE)
    assert float(kept.abs().max()) <= CEILING + 1e-6
    assert torch.equal(kept[:, :1500], quiet[:, :1500])


def test_resampling_keeps_a_tone():
    time = np.arange(8000) / 8000
    tone = torch.from_numpy(np.sin(2 * np.pi * 440 * time)).float()[None]
    wanted = torch.from_numpy(np.sin(2 * np.pi * 440 * np.arange(11_025) / 11_025)).float()[None]
    assert torch.allclose(resampled(tone, 11_025), wanted, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("size", 64),
        ("style_scales", [2.0]),
        ("color", "content"),
        ("masks", ["aGVsbG8="]),
        ("tv", 1.0),
        ("loss_convention", "johnson"),
        ("layers", {"conv1_1": 1.0}),
        ("layers", {"envelope": 1.0}),
    ],
)
def test_options_that_make_no_sense_are_refused_by_name(name, value):
    with pytest.raises(InvalidOption) as told:
        opened(**{name: value})
    assert told.value.option == name


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"nothing of the kind",
        sound()[:30],
        b"fLaC" + bytes(50),
        b"OggS" + bytes(50),
        sound(0.1),
        written(np.zeros(8000)),
        written(np.full(8000, np.nan), subtype="FLOAT"),
        written(np.random.default_rng(0).normal(size=(8000, 3)), subtype="FLOAT"),
        sound(rate=500),
        saved(np.full(500, np.nan)),
        saved(heartbeat(50)),
        saved(np.ones(500)),
        saved(np.arange(500) * 1e300),
        saved(np.arange(500) * 1j),
        saved(np.zeros((4, 4, 4))),
        saved(heartbeat())[:300],
        b"\x93NUMPY\x01",
        b"1,2\n3\n" * 200,
    ],
)
def test_damaged_empty_silent_and_short_files_are_refused_as_content_and_as_style(content):
    with pytest.raises(UnreadableMedia):
        open_signal(content, [crackle()], Options(), PLENTY)
    with pytest.raises(UnreadableMedia):
        open_signal(sound(), [content], Options(), PLENTY)


def test_sound_in_the_style_of_a_series_is_refused():
    with pytest.raises(InvalidOption):
        opened(sound(), [saved(heartbeat())])


def test_what_lasts_too_long_or_does_not_fit_is_refused_with_what_does(monkeypatch):
    with pytest.raises(TooLarge) as told:
        opened(sound(40.0), memory=150 << 20)
    assert 0 < told.value.fits < 40
    opened(sound(float(told.value.fits)), memory=150 << 20)
    monkeypatch.setattr(sounds, "MOST_SECONDS", 1.0)
    with pytest.raises(TooLarge):
        opened(sound(1.5))


def test_limits_are_those_of_the_plan():
    with pytest.raises(TooLarge):
        plan.plan(sound(), [crackle()], Options(), limits=Limits(memory_bytes=1 << 20))
