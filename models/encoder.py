"""The encoder: an aligned face crop -> 128 numbers.

SFace (Zhong et al., "SFace: Sigmoid-Constrained Hypersphere Loss for Robust Face Recognition", IEEE TIP 2021) as
published in the OpenCV Zoo: the shape of MobileNet v1 (Howard et al. 2017) with PReLU in place of ReLU, a first
convolution of stride 1, and one linear layer over the whole last map in place of pooling.
"""

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

INPUT_PX = 112
DIMENSIONS = 128

# (channels out, stride) of each depthwise-separable block, from 32 channels on.
BLOCKS = (
    (64, 1),
    (128, 2),
    (128, 1),
    (256, 2),
    (256, 1),
    (512, 2),
    (512, 1),
    (512, 1),
    (512, 1),
    (512, 1),
    (512, 1),
    (1024, 2),
    (1024, 1),
)


class ConvNormSlope(nn.Sequential):
    """Convolution, batch norm, PReLU with one slope a channel."""

    def __init__(self, channels_in: int, channels_out: int, *, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels_out, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.norm: nn.Module = nn.BatchNorm2d(channels_out, eps=1e-3)
        self.slope = nn.PReLU(channels_out)

    def fold(self) -> None:
        """Draws the norm into the convolution; only for inference."""
        assert isinstance(self.norm, nn.BatchNorm2d)
        self.conv = fuse_conv_bn_eval(self.conv, self.norm)
        self.norm = nn.Identity()


class Encoder(nn.Module):
    """The SFace network.

    In: float32 (n, 3, 112, 112), RGB, 0..255. Out: float32 (n, 128), not normalised: lengths are the caller's.
    """

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [ConvNormSlope(3, 32, kernel=3)]
        channels = 32
        for channels_out, stride in BLOCKS:
            layers.append(ConvNormSlope(channels, channels, kernel=3, stride=stride, groups=channels))
            layers.append(ConvNormSlope(channels, channels_out, kernel=1))
            channels = channels_out
        self.trunk = nn.Sequential(*layers)
        self.trunk_norm: nn.Module = nn.BatchNorm2d(channels, eps=2e-5)
        self.dropout = nn.Dropout(0.4)
        self.project = nn.Linear(channels * 7 * 7, DIMENSIONS)
        self.project_norm: nn.Module = nn.BatchNorm1d(DIMENSIONS, eps=2e-5)

    def forward(self, crops: Tensor) -> Tensor:
        """Crops float (n, 3, 112, 112) in 0..255 -> float (n, 128)."""
        x = (crops - 127.5) * (1 / 128)
        x = self.trunk(x)  # (n, 1024, 7, 7)
        x = self.dropout(self.trunk_norm(x))
        x = self.project(x.flatten(1))  # (n, 128)
        out: Tensor = self.project_norm(x)
        return out

    @torch.no_grad()
    def folded(self) -> "Encoder":
        """The same function with every norm drawn into the layer beside it, for inference; changes self."""
        self.eval()
        for layer in self.trunk:
            assert isinstance(layer, ConvNormSlope)
            layer.fold()
        norm = self.trunk_norm
        assert isinstance(norm, nn.BatchNorm2d)
        assert norm.running_mean is not None
        assert norm.running_var is not None
        scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)  # (1024,)
        shift = norm.bias - norm.running_mean * scale
        # (128, 1024 * 49): the columns of one channel lie side by side, as flatten(1) of (n, C, H, W) puts them.
        weight = self.project.weight.view(DIMENSIONS, -1, 49)
        self.project.bias.add_((weight.sum(2) * shift).sum(1))
        self.project.weight.copy_((weight * scale.view(1, -1, 1)).view(DIMENSIONS, -1))
        self.trunk_norm = nn.Identity()
        assert isinstance(self.project_norm, nn.BatchNorm1d)
        self.project = fuse_linear_bn_eval(self.project, self.project_norm)
        self.project_norm = nn.Identity()
        return self
