import math

import pytest
import torch

from models.metric.distance import squared_distances, unsquared
from models.metric.triplet import active_share, triplet_loss

TRIPLETS = (torch.tensor([0, 1, 4, 7]), torch.tensor([1, 2, 5, 8]), torch.tensor([3, 7, 0, 6]))


@pytest.mark.parametrize("squared", [True, False], ids=["squared", "unsquared"])
@pytest.mark.parametrize("soft", [False, True], ids=["hinge", "soft"])
def test_is_what_a_loop_over_triplets_finds(embeddings, squared, soft):
    rows = embeddings(9).detach()
    total = 0.0
    for a, p, n in zip(*(part.tolist() for part in TRIPLETS), strict=True):
        near = sum(float(x - y) ** 2 for x, y in zip(rows[a], rows[p], strict=True))
        far = sum(float(x - y) ** 2 for x, y in zip(rows[a], rows[n], strict=True))
        lead = (near - far if squared else math.sqrt(near) - math.sqrt(far)) + 0.35
        total += math.log1p(math.exp(lead)) if soft else max(lead, 0.0)
    distances = squared_distances(rows) if squared else unsquared(squared_distances(rows))
    a, p, n = TRIPLETS
    assert abs(float(triplet_loss(distances[a, p], distances[a, n], 0.35, soft=soft)) - total / 4) < 1e-12


@pytest.mark.parametrize("soft", [False, True])
def test_the_gradient_is_that_of_small_steps(embeddings, soft):
    a, p, n = TRIPLETS

    def loss(x):
        distances = squared_distances(x / x.norm(dim=1, keepdim=True))
        return triplet_loss(distances[a, p], distances[a, n], 0.35, soft=soft)

    assert torch.autograd.gradcheck(loss, embeddings(9)[:, :4].detach().requires_grad_())


def test_a_step_against_it_draws_the_positive_nearer_and_pushes_the_negative_away(embeddings):
    rows = embeddings(3)
    distances = squared_distances(rows)
    triplet_loss(distances[0, 1:2], distances[0, 2:3], 2.0).backward()
    after = squared_distances(torch.nn.functional.normalize(rows.detach() - 0.05 * rows.grad))
    assert after[0, 1] < distances[0, 1]
    assert after[0, 2] > distances[0, 2]


def test_nothing_to_learn_from_costs_nothing_and_can_be_stepped_from(embeddings):
    rows = embeddings(2)
    none = squared_distances(rows)[0, :0]
    loss = triplet_loss(none, none, 0.35)
    loss.backward()
    assert float(loss.detach()) == 0
    assert not rows.grad.any()
    assert active_share(none, none, 0.35) == 0


def test_the_share_that_still_costs():
    near, far = torch.tensor([0.1, 0.5, 0.2]), torch.tensor([1.0, 0.6, 0.3])
    assert active_share(near, far, 0.35) == pytest.approx(2 / 3)
