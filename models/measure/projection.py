"""A gallery as a map: 128 dimensions seen from the side from which its people differ most."""

from dataclasses import dataclass, field

import numpy as np

from models.measure.sample import Floats, Vectors


@dataclass(frozen=True, slots=True)
class Projection:
    """Two directions of principal component analysis, from the gallery alone.

    mean: float64 (d,); axes: float64 (2, d), rows of unit length, at right angles; shown: the share of the gallery's
    variance along each, float64 (2,).
    """

    mean: Floats = field(repr=False)
    axes: Floats = field(repr=False)
    shown: Floats

    @classmethod
    def of(cls, gallery: Vectors) -> "Projection":
        """gallery: (n, d), n at least 3. Each axis points to where its largest entry is positive, so that the same
        gallery always looks the same. Raises ValueError for fewer than three, or for photos that are all alike.
        """
        if len(gallery) < 3:
            raise ValueError(f"{len(gallery)} photos with a face make no map: three are needed")
        mean = gallery.astype(np.float64).mean(0)
        _, lengths, rows = np.linalg.svd(gallery.astype(np.float64) - mean, full_matrices=False)
        variance = lengths**2
        if variance.sum() < 1e-12:
            raise ValueError("the photos are all alike: there is no direction in which they differ")
        axes = rows[:2] * np.sign(rows[np.arange(2), np.abs(rows[:2]).argmax(1)])[:, None]
        return cls(mean, axes, variance[:2] / variance.sum())

    def __call__(self, vectors: Vectors) -> Floats:
        """(n, d) -> float64 (n, 2): where they lie on the map."""
        points: Floats = (vectors.astype(np.float64) - self.mean) @ self.axes.T
        return points
