import pytest
import torch

from models.metric.contrastive import contrastive_loss
from models.metric.distance import squared_distances, unsquared


def test_is_what_a_loop_over_pairs_finds():
    distances = torch.tensor([0.3, 0.9, 0.2, 1.4], dtype=torch.float64)
    same = torch.tensor([True, True, False, False])
    genuine = [0.3**2, 0.9**2]
    impostors = [max(1.1 - 0.2, 0) ** 2, max(1.1 - 1.4, 0) ** 2]
    wanted = (sum(genuine) / 2 + sum(impostors) / 2) / 2
    assert float(contrastive_loss(distances, same, 1.1)) == pytest.approx(wanted, abs=1e-12)


def test_the_gradient_is_that_of_small_steps(embeddings, person):
    same = person.unsqueeze(1) == person.unsqueeze(0)
    upper = torch.triu(torch.ones_like(same), 1)

    def loss(x):
        return contrastive_loss(unsquared(squared_distances(x / x.norm(dim=1, keepdim=True)))[upper], same[upper], 1.3)

    assert torch.autograd.gradcheck(loss, embeddings(12)[:, :4].detach().requires_grad_())


@pytest.mark.parametrize("kind", [True, False])
def test_one_kind_of_pairs_alone_counts_alone(kind):
    distances = torch.tensor([0.5, 0.7], requires_grad=True)
    loss = contrastive_loss(distances, torch.full((2,), kind), 1.0)
    wanted = [0.5**2, 0.7**2] if kind else [0.5**2, 0.3**2]
    assert float(loss.detach()) == pytest.approx(sum(wanted) / 4)


def test_no_pairs_cost_nothing():
    none = torch.zeros(0, requires_grad=True)
    loss = contrastive_loss(none, torch.zeros(0, dtype=torch.bool), 1.0)
    loss.backward()
    assert float(loss.detach()) == 0
