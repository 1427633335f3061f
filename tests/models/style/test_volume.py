"""Renders of volumes: less distance to the style, the content's grid and header, slabs and slices."""

import gzip
import io

import nibabel
import numpy as np
import pytest
import torch
from PIL import Image

from models.errors import InvalidOption, TooLarge
from models.style import volume
from models.style.grain import STRUCTURE, Grain
from models.style.objective import Objective, Style, Terms
from models.style.options import Options
from models.style.plan import Limits, medium_of, plan
from models.style.tiles import TiledObjective, mean_grams

RNG = np.random.default_rng(5)
AFFINE = np.diag([2.0, 2.0, 3.0, 1.0])
SMALL = {"size": 24, "steps": 12}


def nifti(values):
    return gzip.compress(nibabel.Nifti1Image(values.astype(np.float32), AFFINE).to_bytes(), mtime=0)


@pytest.fixture(scope="module")
def ball():
    grid = np.mgrid[-1:1:24j, -1:1:24j, -1:1:16j]
    return nifti(500.0 * (np.square(grid).sum(0) < 0.6) + 20 * RNG.random((24, 24, 16)))


@pytest.fixture(scope="module")
def stripes():
    return nifti(100.0 + 60 * np.sign(np.sin(np.arange(20)))[:, None, None] * np.ones((20, 20, 20)))


@pytest.fixture(scope="module")
def painting():
    out = io.BytesIO()
    Image.fromarray((RNG.random((48, 40, 3)) * 255).astype(np.uint8)).save(out, "PNG")
    return out.getvalue()


def rendered(content, style, options):
    made = plan(content, [style], Options.of(options))
    return made, list(made.render())[-1]


def distance(made, canvas):
    grain, layers = made.subject.grain(), list(made.options.layers)
    style, seen = mean_grams(grain, made.subject.style_canvas(0), layers), mean_grams(grain, canvas, layers)
    return sum(float((style[name] - seen[name]).square().sum() / style[name].square().sum()) for name in layers)


def test_a_volume_gets_the_grain_of_another_and_keeps_grid_and_affine(ball, stripes):
    made, last = rendered(ball, stripes, {**SMALL, "steps": 30})
    assert made.medium == "volume"
    assert distance(made, last._step.canvas) < distance(made, made.subject.canvas()) / 20
    result = last.result()
    image = nibabel.Nifti1Image.from_bytes(gzip.decompress(result.content))
    assert (result.media_type, result.suffix) == ("application/gzip", ".nii.gz")
    assert image.shape == (24, 24, 16)
    np.testing.assert_array_equal(image.affine, AFFINE)
    assert image.get_fdata().max() > 300, "the window of intensities is undone"


def test_voxels_of_a_canvas_are_cubes_whatever_the_spacing_of_the_file(ball, stripes):
    made = plan(ball, [stripes], Options.of(SMALL))
    assert tuple(made.subject.canvas().shape) == (1, 1, 24, 24, 24)


def test_a_preview_shows_three_planes(ball, stripes):
    _, last = rendered(ball, stripes, {**SMALL, "steps": 1})
    content, media_type = last.preview()
    assert media_type == "image/png"
    assert Image.open(io.BytesIO(content)).size == (72, 24)


def test_a_painting_is_a_style_of_a_volume_and_the_seed_draws_the_slices(ball, painting):
    made, last = rendered(ball, painting, {**SMALL, "steps": 4})
    assert made.options.optimizer == "adam"
    assert last.losses.style > 0
    again, other = (rendered(ball, painting, {**SMALL, "steps": 4, "seed": seed})[1] for seed in (0, 1))
    assert torch.equal(again._step.canvas, last._step.canvas)
    assert not torch.equal(other._step.canvas, last._step.canvas)


@pytest.mark.parametrize("style", ["stripes", "painting"])
def test_a_render_of_a_volume_goes_on_bit_for_bit(style, ball, request):
    style = request.getfixturevalue(style)
    made = plan(ball, [style], Options.of({**SMALL, "steps": 6}))
    whole = [(step.state(), step.result().content) for step in made.render()]
    for state, _ in whole[:-1:2]:
        assert list(made.render(state=state))[-1].result().content == whole[-1][1]


def test_slabs_give_the_cost_and_gradient_of_the_whole():
    grain = Grain(1, (3, 7), 6)
    canvas, other = (255 * torch.rand(1, 1, 20, 17, 26, generator=torch.Generator().manual_seed(n)) for n in (1, 2))
    layers = {"width3": 0.5, "width7": 0.5}
    style = Style(mean_grams(grain, other, list(layers)))
    objective = Objective(grain, grain(other, [STRUCTURE])[STRUCTURE], [style], Terms(1.0, 1e4, layers, STRUCTURE))
    whole, slabs = objective(canvas), TiledObjective(objective, 9)(canvas)
    assert slabs[0].total == pytest.approx(whole[0].total, rel=1e-5)
    torch.testing.assert_close(slabs[1], whole[1], rtol=1e-4, atol=1e-4 * float(whole[1].abs().max()))


def test_the_structure_is_a_mean_over_cubes():
    canvas = 255 * torch.rand(1, 1, 5, 6, 7)
    found = Grain(1, (3,), 2)(canvas, [STRUCTURE])[STRUCTURE][0, 0]
    plain = (canvas[0, 0] - 127.5) / 64.0
    for d, h, w in ((0, 0, 0), (2, 3, 3), (4, 5, 6)):
        cube = plain[max(0, d - 1) : d + 2, max(0, h - 1) : h + 2, max(0, w - 1) : w + 2]
        assert float(found[d, h, w]) == pytest.approx(float(cube.mean()), abs=1e-5)


def test_a_volume_is_known_by_its_file(ball, painting):
    assert (medium_of(ball), medium_of(painting)) == ("volume", "picture")


@pytest.mark.parametrize(
    "options",
    [{"color": "match"}, {"style_scales": [2.0]}, {"loss_convention": "johnson"}, {"layers": {"conv1_1": 1.0}}],
)
def test_options_that_mean_nothing_for_a_volume_are_refused(options, ball, stripes):
    with pytest.raises(InvalidOption) as refused:
        plan(ball, [stripes], Options.of(options))
    assert refused.value.option in options


def test_slices_by_chance_need_adam(ball, painting):
    with pytest.raises(InvalidOption, match="adam"):
        plan(ball, [painting], Options.of({"optimizer": "lbfgs"}))


def test_volumes_and_pictures_are_not_mixed_as_styles(ball, stripes, painting):
    with pytest.raises(InvalidOption, match="all volumes, or all pictures"):
        plan(ball, [stripes, painting], Options.of({}))


def test_what_does_not_fit_is_cut_into_slabs_or_refused(ball, stripes):
    whole = plan(ball, [stripes], Options.of({"size": 128})).memory_bytes
    cut = plan(ball, [stripes], Options.of({"size": 128}), limits=Limits(memory_bytes=whole - 1))
    assert cut.memory_bytes < whole
    assert cut.subject._slab in volume.SLABS
    with pytest.raises(TooLarge) as refused:
        plan(ball, [stripes], Options.of({"size": 512}), limits=Limits(memory_bytes=1 << 30))
    assert 16 <= refused.value.fits < 512
