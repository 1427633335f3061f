"""A gallery of people who do not exist: random directions, written as rows through the service's own store."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from app.assembly.parts import open_store
from app.domain.face import Quality, Vector
from app.domain.person import Person, Template
from app.index.vectors import DIMENSIONS
from app.settings import Settings

PIECE = 1000


def strangers(people: int, seed: int = 7) -> Vector:
    """float32 (people, 128), rows of unit length."""
    vectors = np.random.default_rng(seed).standard_normal((people, DIMENSIONS)).astype(np.float32)
    unit: Vector = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


def fill(home: Path, vectors: Vector, model_id: str, *, settings: Settings | None = None) -> None:
    """Writes one person with one template a row into the home's database; the service must not run there yet.

    settings: where they are not the home's own defaults.
    """
    store = open_store(settings or Settings(home=home))
    now = datetime.now(UTC)
    quality = Quality(1.0, (), 150.0, 0.0, 0.0, 0.0, 0.5, 0.5, 0.0)
    for begin in range(0, len(vectors), PIECE):
        with store.write() as uow:
            for number, vector in enumerate(vectors[begin : begin + PIECE], begin):
                uow.people.add(Person(f"stranger_{number}", f"Stranger {number}", now, now))
                uow.templates.add(Template(f"tpl_s{number}", f"stranger_{number}", model_id, quality, now, vector))
            uow.commit()
    store.close()
