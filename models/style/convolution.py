"""A convolution and its ReLU in one pass over memory, forwards and backwards: what an evaluation consists of."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

# Whether this build of PyTorch has oneDNN, which every usual one for x86 and ARM has.
FUSED: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]


def rectified(x: Tensor, filters: Tensor, bias: Tensor, turned: Tensor, *, padding: int = 1) -> Tensor:
    """relu(x * filters + bias), differentiable with respect to x (n, C, H, W) alone. filters: (D, C, 3, 3).

    turned: `turned(filters)`. On a processor, in float32 and bfloat16, the ReLU is applied while the product is in
    the cache; the gradient is a convolution like the forward one. Elsewhere it is PyTorch's own.
    """
    if x.device.type != "cpu" or x.dtype == torch.float64 or not FUSED:
        return F.conv2d(x, filters, bias, padding=padding).relu_()
    out: Tensor = _Rectified.apply(x, filters, bias, turned, padding)  # type: ignore[no-untyped-call]
    return out


def turned(filters: Tensor) -> Tensor:
    """(C, D, 3, 3): the filters that carry a gradient back; turned by half a circle, channels exchanged."""
    return filters.flip(2, 3).transpose(0, 1).contiguous(memory_format=torch.channels_last)


class _Rectified(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, filters: Tensor, bias: Tensor, turned: Tensor, padding: int) -> Tensor:
        pads, ones = [padding, padding], [1, 1]
        fused = torch.ops.mkldnn._convolution_pointwise
        out: Tensor = fused(x, filters, bias, pads, ones, ones, 1, "relu", [], "")
        ctx.save_for_backward(out, turned)
        ctx.padding = padding
        return out

    @staticmethod
    def backward(ctx: Any, *above: Tensor) -> tuple[Tensor, None, None, None, None]:
        out, turned = ctx.saved_tensors
        masked = torch.ops.aten.threshold_backward(above[0], out, 0)
        return F.conv2d(masked, turned, padding=2 - ctx.padding), None, None, None, None
