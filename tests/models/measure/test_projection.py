import numpy as np
import pytest

from models.measure.projection import Projection


@pytest.fixture
def vectors() -> np.ndarray:
    return (np.random.default_rng(1).normal(size=(40, 6)) * [5, 3, 1, 0.5, 0.2, 0.1]).astype(np.float32)


def test_the_axes_are_the_leading_eigenvectors_of_the_covariance(vectors: np.ndarray) -> None:
    side = Projection.of(vectors)
    covariance = np.zeros((6, 6))
    mean = vectors.astype(np.float64).sum(0) / len(vectors)
    for row in vectors.astype(np.float64):
        covariance += np.outer(row - mean, row - mean)
    values, columns = np.linalg.eigh(covariance)
    assert side.shown == pytest.approx(values[::-1][:2] / values.sum())
    for axis, column in zip(side.axes, columns.T[::-1], strict=False):
        assert abs(float(axis @ column)) == pytest.approx(1.0)
        assert axis[np.abs(axis).argmax()] > 0


def test_the_gallery_lies_around_the_middle_and_a_stranger_where_it_is(vectors: np.ndarray) -> None:
    side = Projection.of(vectors)
    assert side(vectors).mean(0) == pytest.approx([0, 0], abs=1e-9)
    stranger = (side.mean + 2 * side.axes[0] - side.axes[1]).astype(np.float32)
    assert side(stranger[None])[0] == pytest.approx([2, -1], abs=1e-5)


def test_too_few_photos_and_photos_all_alike_make_no_map(vectors: np.ndarray) -> None:
    with pytest.raises(ValueError, match="three are needed"):
        Projection.of(vectors[:2])
    with pytest.raises(ValueError, match="all alike"):
        Projection.of(np.repeat(vectors[:1], 5, axis=0))
