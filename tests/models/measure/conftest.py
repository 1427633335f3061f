from collections.abc import Callable

import numpy as np
import pytest

from models.measure.sample import Sample

MakeSample = Callable[..., Sample]


@pytest.fixture
def make_sample() -> MakeSample:
    """Photos of people around a centre each, some photos without a face, in no order of people."""

    def make(
        people: int, *, seed: int = 0, most_photos: int = 4, missing: float = 0.1, noise: float = 0.6, size: int = 16
    ) -> Sample:
        generator = np.random.default_rng(seed)
        centres = generator.normal(size=(people, size))
        person = np.concatenate([np.arange(people), generator.integers(people, size=people * (most_photos - 1))])
        generator.shuffle(person)
        vectors = centres[person] + noise * generator.normal(size=(len(person), size))
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        found = generator.random(len(person)) >= missing
        found[0] = True
        embeddings = [v.astype(np.float32) if f else None for v, f in zip(vectors, found, strict=True)]
        return Sample.of(embeddings, [f"person-{p:04d}" for p in person])

    return make
