"""Whether the graph of vectors in the database finds whom a comparison with every vector finds."""

import json
from typing import Any

import numpy as np
from sqlalchemy import Connection

from app.domain.face import Vector
from app.store.pgvector import queries
from app.store.pgvector.clear import written

PROBES = 48
# What an identification asks for first.
K = 8
# Rows that a sample is drawn from.
DRAWN_FROM = 2_000
# By how much more than the least threshold probes are similar to somebody: graphs miss most where it is little.
ABOVE_LEAST = (0.03, 0.1, 0.2)
EQUAL = 1e-5


def first_missed(connection: Connection, model_id: str, templates: int, least: float) -> int | None:
    """The first probe, from 1, for which the graph lacks a template that is at least so similar; None: no such one.

    connection: within a transaction that sees the rows of one moment. templates: about how many there are.
    """
    which = {"model": model_id, "percent": min(100.0, 100 * DRAWN_FROM / max(templates, 1)), "most": PROBES}
    sample = [np.array(json.loads(one), np.float32) for one in connection.execute(queries.SAMPLE, which).scalars()]
    chance = np.random.default_rng()
    for number, vector in enumerate(sample, 1):
        probe = _beside(vector, least + ABOVE_LEAST[number % len(ABOVE_LEAST)], chance)
        values = {"model": model_id, "probe": written(probe), "k": K}
        exact, near = (_scores(connection, query, values) for query in (queries.EXACT, queries.NEAR))
        counted = exact[exact >= least]
        # By their scores: of equals either may be named.
        if len(near) < len(counted) or np.any(near[: len(counted)] < counted - EQUAL):
            return number
    return None


def _beside(vector: Vector, similarity: float, chance: np.random.Generator) -> Vector:
    aside = chance.standard_normal(len(vector))
    aside -= (aside @ vector) * vector
    probe = similarity * vector + np.sqrt(1 - similarity**2) * aside / np.linalg.norm(aside)
    return np.asarray(probe, np.float32)


def _scores(connection: Connection, query: Any, values: dict[str, Any]) -> Vector:
    rows = connection.execute(query, values).all()
    return np.sort(np.array([row.similarity for row in rows], np.float32))[::-1]
