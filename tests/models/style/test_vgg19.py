import pytest
import torch
from torch.nn import functional as F

from models.errors import WeightsError
from models.style import perceptual
from models.style.vgg19 import BLOCKS, LAYERS, MEANS_RGB, Vgg19, multiplications, reach, stride

MEANS = torch.tensor(MEANS_RGB)[:, None, None]


def plain(network, pictures, pooling=F.max_pool2d, replicate=False):
    """The network as its paper draws it, in one loop."""
    x, found = pictures - network.means, {}
    for number, name in enumerate(LAYERS):
        if name.endswith("_1") and number:
            x = pooling(x, 2)
        convolution = network.convolutions[name]
        if replicate and not number:
            x = F.conv2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), convolution.weight, convolution.bias)
        else:
            x = F.conv2d(x, convolution.weight, convolution.bias, padding=1)
        x = found[name] = x.relu()
    return found


def test_the_layers_are_those_of_vgg19():
    assert len(LAYERS) == 16
    assert LAYERS[0] == "conv1_1"
    assert LAYERS[-1] == "conv5_4"
    assert [len(block) for block in BLOCKS] == [2, 2, 4, 4, 4]


@pytest.mark.parametrize("pooling", ["max", "average"])
@pytest.mark.parametrize("padding", ["zeros", "replicate"])
def test_is_the_network_of_the_paper(exact_network, canvas, pooling, padding):
    network = perceptual.shipped().configured(pooling=pooling, padding=padding, precision="float32")
    picture = canvas(35, 51)
    pool = F.max_pool2d if pooling == "max" else F.avg_pool2d
    expected = plain(exact_network, picture, pool, padding == "replicate")
    for name, layer in network(picture.float(), LAYERS).items():
        torch.testing.assert_close(layer.double(), expected[name], rtol=1e-3, atol=1e-4 * float(expected[name].max()))


@pytest.mark.parametrize("space", [(16, 16), (33, 47), (64, 40)])
def test_the_gradient_in_single_precision_is_that_in_double(exact_network, canvas, space):
    layers = ("conv1_1", "conv2_1", "conv3_1", "conv4_2", "conv5_1")
    gradients = []
    for network in (exact_network, perceptual.shipped()):
        leaf = canvas(*space).to(network.means.dtype).requires_grad_()
        sum(layer.square().mean() for layer in network(leaf, layers).values()).backward()
        gradients.append(leaf.grad.double())
    # Where two of four are all but alike, the pooling may take another in single precision: few places, small effect.
    assert float((gradients[0] - gradients[1]).norm() / gradients[0].norm()) < 1e-3


def test_half_precision_is_near(canvas):
    shipped, picture = perceptual.shipped(), canvas(48, 48).float()
    half = shipped.configured(pooling="max", padding="zeros", precision="bfloat16")
    exact = shipped(picture, LAYERS)
    for name, layer in half(picture, LAYERS).items():
        assert layer.dtype == torch.bfloat16
        assert float((layer.float() - exact[name]).norm() / exact[name].norm()) < 0.05


def test_nothing_beyond_the_deepest_wanted_layer_is_computed(random_network, canvas):
    found = random_network(canvas(4, 4).float(), ["conv3_1", "conv1_2"])
    assert sorted(found) == ["conv1_2", "conv3_1"]  # 4 x 4 would not reach the fourth block
    assert found["conv3_1"].shape == (1, 256, 1, 1)


def test_what_does_not_exist_and_what_is_too_small_is_refused(random_network, canvas):
    with pytest.raises(ValueError, match="conv6_1"):
        random_network(canvas(32, 32).float(), ["conv1_1", "conv6_1"])
    with pytest.raises(ValueError, match="40 x 15 does not reach conv5_1"):
        random_network(canvas(15, 40).float(), ["conv5_1"])


def test_several_pictures_are_seen_one_by_one(random_network, canvas):
    pictures = torch.cat((canvas(24, 24, seed=1), canvas(24, 24, seed=2))).float()
    both = random_network(pictures, ["conv3_1"])["conv3_1"]
    alone = random_network(pictures[1:], ["conv3_1"])["conv3_1"]
    torch.testing.assert_close(both[1:], alone, rtol=1e-4, atol=1e-4 * float(alone.max()))


@pytest.fixture(scope="module")
def transparent():
    """Every filter alike and positive, averages as pooling: an impulse comes through wherever it can be seen."""
    network = Vgg19(pooling="average").double()
    for convolution in network.convolutions.values():
        convolution.weight.data.fill_(1.0 / convolution.in_channels)
        convolution.bias.data.zero_()
    return network


@pytest.mark.parametrize("layer", ["conv1_1", "conv1_2", "conv2_1", "conv3_1", "conv3_4", "conv4_2"])
def test_the_reach_and_stride_are_those_that_impulses_find(transparent, layer):
    """A pixel moves a unit if, and only if, the unit sees it: the gradient of a unit shows which pixels these are."""
    side = 2 * reach(layer) // stride(layer) * stride(layer) + 2 * stride(layer)
    # A picture of one row would pool to nothing: sixteen, and the middle unit.
    picture = (torch.ones(1, 3, 16, side, dtype=torch.float64) + MEANS).requires_grad_()
    units = transparent(picture, [layer])[layer]
    assert units.shape[-1] == side // stride(layer)
    begins = []
    for unit in (units.shape[-1] // 2, units.shape[-1] // 2 + 1):
        (seen,) = torch.autograd.grad(units[0, 0, units.shape[2] // 2, unit], picture, retain_graph=True)
        columns = seen[0].abs().sum((0, 1)).nonzero().flatten()
        assert int(columns[-1] - columns[0]) + 1 == reach(layer) == transparent.reach(layer)
        begins.append(int(columns[0]))
    assert begins[1] - begins[0] == stride(layer) == transparent.stride(layer)


def test_reach_and_stride_are_those_that_are_known_of_vgg19():
    assert [(stride(name), reach(name)) for name in ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1")] == [
        (1, 3),
        (2, 10),
        (4, 24),
        (8, 68),
        (16, 156),
    ]


def test_multiplications_are_those_that_the_shapes_ask_for(random_network, canvas):
    layers = ["conv1_1", "conv3_2"]
    counted, wanted = 0, LAYERS[: LAYERS.index("conv3_2") + 1]
    for name, layer in random_network(canvas(37, 50).float(), wanted).items():
        counted += random_network.convolutions[name].weight[0].numel() * layer.numel()
    assert multiplications(37, 50, layers) == counted
    assert multiplications(224, 224, ["conv5_4"]) == pytest.approx(19.5e9, rel=0.01)  # known of VGG-19


def test_no_parameter_ever_has_a_gradient(random_network, canvas):
    for precision in ("float32", "bfloat16"):
        network = random_network.configured(pooling="max", padding="replicate", precision=precision)
        leaf = canvas(32, 32).float().requires_grad_()
        network(leaf, ["conv5_1"])["conv5_1"].float().sum().backward()
        assert leaf.grad.any()
        assert not any(parameter.requires_grad or parameter.grad is not None for parameter in network.parameters())


def test_another_way_of_computing_shares_the_weights_and_leaves_the_network():
    network = perceptual.shipped()
    other = network.configured(pooling="average", padding="replicate", precision="float32")
    assert (network.pooling, network.padding) == ("max", "zeros")
    assert other.digest == network.digest
    for name in LAYERS:
        assert other.convolutions[name].weight.data_ptr() == network.convolutions[name].weight.data_ptr()


def torchvisions_form(network):
    """A state dict as torchvision writes it, for a picture of 0..1 that is normalised before."""
    places = [0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34]
    state = {}
    for place, name in zip(places, LAYERS, strict=True):
        state[f"features.{place}.weight"] = network.convolutions[name].weight.clone()
        state[f"features.{place}.bias"] = network.convolutions[name].bias.clone()
    state["classifier.0.weight"] = torch.zeros(2, 2)
    return state


def test_torchvisions_weights_answer_as_they_do_behind_torchvisions_normalisation(random_network, canvas):
    picture = canvas(33, 34).float()
    means, spreads = torch.tensor((0.485, 0.456, 0.406)), torch.tensor((0.229, 0.224, 0.225))
    x = (picture / 255.0 - means[:, None, None]) / spreads[:, None, None]
    expected = {}
    for number, name in enumerate(LAYERS):
        x = F.max_pool2d(x, 2) if name.endswith("_1") and number else x
        convolution = random_network.convolutions[name]
        x = expected[name] = F.conv2d(x, convolution.weight, convolution.bias, padding=1).relu()
    for name, layer in Vgg19.of(torchvisions_form(random_network))(picture, LAYERS).items():
        torch.testing.assert_close(layer, expected[name], rtol=1e-3, atol=1e-4 * float(expected[name].max()))


@pytest.mark.parametrize(
    "damage",
    [
        lambda state: state.pop("features.14.bias"),
        lambda state: state.update({"features.0.weight": torch.zeros(64, 1, 3, 3)}),
        lambda state: state.update({"features.0.weight": "filters"}),
        lambda state: state.clear(),
    ],
    ids=["one is missing", "another shape", "no tensor", "empty"],
)
def test_what_is_no_vgg19_is_refused(random_network, damage):
    state = torchvisions_form(random_network)
    damage(state)
    with pytest.raises(WeightsError, match="no VGG-19"):
        Vgg19.of(state)
