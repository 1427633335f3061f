"""What an index accepts: finite unit vectors, one for each id. Anything else would be compared wrongly in silence."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from app.domain.face import Vector

DIMENSIONS = 128
# Half precision storage and flip averaging round less than this.
LENGTH_TOLERANCE = 1e-3


def checked_rows(template_ids: Sequence[str], vectors: Vector, dimensions: int) -> tuple[list[str], Vector]:
    """Distinct ids and their own copies, float32 (n, dimensions); of an id that stands twice the last row counts.

    Raises ValueError when the shape is not (len(template_ids), dimensions), or a row is not finite and of unit length.
    """
    rows = np.array(vectors, np.float32, order="C")
    if rows.shape != (len(template_ids), dimensions):
        raise ValueError(f"{len(template_ids)} ids need vectors ({len(template_ids)}, {dimensions}), not {rows.shape}")
    _refuse_other_than_unit(rows)
    last = {id_: row for row, id_ in enumerate(template_ids)}
    if len(last) < len(template_ids):
        rows = rows[list(last.values())]
    return list(last), rows


def checked_probe(vector: Vector, dimensions: int) -> Vector:
    """The same for one probe: contiguous float32 (dimensions,)."""
    probe = np.ascontiguousarray(vector, np.float32)
    if probe.shape != (dimensions,):
        raise ValueError(f"a probe is a vector ({dimensions},), not {probe.shape}")
    _refuse_other_than_unit(probe[None])
    return probe


def checked_probes(vectors: Vector, dimensions: int) -> Vector:
    """The same for many: contiguous float32 (n, dimensions), n from 0."""
    probes = np.ascontiguousarray(vectors, np.float32)
    if probes.ndim != 2 or probes.shape[1] != dimensions:
        raise ValueError(f"probes are vectors (n, {dimensions}), not {probes.shape}")
    _refuse_other_than_unit(probes)
    return probes


def _refuse_other_than_unit(rows: NDArray[np.float32]) -> None:
    lengths = np.sqrt(np.einsum("nd,nd->n", rows, rows))
    # `not all(<=)` and not `any(>)`: a NaN is refused too.
    if not np.all(np.abs(lengths - 1) <= LENGTH_TOLERANCE):
        raise ValueError("a vector is not finite and of unit length")
