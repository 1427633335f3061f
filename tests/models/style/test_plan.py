"""Renders of small pictures with the shipped network: what goes in, what comes out, and what is refused before."""

import base64
import struct
import zlib
from functools import partial
from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image

from models.errors import InvalidOption, OtherRender, TooLarge, TooManyPixels, UnreadableImage, UnsupportedMedia
from models.style import memory, perceptual, plan, pyramid
from models.style.colour import LUMA
from models.style.options import Options
from models.style.plan import Limits

# Shallow layers alone: quick, and still all that a render is made of.
QUICK = {"conv1_1": 0.5, "conv3_1": 0.5}


@pytest.fixture(autouse=True)
def _full_precision(monkeypatch):
    monkeypatch.setattr(plan, "fastest", lambda device: "float32")


@pytest.fixture
def small_scales(monkeypatch):
    """Pictures of 64 pixels go through 16, 32 and 64."""
    monkeypatch.setattr(pyramid, "sizes", partial(pyramid.sizes, coarsest=16))


@pytest.fixture
def planned(photo):
    """Options -> the plan of a small picture in a small style."""

    def make(content=None, styles=None, *, limits=None, weights=None, **given):
        options = Options.of({"medium": "picture", "steps": 2, "layers": QUICK, **given})
        content = content or photo(32, 40)
        return plan.plan(content, styles or [photo(40, 36, seed=2)], options, limits=limits, weights=weights)

    return make


def opened(content):
    return Image.open(BytesIO(content))


def pixels(content):
    return np.array(opened(content)).astype(int)


def last(found):
    *_, progress = found.render()
    return progress


def mask_of(array):
    out = BytesIO()
    Image.fromarray(array).save(out, "PNG")
    return base64.b64encode(out.getvalue()).decode()


@pytest.mark.parametrize("given", [{"color": "content"}, {"color": "match"}, {"init": "noise"}, {"optimizer": "adam"}])
def test_a_render_of_one_scale_goes_on_bit_for_bit(planned, given):
    states = [progress.state() for progress in planned(steps=4, **given).render()]
    for number in (0, 1):
        *_, rest = planned(steps=4, **given).render(state=states[number])
        assert rest.state() == states[-1]


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam", "gd"])
def test_a_render_killed_at_any_step_goes_on_bit_for_bit(planned, photo, small_scales, optimizer):
    given = {"content": photo(64, 64), "optimizer": optimizer, "steps": 9}
    whole = [
        (
            progress.step,
            progress.scale,
            progress.losses,
            progress.evaluations,
            progress.state(),
            progress.result().content,
        )
        for progress in planned(**given).render()
    ]
    assert [row[1] for row in whole] == sorted(row[1] for row in whole)
    assert {row[1] for row in whole} == {1, 2, 3}
    for number in (0, 1, 3, 5, 7):
        rest = [
            (progress.step, progress.scale, progress.losses, progress.evaluations, progress.state())
            for progress in planned(**given).render(state=whole[number][4])
        ]
        assert rest == [row[:5] for row in whole[number + 1 :]]
    *_, final = planned(**given).render(state=whole[4][4])
    assert final.result().content == whole[-1][5]


def test_in_tiles_a_render_goes_on_bit_for_bit_too(planned, monkeypatch):
    monkeypatch.setattr(memory, "tile_of", lambda *_: 16)
    found = planned(steps=4)
    states = [progress.state() for progress in found.render()]
    *_, rest = planned(steps=4).render(state=states[1])
    assert rest.state() == states[-1]


def test_in_tiles_a_render_is_the_render(planned, photo, monkeypatch):
    given = {"content": photo(72, 90), "steps": 1}
    whole = last(planned(**given))
    monkeypatch.setattr(memory, "tile_of", lambda *_: 32)
    heard = []
    (tiled,) = planned(**given).render(beat=lambda: heard.append(1))
    assert len(heard) > 4 * 6
    assert tiled.losses.total == pytest.approx(whole.losses.total, rel=1e-3)
    assert np.abs(pixels(tiled.result().content) - pixels(whole.result().content)).mean() < 0.05


def test_extra_steps_go_on_where_the_render_ended(planned):
    done = last(planned(steps=3))
    more = planned(steps=3, extra=2)
    assert more.steps == 5
    went_on = list(more.render(state=done.state()))
    assert [(progress.step, progress.steps) for progress in went_on] == [(4, 5), (5, 5)]
    assert went_on[-1].result().content == last(planned(steps=3, extra=2)).result().content


@pytest.mark.parametrize(
    "other",
    [{"steps": 3}, {"beta": 7.0}, {"seed": 1}, {"optimizer": "gd"}, {"size": 32}, {"color": "content"}, {"tv": 1.0}],
    ids=lambda given: next(iter(given)),
)
def test_a_state_of_other_options_is_refused(planned, other):
    state = next(planned().render()).state()
    with pytest.raises(OtherRender):
        next(planned(**other).render(state=state))


def test_a_state_of_other_files_is_refused(planned, photo):
    state = next(planned().render()).state()
    for other in ({"content": photo(32, 40, seed=9)}, {"styles": [photo(40, 36, seed=9)]}):
        with pytest.raises(OtherRender):
            next(planned(**other).render(state=state))


@pytest.mark.parametrize("state", [b"", b"garbage that is longer than eight bytes"])
def test_what_is_no_state_is_refused(planned, state):
    with pytest.raises(OtherRender):
        next(planned().render(state=state))


def test_steps_are_counted_and_each_scale_has_a_last_one(planned, photo, small_scales):
    found = planned(photo(64, 64), steps=8, extra=1)
    assert (found.steps, found.scales) == (9, 3)
    steps = list(found.render())
    assert [progress.step for progress in steps] == list(range(1, 10))
    assert {(progress.steps, progress.scales) for progress in steps} == {(9, 3)}
    assert sorted({progress.scale for progress in steps if progress.last_of_scale}) == [1, 2, 3]
    assert sum(progress.last_of_scale for progress in steps) == 3


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_few_steps_are_made_at_the_size_asked_for_and_scales_counted_as_made(planned, photo, small_scales, steps):
    found = planned(photo(64, 64), steps=steps)
    progress = last(found)
    assert progress.scale == progress.scales == found.scales
    assert opened(progress.result().content).size == (64, 64)


def test_losses_fall_and_add_up(planned):
    found = planned(steps=6, alpha=2.0, optimizer="lbfgs")
    steps = [progress.losses for progress in found.render()]
    totals = [losses.total for losses in steps]
    assert totals == sorted(totals, reverse=True)
    for losses in steps:
        assert losses.total == pytest.approx(2.0 * losses.content + found.options.beta * losses.style, rel=1e-5)
        assert losses.style == pytest.approx(sum(losses.per_layer.values()), rel=1e-5)
        assert set(losses.per_layer) == set(QUICK)


def test_a_preview_is_a_jpeg_and_the_result_a_png_of_the_size_asked_for(planned, photo, small_scales):
    found = planned(photo(48, 64), size=64, steps=6)
    steps = [(progress.scale, progress.preview(), progress.result()) for progress in found.render()]
    shown = {scale: opened(preview[0]).size for scale, preview, _ in steps}
    assert shown == {1: (16, 16), 2: (32, 24), 3: (64, 48)}  # no side is ever shorter than 16
    for _, (file, kind), _ in steps:
        assert kind == "image/jpeg"
        assert opened(file).format == "JPEG"
    result = steps[-1][2]
    assert opened(result.content).format == "PNG"
    assert opened(result.content).size == (64, 48)
    assert (result.media_type, result.suffix) == ("image/png", ".png") == (found.media_type, found.suffix)
    assert (result.facts["width"], result.facts["height"]) == (64, 48)


@pytest.mark.parametrize(("given", "size"), [({}, (40, 32)), ({"size": 20}, (20, 16)), ({"size": 60}, (60, 48))])
def test_the_size_is_the_longer_side(planned, given, size):
    found = planned(steps=1, **given)
    assert found.options.size == size[0]
    assert opened(last(found).result().content).size == size


def test_a_large_picture_is_rendered_at_the_usual_size(planned, photo):
    assert planned(photo(300, 700)).options.size == 512


@pytest.mark.parametrize("space", [(16, 128), (128, 20)], ids=["wide", "tall"])
def test_a_long_picture_goes_through_its_scales_without_growing_too_thin(planned, photo, small_scales, space):
    found = planned(photo(*space), steps=6, layers={"conv5_1": 1.0})
    assert opened(last(found).result().content).size == space[::-1]


@pytest.mark.parametrize("given", [{}, {"style_scales": [0.01]}, {"style_scales": [50]}])
@pytest.mark.parametrize("space", [(16, 160), (90, 18), (40, 30)])
def test_a_style_of_any_shape_and_scale_can_be_used(planned, photo, space, given):
    found = planned(styles=[photo(*space, seed=4)], layers={"conv5_1": 1.0}, steps=1, **given)
    assert np.isfinite(last(found).losses.total)


def test_a_style_larger_than_the_picture_is_looked_at_in_pieces_no_larger(planned, photo, monkeypatch):
    """Its memory is not estimated by itself: what the picture takes is what a piece of the style may take."""
    seen = []
    forward = perceptual.Vgg19.forward

    def watched(network, pictures, wanted):
        seen.append(max(pictures.shape[2:]))
        return forward(network, pictures, wanted)

    monkeypatch.setattr(memory, "TILES", (64,))
    monkeypatch.setattr(perceptual.Vgg19, "forward", watched)
    last(planned(styles=[photo(512, 512, seed=4)], style_scales=[8.0], steps=1, layers={"conv2_1": 1.0}))
    assert max(seen) <= 64 + 2 * memory.MARGIN


def test_the_contents_transparency_is_kept(planned, photo):
    alpha = np.full((32, 40), 255, np.uint8)
    alpha[:, :20] = 0
    alpha[:8] = 100
    result = opened(last(planned(photo(32, 40, alpha=alpha))).result().content)
    assert result.mode == "RGBA"
    assert np.array_equal(np.array(result.getchannel("A")), alpha)
    assert opened(last(planned()).result().content).mode == "RGB"


def test_a_content_of_nothing_but_transparency_is_left_as_it_is(planned, photo):
    progress = last(planned(photo(32, 40, alpha=np.zeros((32, 40), np.uint8))))
    assert progress.losses.style == 0
    assert opened(progress.result().content).getextrema()[3] == (0, 0)


def chroma(array):
    """Blue and red against the brightness of BT.601."""
    luma = array @ np.array(LUMA)
    return np.stack((array[..., 2] - luma, array[..., 0] - luma))


def test_with_the_contents_colours_the_chroma_stays_and_the_brightness_moves(planned, photo):
    # In the middle of the range, so that no colour is cut off.
    array = 100 + np.array(opened(photo(32, 40))) // 5
    out = BytesIO()
    Image.fromarray(array.astype(np.uint8)).save(out, "PNG")
    result = pixels(
        last(planned(out.getvalue(), color="content", beta=1e6, steps=8, optimizer="adam")).result().content
    )
    inside = ((result > 2) & (result < 253)).all(axis=2)
    assert inside.mean() > 0.8
    assert np.abs(chroma(result) - chroma(array.astype(int)))[:, inside].max() <= 1.5
    assert np.abs((result - array) @ np.array(LUMA)).mean() > 2


def test_matched_styles_have_the_contents_colours(planned, photo):
    red = np.zeros((40, 40, 3), np.uint8)
    red[..., 0] = np.array(opened(photo(40, 40, seed=3)))[..., 0]
    out = BytesIO()
    Image.fromarray(red).save(out, "PNG")
    given = {"styles": [out.getvalue()], "beta": 1e5, "steps": 12, "layers": {"conv1_1": 1.0}, "optimizer": "adam"}
    content = pixels(photo(32, 40))

    def away(color):
        found = pixels(last(planned(content=photo(32, 40), color=color, **given)).result().content)
        return np.abs(found.mean((0, 1)) - content.mean((0, 1))).max()

    assert away("match") < 0.5 * away("style")


def test_each_style_is_painted_where_its_mask_is_white(planned, photo):
    lying = np.where(np.arange(48) // 3 % 2, 230, 20).astype(np.uint8)[:, None, None] * np.ones((1, 48, 3), np.uint8)
    styles = [base64.b64decode(mask_of(picture)) for picture in (lying, lying.swapaxes(0, 1))]
    left = np.zeros((48, 64), np.uint8)
    left[:, :32] = 255
    for first, second, order in ((left, 255 - left, 1), (255 - left, left, -1)):
        found = planned(
            photo(48, 64),
            styles=styles,
            masks=[mask_of(first), mask_of(second)],
            **{"alpha": 0, "beta": 1, "steps": 25, "optimizer": "adam"},
        )
        result = pixels(last(found).result().content).mean(2)
        down, across = np.abs(np.diff(result, axis=0)), np.abs(np.diff(result, axis=1))
        lies = [down[:, half].mean() - across[:, half].mean() for half in (slice(4, 28), slice(36, 60))]
        assert order * (lies[0] - lies[1]) > 8


def test_a_mask_for_one_style_and_none_for_the_other(planned, photo):
    left = np.zeros((8, 10), np.uint8)  # of any size
    left[:, :5] = 255
    styles = [photo(40, 36, seed=2), photo(30, 30, seed=3)]
    assert np.isfinite(last(planned(styles=styles, masks=[mask_of(left), None])).losses.total)


def test_weights_of_styles_count_by_their_proportion(planned, photo):
    styles = [photo(40, 36, seed=2), photo(30, 30, seed=3)]
    same = [last(planned(styles=styles, style_weights=weights)).state() for weights in ([1, 3], [1, 3])]
    assert same[0] == same[1]
    small, large = (last(planned(styles=styles, style_weights=weights)) for weights in ([1, 3], [2, 6]))
    assert small.losses.total == pytest.approx(large.losses.total, rel=1e-6)
    assert last(planned(styles=styles, style_weights=[3, 1])).losses.total != small.losses.total


def test_noise_is_the_seeds(planned):
    first, again, other = (last(planned(init="noise", seed=seed)).result().content for seed in (3, 3, 4))
    assert first == again
    assert first != other


def test_a_render_can_be_made_twice_from_one_plan(planned):
    found = planned()
    assert last(found).state() == last(found).state()


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_render_goes_on_in_the_precision_that_it_began_in(planned, monkeypatch, precision):
    monkeypatch.setattr(plan, "fastest", lambda device: precision)
    states = [progress.state() for progress in planned(steps=3).render()]
    monkeypatch.setattr(plan, "fastest", lambda device: "bfloat16" if precision == "float32" else "float32")
    *_, rest = planned(steps=3).render(state=states[0])
    assert rest.state() == states[-1]
    assert np.isfinite(rest.losses.total)


def test_no_parameter_has_a_gradient_after_a_render(planned):
    last(planned())
    for parameter in perceptual.shipped().parameters():
        assert parameter.grad is None
        assert not parameter.requires_grad


@pytest.mark.parametrize("convention", ["gatys2015", "gatys_pytorch", "johnson"])
def test_each_convention_has_a_beta_of_its_own(planned, convention):
    found = planned(loss_convention=convention, beta=None)
    assert found.options.beta > 0
    assert found.engine["loss_convention"] == convention
    assert last(found).losses.style > 0


def test_beta_of_sums_follows_the_size_and_that_of_means_does_not(planned):
    small, large = (planned(size=size).options.beta for size in (32, 64))
    assert large == pytest.approx(4 * small, rel=0.1)
    small, large = (planned(size=size, loss_convention="johnson").options.beta for size in (32, 64))
    assert large == small


def test_content_alone_stays_the_content(planned, photo):
    result = pixels(last(planned(beta=0, alpha=1)).result().content)
    assert np.abs(result - pixels(photo(32, 40))).max() <= 1


def test_the_plan_tells_how_it_will_be_made(planned):
    found = planned(medium=None, layers=None, optimizer=None)
    assert found.medium == "picture"
    assert found.memory_bytes > memory.BASE
    assert all(getattr(found.options, name) is not None for name in ("medium", "size", "beta", "layers", "optimizer"))
    assert found.engine["weights"] == "shipped"
    assert found.engine["device"] in ("cpu", "cuda")
    assert Options.of(found.options.as_json()) == found.options


def test_weights_of_ones_own_render_otherwise_and_are_told_of(planned, tmp_path, random_network):
    from safetensors.torch import save_file

    path = tmp_path / "own.safetensors"
    state = {f"convolutions.{name}": value for name, value in random_network.convolutions.state_dict().items()}
    save_file({name.removeprefix("convolutions."): value.contiguous() for name, value in state.items()}, path)
    own = planned(weights=path)
    assert own.engine["weights"] == perceptual.digest(path)
    assert own.identity != planned().identity
    assert last(own).losses.total != last(planned()).losses.total


def test_the_watcher_can_stop_a_render(planned):
    def stop():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        next(planned().render(beat=stop))


def test_closing_the_render_stops_it(planned):
    found = planned(steps=50).render()
    next(found)
    found.close()
    assert next(found, None) is None


# What is refused, and by what name.


def wav():
    samples = struct.pack("<100h", *range(100))
    header = struct.pack(
        "<4sI4s4sIHHIIHH4sI", b"RIFF", 236, b"WAVE", b"fmt ", 16, 1, 1, 8000, 16000, 2, 16, b"data", 200
    )
    return header + samples


def one_colour(width, height):
    """A PNG of millions of pixels in some kilobytes, as nobody decodes it."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packer = zlib.compressobj(1)
    row = b"\0" + bytes(-(-width // 8))
    body = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


@pytest.mark.parametrize("where", ["content", "styles", "masks"])
@pytest.mark.parametrize(
    ("file", "error"),
    [
        (wav(), UnsupportedMedia),
        (b"", UnsupportedMedia),
        (b"text", UnsupportedMedia),
        (b"\x89PNG\r\n\x1a\n cut short", UnreadableImage),
        (one_colour(10_000, 10_000), TooManyPixels),
    ],
    ids=["a wav", "nothing", "text", "damaged", "a hundred megapixels"],
)
def test_a_file_that_is_no_picture_is_refused(photo, where, file, error):
    given = {"content": photo(32, 40), "styles": [photo(40, 36)]}
    options = {"medium": "picture"}
    if where == "masks":
        options["masks"] = [base64.b64encode(file).decode()]
    else:
        given[where] = file if where == "content" else [file]
    with pytest.raises(error):
        plan.plan(given["content"], given["styles"], Options.of(options))


def test_the_limit_of_pixels_can_be_set(planned):
    planned(limits=Limits(pixels=40 * 36))
    with pytest.raises(TooManyPixels):
        planned(limits=Limits(pixels=40 * 36 - 1))


@pytest.mark.parametrize("space", [(1, 1), (1, 100), (100, 15)])
def test_a_picture_of_hardly_any_pixels_is_refused(planned, photo, space):
    with pytest.raises(InvalidOption):
        planned(styles=[photo(*space)])
    with pytest.raises(InvalidOption):
        planned(photo(*space))


def test_a_size_at_which_the_picture_becomes_a_line_is_refused(planned, photo):
    with pytest.raises(InvalidOption) as refused:
        planned(photo(20, 400), size=64)
    assert refused.value.option == "size"


def test_layers_that_do_not_exist_are_refused(planned):
    for name in ("conv6_1", "relu1_1", "conv1_3", ""):
        with pytest.raises(InvalidOption) as refused:
            planned(layers={name: 1.0})
        assert refused.value.option == "layers"


@pytest.mark.parametrize(
    ("option", "value"), [("style_weights", [1, 2]), ("style_scales", [1, 1]), ("masks", [None, None])]
)
def test_lists_of_another_length_than_the_styles_are_refused(planned, option, value):
    with pytest.raises(InvalidOption) as refused:
        planned(**{option: value})
    assert refused.value.option == option


def test_no_styles_and_too_many_are_refused(photo):
    for styles in ([], [photo(20, 20)] * 5):
        with pytest.raises(InvalidOption):
            plan.plan(photo(20, 20), styles, Options())


@pytest.mark.parametrize("space", [(1800, 3000), (3111, 1777), (2000, 2000)])
def test_what_is_too_large_for_the_memory_is_refused_with_the_size_that_fits(space):
    out = BytesIO()
    Image.new("RGB", space[::-1], "teal").save(out, "PNG")
    for mebibytes in (1600, 1800, 1999):
        limits = Limits(memory_bytes=mebibytes << 20)

        def planned(size, limits=limits):
            return plan.plan(out.getvalue(), [out.getvalue()], Options.of({"size": size}), limits=limits)

        with pytest.raises(TooLarge) as refused:
            planned(8000)
        fits = refused.value.fits
        assert f"size {fits}" in str(refused.value)
        assert planned(fits).memory_bytes <= limits.memory_bytes
        with pytest.raises(TooLarge):
            planned(fits + 32)


def test_memory_in_which_nothing_fits_is_told_so(planned):
    with pytest.raises(TooLarge) as refused:
        planned(limits=Limits(memory_bytes=1 << 20))
    assert refused.value.fits == 0
    assert "nothing" in str(refused.value)


def test_the_limit_is_half_of_the_machine_unless_told():
    assert Limits(memory_bytes=5).memory() == 5
    assert Limits().memory() > 1 << 28


@pytest.mark.gpu
def test_on_a_gpu_a_render_goes_on_where_it_was(planned):
    assert plan.device() == "cuda"
    states = [progress.state() for progress in planned(steps=3, optimizer="adam").render()]
    *_, rest = planned(steps=3, optimizer="adam").render(state=states[0])
    assert rest.step == 3
    assert torch.cuda.is_available()
