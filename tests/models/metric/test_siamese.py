import math

import pytest
import torch

from models.metric.siamese import ConcatenationHead, DifferenceHead, siamese_loss


def test_the_difference_head_is_the_weighted_sum_of_the_paper(embeddings):
    head = DifferenceHead().double()
    with torch.no_grad():
        head.weigh.weight.copy_(torch.randn(1, 128, generator=torch.Generator().manual_seed(1)))
    first, second = embeddings(3), embeddings(3, seed=4)
    with torch.no_grad():
        logits = head(first, second)
        for row in range(3):
            wanted = float(head.weigh.bias)
            for k in range(128):
                wanted += float(head.weigh.weight[0, k]) * abs(float(first[row, k]) - float(second[row, k]))
            assert abs(float(logits[row]) - wanted) < 1e-12


@pytest.mark.parametrize("head", [DifferenceHead, ConcatenationHead])
def test_who_comes_first_means_nothing(embeddings, head):
    network = head().double()
    first, second = embeddings(5), embeddings(5, seed=4)
    assert torch.allclose(network(first, second), network(second, first), atol=1e-12)


def test_untrained_the_difference_head_already_finds_the_same_likelier_than_strangers(embeddings):
    head, rows = DifferenceHead().double(), embeddings(2)
    assert head(rows[:1], rows[:1]) > 0 > head(rows[:1], rows[1:])


def test_the_loss_is_what_a_loop_over_pairs_finds():
    logits = torch.tensor([2.0, -1.0, 0.5, -3.0, 1.0], dtype=torch.float64)
    same = torch.tensor([True, True, False, False, False])
    genuine = [-math.log(1 / (1 + math.exp(-x))) for x in (2.0, -1.0)]
    impostors = [-math.log(1 - 1 / (1 + math.exp(-x))) for x in (0.5, -3.0, 1.0)]
    wanted = (sum(genuine) / 2 + sum(impostors) / 3) / 2
    assert float(siamese_loss(logits, same)) == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize("head", [DifferenceHead, ConcatenationHead])
def test_the_gradient_is_that_of_small_steps(embeddings, head):
    network = head().double()
    first, second = embeddings(4).detach(), embeddings(4, seed=4).detach()
    same = torch.tensor([True, False, True, False])
    weights = list(network.parameters())

    def loss(*given):
        named = dict(zip((name for name, _ in network.named_parameters()), given, strict=True))
        return siamese_loss(torch.func.functional_call(network, named, (first, second)), same)

    small = [w.detach().requires_grad_() for w in weights]
    # Only a part of each weight is stepped: 256 x 128 of them would take minutes.
    total = loss(*small)
    total.backward()
    for weight in small:
        flat = weight.detach().view(-1)
        for place in (0, flat.numel() // 2, flat.numel() - 1):
            step = 1e-6
            flat[place] += step
            above = float(loss(*small).detach())
            flat[place] -= 2 * step
            below = float(loss(*small).detach())
            flat[place] += step
            assert float(weight.grad.view(-1)[place]) == pytest.approx((above - below) / (2 * step), abs=1e-7)


def test_no_pairs_cost_nothing():
    none = torch.zeros(0, requires_grad=True)
    siamese_loss(none, torch.zeros(0, dtype=torch.bool)).backward()
