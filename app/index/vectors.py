"""What an index accepts: finite unit vectors, one for each id. Anything else would be compared wrongly in silence."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from app.domain.face import Vector

DIMENSIONS = 128
# Half precision storage and flip averaging round less than this.
LENGTH_TOLERANCE = 1e-3


def checked_rows(template_ids: Sequence[str], vectors: Vector, dimensions: int) -> dict[str, Vector]:
    """Id -> float32 (dimensions,), own copies; of an id that stands twice the last row counts.

    Raises ValueError when the shape is not (len(template_ids), dimensions), or a row is not finite and of unit length.
    """
    rows = np.array(vectors, np.float32, order="C")
    if rows.shape != (len(template_ids), dimensions):
        raise ValueError(f"{len(template_ids)} ids need vectors ({len(template_ids)}, {dimensions}), not {rows.shape}")
    _refuse_other_than_unit(rows)
    return dict(zip(template_ids, rows, strict=True))


def checked_probe(vector: Vector, dimensions: int) -> Vector:
    """The same for one probe: contiguous float32 (dimensions,)."""
    probe = np.ascontiguousarray(vector, np.float32)
    if probe.shape != (dimensions,):
        raise ValueError(f"a probe is a vector ({dimensions},), not {probe.shape}")
    _refuse_other_than_unit(probe[None])
    return probe


def _refuse_other_than_unit(rows: NDArray[np.float32]) -> None:
    lengths = np.sqrt(np.einsum("nd,nd->n", rows, rows))
    # `not all(<=)` and not `any(>)`: a NaN is refused too.
    if not np.all(np.abs(lengths - 1) <= LENGTH_TOLERANCE):
        raise ValueError("a vector is not finite and of unit length")
