"""Renders of clouds of points: their colours get the grain of another cloud, or of a picture; nothing else moves."""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from plyfile import PlyData, PlyElement

from models.errors import InvalidOption, TooLarge
from models.style.options import Options
from models.style.plan import Limits, medium_of, plan

RNG = np.random.default_rng(4)
SMALL = {"size": 20, "steps": 25}


def sphere(colour, count=4000):
    places = RNG.normal(size=(count, 3))
    places /= np.linalg.norm(places, axis=1, keepdims=True)
    data = np.zeros(count, [(n, "f4") for n in "xyz"] + [(n, "u1") for n in ("red", "green", "blue")])
    for name, values in zip("xyz", places.T, strict=True):
        data[name] = values
    for name, values in zip(("red", "green", "blue"), colour(places), strict=True):
        data[name] = values
    out = io.BytesIO()
    PlyData([PlyElement.describe(data, "vertex")]).write(out)
    return out.getvalue()


@pytest.fixture(scope="module")
def plain():
    return sphere(lambda places: (200 + 20 * places[:, 0], 120 + 20 * places[:, 1], 90 + 0 * places[:, 2]))


@pytest.fixture(scope="module")
def striped():
    return sphere(
        lambda places: (128 + 100 * np.sign(np.sin(9 * places[:, 2])), 60 + 0 * places[:, 0], 200 + 0 * places[:, 0])
    )


def last_of(content, style, options):
    made = plan(content, [style], Options.of(options))
    return made, list(made.render())[-1]


def distance(subject, canvas):
    seen, where = subject.seen_style(0)
    style, ours = subject.mean_grams(seen, where), subject.mean_grams(canvas, subject._filled)
    return sum(float((style[name] - ours[name]).square().sum() / style[name].square().sum()) for name in style)


def test_colours_get_the_grain_of_another_cloud_and_places_stay(plain, striped):
    made, last = last_of(plain, striped, SMALL)
    assert made.medium == medium_of(plain) == "points"
    assert distance(made.subject, last._step.canvas) < distance(made.subject, made.subject.canvas()) / 5
    before, after = (PlyData.read(io.BytesIO(x))["vertex"] for x in (plain, last.result().content))
    np.testing.assert_array_equal(after["x"], before["x"])
    assert np.abs(after["blue"].astype(int) - before["blue"]).mean() > 40


def test_a_picture_is_a_style_of_points(plain):
    out = io.BytesIO()
    Image.fromarray((RNG.random((40, 50, 3)) * 255).astype(np.uint8)).save(out, "PNG")
    made, last = last_of(plain, out.getvalue(), {**SMALL, "steps": 5})
    assert distance(made.subject, last._step.canvas) < distance(made.subject, made.subject.canvas())


def test_a_cell_in_which_nothing_lies_has_no_say(plain, striped):
    made = plan(plain, [striped], Options.of(SMALL))
    subject, air = made.subject, plan(plain, [striped], Options.of(SMALL)).subject
    stage = subject.scales()[0].make()
    air._filled = torch.ones_like(air._filled)
    losses, _ = stage.evaluate(subject.canvas())
    assert losses.style != air.scales()[0].make().evaluate(subject.canvas())[0].style


def test_a_preview_shows_the_cloud_from_three_sides(plain, striped):
    _, last = last_of(plain, striped, {**SMALL, "steps": 1})
    content, media_type = last.preview()
    assert media_type == "image/png"
    assert Image.open(io.BytesIO(content)).width == 60


def test_a_render_of_points_goes_on_bit_for_bit(plain, striped):
    made = plan(plain, [striped], Options.of({**SMALL, "steps": 5}))
    whole = [(step.state(), step.result().content) for step in made.render()]
    assert list(made.render(state=whole[1][0]))[-1].result().content == whole[-1][1]


@pytest.mark.parametrize(
    "options", [{"color": "content"}, {"style_scales": [0.5]}, {"size": 2000}, {"layers": {"a": 1}}]
)
def test_options_that_mean_nothing_for_points_are_refused(options, plain, striped):
    with pytest.raises(InvalidOption) as refused:
        plan(plain, [striped], Options.of(options))
    assert refused.value.option in options


def test_a_grid_that_does_not_fit_is_refused_with_the_size_that_does(plain, striped):
    with pytest.raises(TooLarge) as refused:
        plan(plain, [striped], Options.of({"size": 256}), limits=Limits(memory_bytes=1 << 30))
    fits = refused.value.fits
    assert plan(plain, [striped], Options.of({"size": fits}), limits=Limits(memory_bytes=1 << 30)).steps
