"""Colours of one picture given to another."""

import torch
from torch import Tensor

# BT.601, full range, as JPEG has it.
LUMA = (0.299, 0.587, 0.114)


def matched(picture: Tensor, like: Tensor) -> Tensor:
    """The picture, float32 (1, 3, H, W), with the mean and covariance of the colours of `like`, of any size.

    Of all linear maps that do it, the one that changes colours least (Pitié, Kokaram, "The linear Monge-Kantorovitch
    colour mapping", 2007); Gatys et al. 2016, "Preserving Color in Neural Artistic Style Transfer", use such a map.
    """
    ours, theirs = picture[0].flatten(1).double(), like[0].flatten(1).double()
    spread = torch.eye(3, dtype=torch.float64) * 1e-3
    own, other = torch.cov(ours).cpu() + spread, torch.cov(theirs).cpu() + spread
    root = _root(own)
    inverse = torch.linalg.inv(root)
    move = (inverse @ _root(root @ other @ root) @ inverse).to(ours.device)
    moved = move @ (ours - ours.mean(1, keepdim=True)) + theirs.mean(1, keepdim=True)
    shaped: Tensor = moved.float().view_as(picture)
    return shaped


def with_brightness_of(colours: Tensor, picture: Tensor) -> Tensor:
    """The colours of one, the brightness of the other, float32 (1, 3, H, W), 0..255."""
    luma = torch.tensor(LUMA)[:, None, None]
    return colours + (picture * luma).sum(1, keepdim=True) - (colours * luma).sum(1, keepdim=True)


def _root(matrix: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(matrix)
    root: Tensor = vectors @ torch.diag(values.clamp(min=0).sqrt()) @ vectors.T
    return root
