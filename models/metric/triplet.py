"""Triplet loss: an anchor must lie closer to its positive than to its negative, by alpha.

Schroff et al., "FaceNet: A Unified Embedding for Face Recognition and Clustering", CVPR 2015, on squared distances;
Hermans et al., "In Defense of the Triplet Loss for Person Re-Identification", 2017, on distances without the square.
"""

from torch import Tensor
from torch.nn.functional import relu, softplus


def triplet_loss(to_positive: Tensor, to_negative: Tensor, alpha: float, *, soft: bool = False) -> Tensor:
    """Mean of max(d(A, P) - d(A, N) + alpha, 0) over triplets; 0, from which nothing is learnt, without any.

    to_positive, to_negative: distances (t,), both squared or both not, which alpha must fit. soft: ln(1 + e^x) in place
    of max(x, 0), as Hermans et al. propose: it never rests.
    """
    lead = to_positive - to_negative + alpha
    costs = softplus(lead) if soft else relu(lead)
    return costs.mean() if len(costs) else costs.sum()


def active_share(to_positive: Tensor, to_negative: Tensor, alpha: float) -> float:
    """The share of triplets that cost anything; 0 without any."""
    return float((to_positive - to_negative + alpha > 0).float().mean()) if len(to_positive) else 0.0
