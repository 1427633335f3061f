import pytest
import torch
from torch.nn import functional as F

from models.style.convolution import rectified, turned


def parts(dtype, height=13, width=9):
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(1, 8, height, width, generator=generator)
    filters = torch.randn(16, 8, 3, 3, generator=generator) / 8
    bias = torch.randn(16, generator=generator)
    above = torch.randn(1, 16, height, width, generator=generator)
    return [x.to(dtype), filters.to(dtype).contiguous(memory_format=torch.channels_last), bias.to(dtype), above]


@pytest.mark.parametrize("last", [False, True], ids=["channels first", "channels last"])
@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize(("dtype", "near"), [(torch.float32, 1e-5), (torch.bfloat16, 3e-2), (torch.float64, 1e-12)])
def test_is_a_convolution_and_a_relu_forwards_and_backwards(dtype, near, padding, last):
    x, filters, bias, above = parts(dtype)
    exact = x.double().clone().requires_grad_()
    expected = F.conv2d(exact, filters.double(), bias.double(), padding=padding).relu()
    above = above[..., : expected.shape[2], : expected.shape[3]]
    expected.backward(above.double())
    given = (x.contiguous(memory_format=torch.channels_last) if last else x).requires_grad_()
    found = rectified(given, filters, bias, turned(filters), padding=padding)
    assert found.dtype == dtype
    found.backward(above.to(dtype))
    for ours, theirs in ((found.detach(), expected.detach()), (given.grad, exact.grad)):
        assert float((ours.double() - theirs).norm() / theirs.norm()) < near


def test_filters_turned_twice_are_themselves():
    _, filters, _, _ = parts(torch.float32)
    assert torch.equal(turned(turned(filters)), filters)
    assert turned(filters).shape == (8, 16, 3, 3)


def test_what_was_given_is_left_alone():
    x, filters, bias, above = parts(torch.float32)
    before, given = above.clone(), x.clone().requires_grad_()
    rectified(given, filters, bias, turned(filters)).backward(above)
    assert torch.equal(above, before)
    assert torch.equal(given.detach(), x)
