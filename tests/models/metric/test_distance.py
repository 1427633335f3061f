import torch

from models.metric.distance import squared_distances, unsquared


def test_is_what_a_loop_over_components_finds(embeddings):
    rows = embeddings(6).detach()
    found = squared_distances(rows)
    for i in range(6):
        for j in range(6):
            assert (
                abs(float(found[i, j]) - sum(float(a - b) ** 2 for a, b in zip(rows[i], rows[j], strict=True))) < 1e-12
            )


def test_is_never_below_zero_in_single_precision(embeddings):
    rows = embeddings(200).detach().float()
    assert (squared_distances(torch.cat((rows, rows))) >= 0).all()


def test_the_root_of_nothing_has_a_slope(embeddings):
    rows = embeddings(3)
    unsquared(squared_distances(torch.cat((rows, rows)))).sum().backward()
    assert torch.isfinite(rows.grad).all()


def test_the_gradient_is_that_of_small_steps(embeddings):
    rows = embeddings(3)[:, :5].detach().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: squared_distances(x / x.norm(dim=1, keepdim=True)), rows)
