import pytest
import torch

from models.training.objective import LOSSES, Objective, Recipe

PERSON = torch.tensor([0, 0, 1, 1, 2, 2])


@pytest.fixture
def embeddings():
    chance = torch.Generator().manual_seed(2)
    return torch.nn.functional.normalize(torch.randn((12, 128), generator=chance)).requires_grad_()


@pytest.fixture
def teacher():
    return torch.nn.functional.normalize(torch.randn((6, 128), generator=torch.Generator().manual_seed(3)))


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("mining", ["random", "semi-hard", "hard"])
def test_every_loss_with_every_mining_is_a_number_that_embeddings_can_lower(embeddings, teacher, loss, mining):
    objective = Objective(Recipe(loss, mining, alpha=1.0))
    before = objective(embeddings, PERSON, teacher, torch.Generator().manual_seed(0))
    (slope,) = torch.autograd.grad(before.total, embeddings, retain_graph=True)
    moved = torch.nn.functional.normalize((embeddings - 0.05 * slope).detach())
    after = objective(moved, PERSON, teacher, torch.Generator().manual_seed(0))
    assert torch.isfinite(before.total)
    assert 0 <= before.active <= 1
    assert float(after.total.detach()) < float(before.total.detach())


def test_the_total_is_the_weighed_sum_of_its_parts(embeddings, teacher):
    parts = Objective(Recipe(of_identity=0.3, of_degraded=1.7, of_clean=0.9))(
        embeddings, PERSON, teacher, torch.Generator()
    )
    assert float(parts.total.detach()) == pytest.approx(0.3 * parts.identity + 1.7 * parts.degraded + 0.9 * parts.clean)
    clean, degraded = (
        sum(1 - float((row * other).sum()) for row, other in zip(view.detach(), teacher, strict=True)) / 6
        for view in embeddings.chunk(2)
    )
    assert (parts.clean, parts.degraded) == (pytest.approx(clean, abs=1e-6), pytest.approx(degraded, abs=1e-6))


def test_a_head_learns_along(embeddings, teacher):
    objective = Objective(Recipe("siamese"))
    objective(embeddings, PERSON, teacher, torch.Generator()).total.backward()
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in objective.parameters())
