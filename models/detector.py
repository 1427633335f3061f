"""The detector: a picture -> sixteen numbers for each cell of three grids.

YuNet (Wu, Peng, Yu: "YuNet: A Tiny Millisecond-level Face Detector", Machine Intelligence Research 2023), release of
March 2023: anchor-free, one prediction for each cell of the grids of 8, 16 and 32 pixels.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as nnf

STRIDES_PX = (8, 16, 32)
HEADS = {"cls": 1, "obj": 1, "bbox": 4, "kps": 10}
CELL_VALUES = sum(HEADS.values())


class PointDepth(nn.Sequential):
    """A 1x1 convolution, then a 3x3 convolution over each channel alone, as YuNet orders them."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.point = nn.Conv2d(channels_in, channels_out, 1)
        self.depth = nn.Conv2d(channels_out, channels_out, 3, padding=1, groups=channels_out)


class PointDepthRelu(PointDepth):
    """The same with a ReLU behind it."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__(channels_in, channels_out)
        self.relu = nn.ReLU(inplace=True)


class Stem(nn.Sequential):
    """The first stage: a 3x3 convolution of stride 2, ReLU, then one separable layer."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 16, 3, stride=2, padding=1)
        self.relu = nn.ReLU(inplace=True)
        self.separable = PointDepthRelu(16, 16)


class Detector(nn.Module):
    """The YuNet network.

    In: float32 (n, 3, H, W), RGB, 0..255, H and W multiples of 32 (published for BGR; `convert.py` turns the first
    filters round). Out: float32 (n, cells, 16), the cells of stride 8, then 16, then 32, each row by row: class and
    object score in 0..1, centre (2) and log size (2) of the box, five landmarks (10), all in units of the cell.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = Stem()
        self.stage1 = nn.Sequential(PointDepthRelu(16, 16), PointDepthRelu(16, 32))
        self.stage2 = nn.Sequential(PointDepthRelu(32, 32), PointDepthRelu(32, 64))
        self.stage3 = nn.Sequential(PointDepthRelu(64, 64), PointDepthRelu(64, 64))
        self.stage4 = nn.Sequential(PointDepthRelu(64, 64), PointDepthRelu(64, 64))
        self.stage5 = nn.Sequential(PointDepthRelu(64, 64), PointDepthRelu(64, 64))
        self.lateral = nn.ModuleList(PointDepthRelu(64, 64) for _ in STRIDES_PX)
        # The four heads of a level read the same map: one layer with 1 + 1 + 4 + 10 channels in place of four.
        self.heads = nn.ModuleList(PointDepth(64, CELL_VALUES) for _ in STRIDES_PX)

    def forward(self, picture: Tensor) -> Tensor:
        """Picture float (n, 3, H, W) -> cells (n, H*W/64 + H*W/256 + H*W/1024, 16)."""
        x = nnf.max_pool2d(self.stem(picture), 2)  # (n, 16, H/4, W/4)
        x = self.stage2(self.stage1(x))
        c8 = self.stage3(nnf.max_pool2d(x, 2))
        c16 = self.stage4(nnf.max_pool2d(c8, 2))
        c32 = self.stage5(nnf.max_pool2d(c16, 2))
        p32 = self.lateral[2](c32)
        p16 = self.lateral[1](c16 + nnf.interpolate(p32, scale_factor=2.0, mode="nearest"))
        p8 = self.lateral[0](c8 + nnf.interpolate(p16, scale_factor=2.0, mode="nearest"))
        maps = [head(p).flatten(2) for head, p in zip(self.heads, (p8, p16, p32), strict=True)]
        cells = torch.cat(maps, 2).transpose(1, 2)  # (n, cells, 16)
        return torch.cat((cells[..., :2].sigmoid(), cells[..., 2:]), 2)
