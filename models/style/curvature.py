"""What L-BFGS knows of the curvature: the last pairs of steps and of what they changed in the gradient.

Nocedal, Wright, "Numerical Optimization", algorithm 7.4, in the form of Chen, Wang, Zhou, "Large-scale L-BFGS using
MapReduce", 2014: the two loops run over inner products, and the pairs themselves, which are many times the canvas, are
read twice a step instead of four times.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

# A pair whose curvature is less than this, as a cosine, says nothing.
LEAST = 1e-10


class Curvature:
    """At most `most` pairs; the memory for all of them is taken with the first."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._rows = torch.empty(0)  # steps, then changes, (2 most, values); slot k holds a pair in k and most + k
        self._products: NDArray[np.float64] = np.zeros((2 * most, 2 * most))
        self._slots: list[int] = []  # oldest first

    def __len__(self) -> int:
        return len(self._slots)

    def keep(self, step: Tensor, change: Tensor) -> None:
        """Adds a pair, of the canvas's shape, if its curvature is positive; the oldest goes where there are enough."""
        curved = float((step * change).sum())
        if not curved > LEAST * float(step.square().sum().sqrt() * change.square().sum().sqrt()):
            return
        if not len(self._rows):
            self._rows = step.new_zeros(2 * self._most, step.numel())
        slot = self._slots.pop(0) if len(self._slots) == self._most else len(self._slots)
        self._slots.append(slot)
        pair = torch.stack((step.reshape(-1), change.reshape(-1)))
        places = [slot, self._most + slot]
        self._rows[places] = pair
        found = (self._rows @ pair.T).double().cpu().numpy()
        self._products[:, places] = found
        self._products[places, :] = found.T

    def direction(self, gradient: Tensor) -> Tensor:
        """- H gradient, of its shape: along which the canvas shall move."""
        if not self._slots:
            return -gradient
        flat, most, products = gradient.reshape(-1), self._most, self._products
        of_gradient = (self._rows @ flat).double().cpu().numpy()
        # The direction is `weights` @ rows + `own` gradient; inner products with it follow from those that are known.
        weights, own = np.zeros(2 * most), -1.0
        shares = {}
        for slot in reversed(self._slots):
            along = products[slot] @ weights + own * of_gradient[slot]
            shares[slot] = along / products[slot, most + slot]
            weights[most + slot] -= shares[slot]
        newest = self._slots[-1]
        scale = products[newest, most + newest] / products[most + newest, most + newest]
        weights, own = weights * scale, own * scale
        for slot in self._slots:
            along = products[most + slot] @ weights + own * of_gradient[most + slot]
            weights[slot] += shares[slot] - along / products[slot, most + slot]
        moved = torch.from_numpy(weights).to(flat) @ self._rows
        return moved.add_(flat, alpha=float(own)).view_as(gradient)

    def forget(self) -> None:
        """Knows nothing any more; keeps its memory."""
        self._slots, self._products[:] = [], 0.0
        self._rows.zero_()

    def tensors(self) -> dict[str, Tensor]:
        """All of it; of the canvas's size times twice the pairs at hand."""
        if not self._slots:
            return {}
        used = [*self._slots, *(self._most + slot for slot in self._slots)]
        return {
            "pairs": self._rows[used],
            "products": torch.from_numpy(self._products[np.ix_(used, used)]),
            "slots": torch.tensor(self._slots),
        }

    def take(self, tensors: dict[str, Tensor]) -> None:
        """Becomes what gave these, bit for bit."""
        self._slots = tensors["slots"].tolist() if "slots" in tensors else []
        if not self._slots:
            return
        used = [*self._slots, *(self._most + slot for slot in self._slots)]
        self._rows = tensors["pairs"].new_zeros(2 * self._most, tensors["pairs"].shape[1])
        self._rows[used] = tensors["pairs"]
        self._products[np.ix_(used, used)] = tensors["products"].cpu().numpy()
