import pytest
import torch

from models.style.objective import Objective, Style, Terms
from models.style.tiles import TiledObjective, activations, mean_grams, tiles

LAYERS = {"fine": 0.5, "middle": 0.2, "coarse": 0.3}
SPACES = [(61,), (64,), (29, 37), (32, 24), (13, 10, 11)]
NAMES = ["odd line", "line", "odd plane", "plane", "room"]


@pytest.fixture
def objective(toy, canvas):
    """(*space) -> an objective of that space; masked: two styles, each with a mask of its own, and one without."""

    def make(*space, masked=False, content=True, tv=0.5):
        network = toy(len(space))
        generator = torch.Generator().manual_seed(7)

        def mask():
            return {
                name: torch.rand([n // network.stride(name) for n in space], generator=generator).round()
                for name in LAYERS
            }

        masks = [mask(), mask(), None] if masked else [None]
        styles = [
            Style(mean_grams(network, canvas(*space, seed=5 + k), list(LAYERS)), 1 / len(masks), found)
            for k, found in enumerate(masks)
        ]
        kept = network(canvas(*space, seed=3), ["middle"])["middle"] if content else None
        return Objective(network, kept, styles, Terms(1.0, 200.0, LAYERS, "middle", tv=tv))

    return make


@pytest.mark.parametrize("masked", [False, True], ids=["everywhere", "masked"])
@pytest.mark.parametrize("side", [1, 4, 9, 16, 1000])
@pytest.mark.parametrize("space", SPACES, ids=NAMES)
def test_what_is_looked_at_in_tiles_costs_what_it_costs_whole(objective, canvas, space, side, masked):
    whole, ours = objective(*space, masked=masked), canvas(*space)
    losses, gradient = whole(ours)
    found, found_gradient = TiledObjective(whole, side)(ours)
    assert found.total == pytest.approx(losses.total, rel=1e-9)
    assert found.content == pytest.approx(losses.content, rel=1e-9)
    assert found.per_layer == pytest.approx(losses.per_layer, rel=1e-9)
    torch.testing.assert_close(found_gradient, gradient, rtol=1e-9, atol=1e-9 * float(gradient.abs().max()))


@pytest.mark.parametrize("content", [False, True])
def test_vgg19_in_tiles_is_vgg19(exact_network, canvas, content):
    layers = {"conv1_1": 0.5, "conv3_1": 0.5}
    ours = canvas(90, 117)
    kept = exact_network(canvas(90, 117, seed=2), ["conv2_2"])["conv2_2"] if content else None
    styles = [Style(mean_grams(exact_network, canvas(48, 64, seed=3), list(layers)))]
    whole = Objective(exact_network, kept, styles, Terms(1.0, 1e3, layers, "conv2_2"))
    losses, gradient = whole(ours)
    found, found_gradient = TiledObjective(whole, 40)(ours)
    assert found.total == pytest.approx(losses.total, rel=1e-9)
    torch.testing.assert_close(found_gradient, gradient, rtol=1e-9, atol=1e-9 * float(gradient.abs().max()))


@pytest.mark.parametrize("space", SPACES, ids=NAMES)
@pytest.mark.parametrize("side", [1, 4, 9, 16, 1000])
def test_tiles_cover_the_space_once_and_see_a_margin(toy, space, side):
    network = toy(len(space))
    covered = torch.zeros(space, dtype=torch.int)
    step, reach = network.stride("coarse"), network.reach("coarse")
    for tile in tiles(space, side, network, list(LAYERS)):
        covered[tile.core] += 1
        for core, seen, length in zip(tile.core, tile.seen, space, strict=True):
            assert core.start % step == seen.start % step == 0
            assert core.stop % step == 0 or core.stop == length
            # The last tile of an axis takes what is left over beside whole steps.
            assert core.stop - core.start < max(side, step) + step
            assert seen.start == 0 or core.start - seen.start >= (reach - step) / 2
            assert seen.stop == length or seen.stop - core.stop >= (reach - step) / 2
    assert (covered == 1).all()


def test_one_tile_is_enough_for_what_fits_into_it(toy):
    assert len(tiles((16, 16), 16, toy(2), ["coarse"])) == 1
    assert len(tiles((32, 16), 16, toy(2), ["coarse"])) == 2


def test_whoever_watches_hears_of_every_tile_in_each_pass(objective, canvas):
    heard, whole = [], objective(29, 37)
    TiledObjective(whole, 12)(canvas(29, 37), lambda: heard.append(1))
    assert len(heard) == 2 * len(tiles((29, 37), 12, whole.network, list(LAYERS)))


@pytest.mark.parametrize("when", [1, 3, 7])
def test_what_the_watcher_raises_passes_through(objective, canvas, when):
    heard = []

    def watch():
        heard.append(1)
        if len(heard) == when:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        TiledObjective(objective(16, 32), 8)(canvas(16, 32), watch)
    assert len(heard) == when


def test_the_canvas_that_was_looked_at_is_left_alone(objective, canvas):
    ours = canvas(29, 37)
    before = ours.clone()
    TiledObjective(objective(29, 37), 12)(ours)
    assert torch.equal(ours, before)
    assert not ours.requires_grad


@pytest.mark.parametrize("space", SPACES, ids=NAMES)
def test_activations_and_gram_matrices_in_tiles_are_those_of_the_whole(toy, canvas, space):
    network, ours = toy(len(space)), canvas(*space)
    for name, layer in activations(network, ours, list(LAYERS), 8).items():
        torch.testing.assert_close(layer, network(ours, [name])[name])
    whole = mean_grams(network, ours, list(LAYERS))
    for name, mean in mean_grams(network, ours, list(LAYERS), 8).items():
        torch.testing.assert_close(mean, whole[name])
        rows = network(ours, [name])[name][0].flatten(1)
        torch.testing.assert_close(mean, rows @ rows.T / rows.shape[1])


def test_the_gradient_lies_as_the_canvas_does_and_in_its_precision(objective, canvas):
    ours = canvas(29, 37).float()
    _, gradient = TiledObjective(objective(29, 37), 12)(ours)
    assert gradient.dtype == torch.float32
    assert gradient.shape == ours.shape
