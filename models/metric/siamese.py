"""Verification as a question of yes or no about two embeddings: heads that answer with a likelihood.

Koch et al., "Siamese Neural Networks for One-shot Image Recognition", ICML workshop 2015: a weighted sum of component
distances through a sigmoid. The concatenated form stands beside it for comparison.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from models.encoder import DIMENSIONS


class DifferenceHead(nn.Module):
    """sigmoid(sum_k w_k |f1_k - f2_k| + b), symmetric by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.weigh = nn.Linear(DIMENSIONS, 1)
        # Begins as a plain distance: the further apart, the less alike. |f1 - f2| of strangers sums to some 12.
        nn.init.constant_(self.weigh.weight, -1.0)
        nn.init.constant_(self.weigh.bias, 10.0)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Two of (n, 128), rows of unit length -> logits (n,)."""
        logits: Tensor = self.weigh((first - second).abs()).squeeze(1)
        return logits


class ConcatenationHead(nn.Module):
    """Both embeddings end to end, 256 numbers, through one hidden layer.

    A single layer would only add what each embedding says alone. Both orders are averaged: who comes first means
    nothing.
    """

    def __init__(self, hidden: int = DIMENSIONS) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(2 * DIMENSIONS, hidden), nn.ReLU(), nn.Linear(hidden, 1))

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Two of (n, 128), rows of unit length -> logits (n,)."""
        there, back = torch.cat((first, second), 1), torch.cat((second, first), 1)
        logits: Tensor = (self.layers(there) + self.layers(back)).squeeze(1) / 2
        return logits


def siamese_loss(logits: Tensor, same: Tensor) -> Tensor:
    """Binary cross-entropy of logits (n,) against bool (n,); genuine and impostor pairs each weigh as a whole."""
    costs = binary_cross_entropy_with_logits(logits, same.to(logits.dtype), reduction="none")
    means = [part.mean() for part in (costs[same], costs[~same]) if len(part)]
    return torch.stack(means).mean() if means else costs.sum()
