"""Which triplets of a batch are worth learning from.

Semi-hard: Schroff et al., "FaceNet", CVPR 2015, 3.2. Hard: Hermans et al., 2017, the farthest positive and the closest
negative of each anchor. Choices are made from distances without their gradients.
"""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

Mining = Literal["random", "semi-hard", "hard"]
# The places in the batch of anchors, positives and negatives, int (t,) each.
Triplets = tuple[Tensor, Tensor, Tensor]


def mine(how: Mining, distances: Tensor, person: Tensor, alpha: float, generator: torch.Generator) -> Triplets:
    """Triplets from distances (n, n), squared or not as alpha is, and person int (n,).

    random: for each pair of a person a negative of chance. semi-hard: for each such pair the closest negative of those
    farther than the positive by less than alpha; pairs without one are left out. hard: one triplet for each anchor.
    Where there is no triplet, there are none in the answer.
    generator: of chance, on the processor.
    """
    if len(person) == 0:
        nobody = person.new_zeros(0, dtype=torch.int64)
        return nobody, nobody, nobody
    return MINERS[how](distances.detach(), person, alpha, generator)


def _random(distances: Tensor, person: Tensor, alpha: float, generator: torch.Generator) -> Triplets:
    anchor, positive = _genuine_pairs(person)
    other = person[anchor].unsqueeze(1) != person.unsqueeze(0)  # (pairs, n)
    keep = other.any(1)
    chance = torch.rand(other.shape, generator=generator).to(other.device)
    negative = chance.masked_fill(~other, -1.0).argmax(1)
    return anchor[keep], positive[keep], negative[keep]


def _semi_hard(distances: Tensor, person: Tensor, alpha: float, generator: torch.Generator) -> Triplets:
    anchor, positive = _genuine_pairs(person)
    away = distances[anchor]  # (pairs, n)
    reach = distances[anchor, positive].unsqueeze(1)
    fits = (person[anchor].unsqueeze(1) != person.unsqueeze(0)) & (away > reach) & (away < reach + alpha)
    keep = fits.any(1)
    negative = away.masked_fill(~fits, torch.inf).argmin(1)
    return anchor[keep], positive[keep], negative[keep]


def _hard(distances: Tensor, person: Tensor, alpha: float, generator: torch.Generator) -> Triplets:
    same = person.unsqueeze(1) == person.unsqueeze(0)
    own = same & ~torch.eye(len(person), dtype=torch.bool, device=person.device)
    keep = own.any(1) & (~same).any(1)
    positive = distances.masked_fill(~own, -torch.inf).argmax(1)
    negative = distances.masked_fill(same, torch.inf).argmin(1)
    anchor = torch.arange(len(person), device=person.device)
    return anchor[keep], positive[keep], negative[keep]


def _genuine_pairs(person: Tensor) -> tuple[Tensor, Tensor]:
    """Every ordered pair of two photos of one person."""
    same = person.unsqueeze(1) == person.unsqueeze(0)
    same.fill_diagonal_(False)
    anchor, positive = same.nonzero(as_tuple=True)
    return anchor, positive


MINERS: dict[Mining, Callable[[Tensor, Tensor, float, torch.Generator], Triplets]] = {
    "random": _random,
    "semi-hard": _semi_hard,
    "hard": _hard,
}
