"""Contrastive loss: two photos of one person are drawn together, of two people pushed a margin apart.

Hadsell et al., "Dimensionality Reduction by Learning an Invariant Mapping", CVPR 2006.
"""

import torch
from torch import Tensor
from torch.nn.functional import relu


def contrastive_loss(distances: Tensor, same: Tensor, margin: float) -> Tensor:
    """(mean of d^2 over genuine pairs + mean of max(margin - d, 0)^2 over impostor pairs) / 2.

    distances: (n,), not squared; same: bool (n,). Where there are none of a kind, that kind costs nothing. The paper
    sums over all pairs; in a batch nearly all are impostors, so that here each kind weighs as a whole.
    """
    kinds = (distances[same] ** 2, relu(margin - distances[~same]) ** 2)
    means = [costs.mean() for costs in kinds if len(costs)]
    return torch.stack(means).sum() / 2 if means else distances.sum()
