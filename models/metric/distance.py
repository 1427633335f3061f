"""How far apart embeddings of unit length are: squared Euclidean distance 2 - 2 cos, or its square root."""

from torch import Tensor

# Below it the slope of the square root is no number that a step could use.
LEAST_SQUARE = 1e-12


def squared_distances(embeddings: Tensor) -> Tensor:
    """Unit rows (n, d) -> (n, n) in 0..4, with one product."""
    return (2 - 2 * embeddings @ embeddings.T).clamp(min=0)


def unsquared(squared: Tensor) -> Tensor:
    """The square root, whose slope at 0 is 0 instead of infinite."""
    return squared.clamp(min=LEAST_SQUARE).sqrt()
