"""The encoder network: its shape, and that folding the norms changes no number that matters."""

import torch

from models.encoder import DIMENSIONS, INPUT_PX, Encoder
from models.face.align import middle
from models.weights import load_encoder, sample_crops


def crops() -> torch.Tensor:
    return torch.stack([torch.from_numpy(middle(crop)) for crop in sample_crops()]).permute(0, 3, 1, 2).float()


def randomised() -> Encoder:
    """A network whose norms are all different from the identity, as after training."""
    torch.manual_seed(5)
    network = Encoder().eval()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d | torch.nn.BatchNorm1d):
            for values, low, high in ((module.weight, 0.5, 1.5), (module.bias, -0.5, 0.5)):
                torch.nn.init.uniform_(values, low, high)
            torch.nn.init.uniform_(module.running_mean, -0.5, 0.5)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
    return network


@torch.inference_mode()
def test_maps_crops_to_128_numbers_each() -> None:
    out = load_encoder("sface")(torch.zeros(3, 3, INPUT_PX, INPUT_PX))
    assert out.shape == (3, DIMENSIONS)
    assert out.dtype == torch.float32


@torch.inference_mode()
def test_folded_network_computes_the_same_function__random_norms() -> None:
    picture = torch.rand(2, 3, INPUT_PX, INPUT_PX, dtype=torch.float64) * 255
    network = randomised().double()
    expected = network(picture)
    torch.testing.assert_close(network.folded()(picture), expected, rtol=1e-9, atol=1e-9)


@torch.inference_mode()
def test_folded_network_computes_the_same_function__shipped_weights() -> None:
    expected = load_encoder("sface")(crops())
    torch.testing.assert_close(load_encoder("sface").folded()(crops()), expected, rtol=1e-3, atol=1e-4)


@torch.inference_mode()
def test_each_row_of_a_batch_is_what_it_is_alone() -> None:
    network, batch = load_encoder("sface"), crops()
    together = network(batch)
    for i in range(len(batch)):
        torch.testing.assert_close(together[i], network(batch[i : i + 1])[0], rtol=1e-4, atol=1e-5)
