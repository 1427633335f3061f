"""An encoder in the form that is trained, and back into the form that is shipped."""

from typing import Any

import torch
from torch import Tensor, nn

from models.encoder import ConvNormSlope, Encoder

_aten = torch.ops.aten


class _Slope(torch.autograd.Function):
    """PReLU whose slopes are not learnt: torch's own backward spends most of its time on what would be thrown away."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, slopes: Tensor) -> Tensor:
        ctx.save_for_backward(x, slopes)
        out: Tensor = torch.prelu(x, slopes.flatten())
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (grad,), (x, slopes) = grads, ctx.saved_tensors
        positive = _aten.threshold_backward(grad, x, 0)
        return torch.addcmul(positive, grad - positive, slopes), None


class FixedSlope(nn.Module):
    """PReLU with the slopes (channels,) that it was given."""

    def __init__(self, slopes: Tensor) -> None:
        super().__init__()
        self.register_buffer("slopes", slopes.detach().clone().view(1, -1, 1, 1))
        self.slopes: Tensor

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, h, w) -> the same shape."""
        out: Tensor = _Slope.apply(x, self.slopes.to(x.dtype))  # type: ignore[no-untyped-call]
        return out


class _Float32(nn.Module):
    """A layer that stays in float32 under autocast on the processor."""

    def __init__(self, layer: nn.Conv2d) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            out: Tensor = self.layer(x.float())
        return out


def fine_tuned(encoder: Encoder) -> Encoder:
    """The encoder with norms drawn into its layers and fixed slopes: what it was taught about scales stays. Changes it.

    All convolutions, and the last layer, learn. Channels-last.
    """
    network = encoder.folded()
    for layer in network.trunk:
        assert isinstance(layer, ConvNormSlope)
        assert isinstance(layer.slope, nn.PReLU)
        layer.slope = FixedSlope(layer.slope.weight)  # type: ignore[assignment]
        # oneDNN's bfloat16 gradient of a depthwise convolution with stride is ten times slower than that of float32.
        if layer.conv.groups > 1 and layer.conv.stride != (1, 1):
            layer.conv = _Float32(layer.conv)  # type: ignore[assignment]
    for parameter in network.parameters():
        parameter.requires_grad_(True)
    nn.Module.to(network, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network.eval()


@torch.no_grad()
def shipped_form(network: Encoder) -> dict[str, Tensor]:
    """The state of an Encoder as published that computes what this one does, float32 on the processor.

    Of an encoder in the form of `fine_tuned`: its norms become such as change nothing but add the bias. Any other is
    taken as it is.
    """
    if not any(isinstance(module, FixedSlope) for module in network.modules()):
        return {name: tensor.detach().cpu().float().contiguous() for name, tensor in network.state_dict().items()}
    plain = Encoder()
    for layer, source in zip(plain.trunk, network.trunk, strict=True):
        assert isinstance(layer, ConvNormSlope)
        assert isinstance(source, ConvNormSlope)
        slope = source.slope
        assert isinstance(slope, nn.PReLU | FixedSlope)
        conv = source.conv.layer if isinstance(source.conv, _Float32) else source.conv
        layer.conv.weight.copy_(conv.weight)
        _neutral(layer.norm, conv.bias)
        layer.slope.weight.copy_(slope.slopes.flatten() if isinstance(slope, FixedSlope) else slope.weight)
    _neutral(plain.trunk_norm, None)
    plain.project.weight.copy_(network.project.weight)
    plain.project.bias.copy_(network.project.bias)
    _neutral(plain.project_norm, None)
    return {name: tensor.detach().contiguous() for name, tensor in plain.state_dict().items()}


def _neutral(norm: nn.Module, bias: Tensor | None) -> None:
    assert isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    norm.weight.fill_(1)
    norm.running_mean.zero_()
    norm.running_var.fill_(1 - norm.eps)
    if bias is None:
        norm.bias.zero_()
    else:
        norm.bias.copy_(bias)
