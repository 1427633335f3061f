import threading

import pytest
import torch

from models.style import gram
from models.style.gram import gram_sum


@pytest.fixture(params=["channels first", "channels last"])
def laid(request):
    """Features as they are given, lying in memory one way or the other."""

    def lay(features):
        if request.param == "channels first":
            return features.contiguous()
        return features.movedim(1, -1).contiguous().movedim(-1, 1)

    return lay


def features(*space, channels=4, seed=2):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(1, channels, *space, generator=generator, dtype=torch.float64)


def by_loops(found, weights=None):
    rows = found[0].double().flatten(1)
    weighed = torch.ones(rows.shape[1]) if weights is None else weights.flatten()
    channels, places = rows.shape
    total = torch.zeros(channels, channels, dtype=torch.float64)
    for i in range(channels):
        for j in range(channels):
            for k in range(places):
                total[i, j] += float(rows[i, k]) * float(rows[j, k]) * float(weighed[k])
    return total


@pytest.mark.parametrize("space", [(7,), (3, 5), (2, 3, 4)], ids=["line", "plane", "room"])
def test_is_what_three_loops_find(laid, space):
    found = features(*space)
    torch.testing.assert_close(gram_sum(laid(found)), by_loops(found), rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("space", [(7,), (3, 5), (2, 3, 4)], ids=["line", "plane", "room"])
def test_each_place_counts_by_its_weight(laid, space):
    found, weights = features(*space), torch.rand(space, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(gram_sum(laid(found), weights), by_loops(found, weights), rtol=1e-13, atol=1e-13)


def test_places_that_weigh_nothing_are_as_if_they_were_not_there(laid):
    found, weights = features(4, 6), torch.ones(4, 6)
    weights[:, 3:] = 0
    torch.testing.assert_close(gram_sum(laid(found), weights), gram_sum(found[..., :3].contiguous()))


def test_the_pieces_of_a_long_sum_are_all_counted(laid, monkeypatch):
    monkeypatch.setattr(gram, "CHUNK", 1)  # pieces of 256 places, the least
    found, weights = features(30, 29), torch.rand(30, 29)
    rows = found[0].flatten(1)
    torch.testing.assert_close(gram_sum(laid(found), weights), (rows * weights.flatten()) @ rows.T)
    half = found.to(torch.bfloat16)
    rows = half[0].flatten(1).double()
    torch.testing.assert_close(gram_sum(laid(half)).double(), rows @ rows.T, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("weighed", [False, True])
def test_the_gradient_is_that_of_small_steps(laid, weighed):
    weights = torch.rand(3, 4, dtype=torch.float64) if weighed else None
    given = laid(features(3, 4)).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: gram_sum(x, weights), given)


@pytest.mark.parametrize("weighed", [False, True])
def test_the_gradient_is_the_one_that_plain_products_have(laid, weighed):
    given, above = laid(features(5, 6)).requires_grad_(), torch.randn(4, 4, dtype=torch.float64)  # not symmetric
    weights = torch.rand(5, 6, dtype=torch.float64) if weighed else None
    (found,) = torch.autograd.grad((gram_sum(given, weights) * above).sum(), given)
    rows = given[0].flatten(1)
    plain = (rows if weights is None else rows * weights.flatten()) @ rows.T
    (expected,) = torch.autograd.grad((plain * above).sum(), given)
    torch.testing.assert_close(found, expected)
    assert found.stride()[1:] == given.stride()[1:]


def test_no_gradient_flows_to_weights():
    weights = torch.rand(3, 4, dtype=torch.float64, requires_grad=True)
    gram_sum(features(3, 4).requires_grad_(), weights).sum().backward()
    assert weights.grad is None


@pytest.mark.parametrize("weighed", [False, True])
def test_half_precision_is_summed_in_full_precision(laid, weighed):
    found = features(100, 90, channels=8).abs().to(torch.bfloat16)
    weights = torch.ones(100, 90) if weighed else None
    exact = by_rows(found)
    sums = gram_sum(laid(found), weights)
    assert sums.dtype == torch.float32
    # Summed in bfloat16 the error would be some percent: it has eight bits, and there are 9,000 summands.
    assert float(((sums.double() - exact) / exact).abs().max()) < 1e-5


def by_rows(found):
    rows = found[0].flatten(1).double()
    return rows @ rows.T


def test_half_precision_is_that_only_within_the_sum():
    before = torch.backends.mkldnn.matmul.fp32_precision
    gram_sum(features(9, 9).to(torch.bfloat16))
    assert torch.backends.mkldnn.matmul.fp32_precision == before


def test_half_precision_is_over_when_the_last_of_several_threads_is_done():
    before = torch.backends.mkldnn.matmul.fp32_precision
    found = features(60, 60, channels=64).to(torch.bfloat16)
    threads = [threading.Thread(target=lambda: [gram_sum(found) for _ in range(40)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert torch.backends.mkldnn.matmul.fp32_precision == before


@pytest.mark.parametrize(
    ("given", "sums"),
    [(torch.bfloat16, torch.float32), (torch.float32, torch.float32), (torch.float64, torch.float64)],
)
def test_sums_are_as_wide_as_their_summands_and_float32_at_least(given, sums):
    assert gram.wide(given) == sums
    assert gram_sum(features(3, 3).to(given)).dtype == sums


def test_the_gradient_comes_back_in_the_precision_of_the_activations(laid):
    given = laid(features(6, 6).to(torch.bfloat16)).requires_grad_()
    gram_sum(given).sum().backward()
    assert given.grad.dtype == torch.bfloat16
    exact = 2 * given.detach().double().sum(1, keepdim=True).expand_as(given)
    torch.testing.assert_close(given.grad.double(), exact, rtol=2e-2, atol=2e-2)
