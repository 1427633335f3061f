"""A store of each kind, and people to put into it."""

import itertools
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.domain.face import Quality
from app.domain.person import Person, Template
from app.store.memory import MemoryStore
from app.store.migrate import migrate
from app.store.sealing import Sealer
from app.store.unit_of_work import SqlStore

NOON = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
QUALITY = Quality(0.8, ("small", "dark"), 71.5, -3.0, 2.0, 0.5, 0.6, 0.4, 0.0)


@pytest.fixture
def noon() -> datetime:
    return NOON


@pytest.fixture
def sealer() -> Sealer:
    return Sealer(bytes(range(32)))


@pytest.fixture
def url(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path / 'onelook.db'}"
    migrate(url)
    return url


@pytest.fixture
def sql_store(url: str, sealer: Sealer) -> Iterator[SqlStore]:
    store = SqlStore(url, sealer, write_timeout_s=5)
    yield store
    store.close()


@pytest.fixture(params=["memory", "sql"])
def store(request: pytest.FixtureRequest) -> MemoryStore | SqlStore:
    """Both must keep the same promises: every test that takes this runs against each."""
    return MemoryStore() if request.param == "memory" else request.getfixturevalue("sql_store")


@pytest.fixture
def person() -> Callable[..., Person]:
    def make(id_: str = "per_1", name: str = "Ada Lovelace", **fields: Any) -> Person:
        return Person(id_, name, **{"created_at": NOON, "updated_at": NOON, **fields})

    return make


@pytest.fixture
def template() -> Callable[..., Template]:
    seeds = itertools.count(1)

    def make(id_: str = "tpl_1", person_id: str = "per_1", model_id: str = "model", **fields: Any) -> Template:
        seed = next(seeds)
        vector = np.random.default_rng(seed).normal(size=128)
        made: dict[str, Any] = {
            "quality": QUALITY,
            "created_at": NOON + timedelta(seconds=seed),
            "vector": (vector / np.linalg.norm(vector)).astype(np.float32),
        }
        return Template(id_, person_id, model_id, **{**made, **fields})

    return make
