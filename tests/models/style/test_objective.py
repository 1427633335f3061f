"""The costs, against slow loops over the papers' formulas, and their gradients, against small steps."""

import pytest
import torch

from models.style.objective import Objective, Style, Terms, content_factor, style_factor, total_variation
from models.style.tiles import mean_grams

LAYERS = {"fine": 0.7, "coarse": 0.3}
VGG_LAYERS = ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1")


def terms(alpha=1.0, beta=100.0, layers=None, content="middle", **others):
    return Terms(alpha, beta, layers or LAYERS, content, **others)


def style_of(network, picture, weight=1.0, masks=None, layers=tuple(LAYERS)):
    return Style(mean_grams(network, picture, list(layers)), weight, masks)


def content_of(network, picture, layer="middle"):
    return network(picture, [layer])[layer].detach()


def raw_gram(layer):
    """By loops over the channels: sums of products over places."""
    rows = layer[0].flatten(1)
    return [[float((a * b).sum()) for b in rows] for a in rows]


def slow_style(convention, ours, theirs):
    """One layer's cost as the papers and programs write it; ours and theirs: activations, not of one size."""
    channels, m, m_style = ours.shape[1], ours[0, 0].numel(), theirs[0, 0].numel()
    total = 0.0
    for row, style_row in zip(raw_gram(ours), raw_gram(theirs), strict=True):
        for g, a in zip(row, style_row, strict=True):
            if convention == "gatys2015":  # 1 / (4 N^2 M^2) sum (G - A)^2, with A as if the style had M places
                total += (g - a * m / m_style) ** 2 / (4 * channels**2 * m**2)
            elif convention == "gatys_pytorch":  # Gram / (h w), the mean square, times 1 / n^2
                total += (g / m - a / m_style) ** 2 / channels**2 / channels**2
            else:  # Gram / (C h w), the mean square
                total += (g / (channels * m) - a / (channels * m_style)) ** 2 / channels**2
    return total


def slow_content(convention, ours, theirs):
    squares = [(float(x) - float(y)) ** 2 for x, y in zip(ours.flatten(), theirs.flatten(), strict=True)]
    return sum(squares) / 2 if convention == "gatys2015" else sum(squares) / len(squares)


def slow_variation(canvas):
    total = 0.0
    _, channels, height, width = canvas.shape
    for c in range(channels):
        for y in range(height):
            for x in range(width):
                if y + 1 < height:
                    total += 0.5 * float(canvas[0, c, y + 1, x] - canvas[0, c, y, x]) ** 2
                if x + 1 < width:
                    total += 0.5 * float(canvas[0, c, y, x + 1] - canvas[0, c, y, x]) ** 2
    return total


@pytest.mark.parametrize("convention", ["gatys2015", "gatys_pytorch", "johnson"])
@pytest.mark.parametrize("style_space", [(12, 16), (20, 9)], ids=["style as large", "style of another size"])
def test_the_costs_are_those_of_the_papers(toy, canvas, convention, style_space):
    network, ours, other = toy(2), canvas(12, 16, seed=1), canvas(12, 16, seed=2)
    style = canvas(*style_space, seed=3)
    objective = Objective(
        network,
        content_of(network, other),
        [style_of(network, style)],
        terms(2.0, 30.0, convention=convention, tv=0.1),
    )
    losses, _ = objective(ours)
    found, seen = network(ours, toy.LAYERS), network(style, toy.LAYERS)
    content = slow_content(convention, found["middle"], network(other, ["middle"])["middle"])
    per_layer = {name: share * slow_style(convention, found[name], seen[name]) for name, share in LAYERS.items()}
    assert losses.content == pytest.approx(content, rel=1e-10)
    assert losses.per_layer == pytest.approx(per_layer, rel=1e-10)
    assert losses.style == pytest.approx(sum(per_layer.values()), rel=1e-10)
    variation = slow_variation(ours)
    assert losses.total == pytest.approx(2.0 * content + 30.0 * sum(per_layer.values()) + 0.1 * variation, rel=1e-10)


def test_the_papers_formula_to_the_letter_for_vgg19(exact_network, canvas):
    ours, content, style = canvas(24, 32, seed=1), canvas(24, 32, seed=2), canvas(24, 32, seed=3)
    objective = Objective(
        exact_network,
        content_of(exact_network, content, "conv4_2"),
        [style_of(exact_network, style, layers=VGG_LAYERS)],
        terms(1.0, 1e3, dict.fromkeys(VGG_LAYERS, 0.2), "conv4_2"),
    )
    losses, _ = objective(ours)
    found = exact_network(ours, [*VGG_LAYERS, "conv4_2"])
    seen = exact_network(style, VGG_LAYERS)
    distance = 0.5 * float((found["conv4_2"] - exact_network(content, ["conv4_2"])["conv4_2"]).square().sum())
    assert losses.content == pytest.approx(distance, rel=1e-10)
    for name in VGG_LAYERS:
        f, s = found[name][0].flatten(1), seen[name][0].flatten(1)
        n, m = f.shape
        cost = float((f @ f.T - s @ s.T).square().sum()) / (4 * n**2 * m**2)
        assert losses.per_layer[name] == pytest.approx(0.2 * cost, rel=1e-9)
    assert losses.total == pytest.approx(losses.content + 1e3 * losses.style, rel=1e-12)


@pytest.mark.parametrize(
    ("term", "convention"),
    [
        *((term, "gatys2015") for term in ("content", *VGG_LAYERS, "variation")),
        *((term, convention) for term in ("content", "conv3_1") for convention in ("gatys_pytorch", "johnson")),
    ],
)
def test_the_gradient_of_each_cost_through_vgg19_is_that_of_small_steps(exact_network, canvas, term, convention):
    ours = canvas(17, 21, seed=1)
    layer = term if term in VGG_LAYERS else "conv1_1"
    objective = Objective(
        exact_network,
        content_of(exact_network, canvas(17, 21, seed=2), "conv4_2") if term == "content" else None,
        [style_of(exact_network, canvas(32, 24, seed=3), layers=(layer,))],
        terms(
            1.0 if term == "content" else 0.0,
            1.0 if term in VGG_LAYERS else 0.0,
            {layer: 1.0},
            "conv4_2",
            convention=convention,
            tv=1.0 if term == "variation" else 0.0,
        ),
    )
    _, gradient = objective(ours)
    generator = torch.Generator().manual_seed(4)
    for _ in range(3):
        direction = torch.randn(ours.shape, generator=generator, dtype=torch.float64)
        small = 1e-5
        after, before = (objective(ours + sign * small * direction)[0].total for sign in (1, -1))
        slope = float((gradient * direction).sum())
        assert slope == pytest.approx((after - before) / (2 * small), rel=2e-4)


def test_the_gradient_of_everything_at_once_at_single_pixels(exact_network, canvas):
    ours = canvas(16, 16, seed=1)
    objective = Objective(
        exact_network,
        content_of(exact_network, canvas(16, 16, seed=2), "conv4_2"),
        [style_of(exact_network, canvas(16, 16, seed=3), layers=VGG_LAYERS)],
        terms(1.0, 1e4, dict.fromkeys(VGG_LAYERS, 0.2), "conv4_2", tv=10.0),
    )
    _, gradient = objective(ours)
    for place in [(0, 0, 0, 0), (0, 1, 7, 8), (0, 2, 15, 15)]:
        moved = torch.zeros_like(ours)
        moved[place] = 1e-4
        slope = (objective(ours + moved)[0].total - objective(ours - moved)[0].total) / 2e-4
        assert float(gradient[place]) == pytest.approx(slope, rel=1e-4)


def test_what_counts_nothing_costs_nothing_and_moves_nothing(toy, canvas):
    network, ours = toy(2), canvas(12, 12)
    styles = [style_of(network, canvas(12, 12, seed=3))]
    losses, gradient = Objective(network, None, styles, terms(beta=0.0))(ours)
    assert (losses.content, losses.total) == (0, 0)
    assert losses.style > 0
    assert not gradient.any()


def test_the_content_itself_and_the_style_itself_cost_nothing(toy, canvas):
    network, ours = toy(2), canvas(12, 12)
    losses, gradient = Objective(network, content_of(network, ours), [style_of(network, ours)], terms())(ours)
    assert losses.total == pytest.approx(0, abs=1e-12)
    assert float(gradient.abs().max()) < 1e-6


def test_several_styles_cost_their_weighed_sum(toy, canvas):
    network, ours = toy(2), canvas(12, 16)
    pictures = [canvas(12, 16, seed=5), canvas(9, 11, seed=6)]

    def cost(*styles):
        return Objective(network, None, styles, terms())(ours)

    both, gradient = cost(style_of(network, pictures[0], 0.25), style_of(network, pictures[1], 0.75))
    alone = [cost(style_of(network, picture)) for picture in pictures]
    assert both.style == pytest.approx(0.25 * alone[0][0].style + 0.75 * alone[1][0].style, rel=1e-12)
    torch.testing.assert_close(gradient, 0.25 * alone[0][1] + 0.75 * alone[1][1])


def halves(space, strides):
    """A mask of the left half for each layer, and one of the right."""
    left, right = {}, {}
    for name, stride in strides.items():
        mask = torch.zeros([length // stride for length in space])
        mask[:, : mask.shape[1] // 2] = 1
        left[name], right[name] = mask, 1 - mask
    return left, right


def test_a_masked_style_is_asked_of_its_places_only(toy, canvas):
    network, ours = toy(2), canvas(12, 16)
    left, right = halves((12, 16), {"fine": 1, "coarse": 4})
    pictures = [canvas(12, 16, seed=5), canvas(12, 16, seed=6)]
    styles = [style_of(network, pictures[0], 0.5, left), style_of(network, pictures[1], 0.5, right)]
    losses, _ = Objective(network, None, styles, terms())(ours)
    expected = 0.0
    for name, share in LAYERS.items():
        layer = network(ours, [name])[name]
        middle = layer.shape[3] // 2
        for part, picture in zip((layer[..., :middle], layer[..., middle:]), pictures, strict=True):
            expected += 0.5 * share * slow_style("gatys2015", part, network(picture, [name])[name])
    assert losses.style == pytest.approx(expected, rel=1e-9)


def test_a_mask_in_grey_weighs_the_places(toy, canvas):
    network, ours = toy(2), canvas(12, 16)
    generator = torch.Generator().manual_seed(1)
    mask = {"fine": torch.rand(12, 16, generator=generator)}
    style = style_of(network, canvas(12, 16, seed=5), masks=mask, layers=("fine",))
    losses, _ = Objective(network, None, [style], terms(layers={"fine": 1.0}))(ours)
    rows = network(ours, ["fine"])["fine"][0].flatten(1)
    weights = mask["fine"].double().flatten()
    guided = (rows * weights) @ rows.T / weights.sum()
    expected = float((guided - style.grams["fine"]).square().sum()) / (4 * rows.shape[0] ** 2)
    assert losses.style == pytest.approx(expected, rel=1e-5)


def test_a_mask_that_is_empty_asks_for_nothing(toy, canvas):
    network, ours = toy(2), canvas(12, 12)
    empty = {"fine": torch.zeros(12, 12), "coarse": torch.zeros(3, 3)}
    style = style_of(network, canvas(12, 12, seed=5), masks=empty)
    losses, gradient = Objective(network, content_of(network, ours), [style], terms())(ours)
    assert losses.style == 0
    assert not gradient.any()


def test_styles_with_masks_and_without_go_together(toy, canvas):
    network, ours = toy(2), canvas(12, 16)
    left, _ = halves((12, 16), {"fine": 1, "coarse": 4})
    masked = style_of(network, canvas(12, 16, seed=5), 0.5, left)
    plain = style_of(network, canvas(12, 16, seed=6), 0.5)
    both = Objective(network, None, [masked, plain], terms())(ours)[0].style
    alone = [Objective(network, None, [style], terms())(ours)[0].style for style in (masked, plain)]
    assert both == pytest.approx(sum(alone), rel=1e-12)


def test_the_two_programs_differ_in_nothing_but_their_weights(toy, canvas):
    network, ours = toy(2), canvas(12, 16)

    def losses(convention):
        content = content_of(network, canvas(12, 16, seed=2))
        style = style_of(network, canvas(9, 16, seed=3))
        return Objective(network, content, [style], terms(convention=convention))(ours)[0]

    ours_pytorch, johnson, gatys = losses("gatys_pytorch"), losses("johnson"), losses("gatys2015")
    assert ours_pytorch == johnson
    channels, values = 5, content_of(network, ours).numel()
    assert gatys.style / johnson.style == pytest.approx(channels**2 / 4)
    assert gatys.content / johnson.content == pytest.approx(values / 2)


def test_the_factors_of_the_conventions():
    assert (style_factor("gatys2015", 64), content_factor("gatys2015", 10)) == (1 / (4 * 64**2), 0.5)
    assert (style_factor("gatys_pytorch", 64), content_factor("gatys_pytorch", 10)) == (1 / 64**4, 0.1)


@pytest.mark.parametrize("space", [(9,), (4, 5), (3, 4, 5)], ids=["line", "plane", "room"])
def test_total_variation_sums_over_each_axis_of_space(canvas, space):
    values = canvas(*space)
    expected = sum(0.5 * float(values.diff(dim=axis).square().sum()) for axis in range(2, values.dim()))
    assert float(total_variation(values)) == pytest.approx(expected)
    assert float(total_variation(torch.full_like(values, 7.0))) == 0


def test_a_canvas_of_numbers_that_are_none_costs_no_number(toy, canvas):
    network, ours = toy(2), canvas(12, 12)
    objective = Objective(network, content_of(network, ours), [style_of(network, ours)], terms())
    ours[0, 0, 3, 3] = float("nan")
    assert not torch.tensor(objective(ours)[0].total).isfinite()


def test_whoever_watches_hears_of_every_evaluation(toy, canvas):
    network, ours, heard = toy(2), canvas(12, 12), []
    objective = Objective(network, content_of(network, ours), [style_of(network, ours)], terms())
    objective(ours, lambda: heard.append(1))
    assert heard


def test_what_the_watcher_raises_passes_through(toy, canvas):
    network, ours = toy(2), canvas(12, 12)
    objective = Objective(network, content_of(network, ours), [style_of(network, ours)], terms())

    def stop():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        objective(ours, stop)


def test_the_canvas_that_was_looked_at_is_left_alone(toy, canvas):
    network, ours = toy(2), canvas(12, 12)
    before = ours.clone()
    Objective(network, content_of(network, ours), [style_of(network, canvas(12, 12, seed=4))], terms(tv=1.0))(ours)
    assert torch.equal(ours, before)
    assert not ours.requires_grad
    assert ours.grad is None


def test_half_precision_costs_nearly_the_same(canvas):
    from models.style import perceptual

    shipped = perceptual.shipped()
    ours, content, style = (canvas(32, 48, seed=seed).float() for seed in (1, 2, 3))
    found = {}
    for precision in ("float32", "bfloat16"):
        network = shipped.configured(pooling="max", padding="replicate", precision=precision)
        objective = Objective(
            network,
            content_of(network, content, "conv4_2"),
            [style_of(network, style, layers=VGG_LAYERS)],
            terms(1.0, 1e3, dict.fromkeys(VGG_LAYERS, 0.2), "conv4_2"),
        )
        found[precision] = objective(ours)
    (exact, gradient), (coarse, roughly) = found["float32"], found["bfloat16"]
    assert coarse.total == pytest.approx(exact.total, rel=0.05)
    assert roughly.dtype == torch.float32
    assert float(torch.cosine_similarity(gradient.flatten(), roughly.flatten(), dim=0)) > 0.98
