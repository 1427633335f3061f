"""What a step makes smaller: a loss on who is whom, and the distance to what was known before."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from models.metric.contrastive import contrastive_loss
from models.metric.distance import squared_distances, unsquared
from models.metric.mining import Mining, mine
from models.metric.siamese import ConcatenationHead, DifferenceHead, siamese_loss
from models.metric.triplet import active_share, triplet_loss

Loss = Literal["triplet", "triplet-unsquared", "contrastive", "siamese", "siamese-concatenated"]
LOSSES: tuple[Loss, ...] = ("triplet", "triplet-unsquared", "contrastive", "siamese", "siamese-concatenated")
# Impostor pairs for each genuine one that a loss on pairs looks at.
IMPOSTORS_EACH = 1


@dataclass(frozen=True, slots=True)
class Recipe:
    """alpha: the margin, of squared distances unless the loss is unsquared or contrastive.

    of_identity, of_degraded, of_clean: weights of the loss on identities, and of the cosine distance of the degraded
    and of the clean view to what the teacher says of the clean face (0: there is no teacher).
    """

    loss: Loss = "triplet"
    mining: Mining = "semi-hard"
    alpha: float = 0.35
    of_identity: float = 0.5
    of_degraded: float = 2.0
    of_clean: float = 1.0


@dataclass(frozen=True, slots=True)
class Parts:
    """What one step cost, by part; active: the share of triplets, or pairs, that still cost something."""

    total: Tensor
    identity: float
    degraded: float
    clean: float
    active: float


class Objective(nn.Module):
    """The recipe as a function; a head that answers yes or no learns along with the encoder."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self.recipe = recipe
        heads = {"siamese": DifferenceHead, "siamese-concatenated": ConcatenationHead}
        self.head = heads[recipe.loss]() if recipe.loss in heads else None

    def forward(self, embeddings: Tensor, person: Tensor, teacher: Tensor, generator: torch.Generator) -> Parts:
        """embeddings: unit rows (2 n, 128), clean views, then degraded ones; person: int (n,); teacher: (n, 128)."""
        recipe = self.recipe
        identity, active = self._of_identity(embeddings, person.repeat(2), generator)
        clean, degraded = (1 - (view * teacher).sum(1).mean() for view in embeddings.chunk(2))
        total = recipe.of_identity * identity + recipe.of_degraded * degraded + recipe.of_clean * clean
        return Parts(total, float(identity.detach()), float(degraded.detach()), float(clean.detach()), active)

    def _of_identity(self, embeddings: Tensor, person: Tensor, generator: torch.Generator) -> tuple[Tensor, float]:
        recipe = self.recipe
        distances = squared_distances(embeddings)
        if recipe.loss != "triplet":
            distances = unsquared(distances)
        anchor, positive, negative = mine(recipe.mining, distances, person, recipe.alpha, generator)
        near, far = distances[anchor, positive], distances[anchor, negative]
        if recipe.loss.startswith("triplet"):
            return triplet_loss(near, far, recipe.alpha), active_share(near, far, recipe.alpha)
        same = torch.cat((torch.ones_like(anchor), torch.zeros_like(anchor))).bool()
        if self.head is None:
            apart = torch.cat((near, far))
            cost = contrastive_loss(apart, same, recipe.alpha)
            busy = torch.where(same, apart > 0, apart < recipe.alpha)
        else:
            first, second = embeddings[anchor.repeat(2)], embeddings[torch.cat((positive, negative))]
            logits = self.head(first, second)
            cost = siamese_loss(logits, same)
            busy = (logits > 0) != same
        return cost, float(busy.float().mean()) if len(busy) else 0.0
