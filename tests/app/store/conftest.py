"""A store of each kind, and people to put into it."""

import itertools
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import create_engine, text

from app.domain.face import Quality
from app.domain.person import Person, Template
from app.store.memory.store import MemoryStore
from app.store.migrate import migrate
from app.store.unit_of_work import SqlStore
from app.store.vault.ring import MasterRing
from app.store.vault.rows import VAULT_TABLES
from app.store.vault.vault import Vault

NOON = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
QUALITY = Quality(0.8, ("small", "dark"), 71.5, -3.0, 2.0, 0.5, 0.6, 0.4, 0.0)


@pytest.fixture
def noon() -> datetime:
    return NOON


@pytest.fixture
def url(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path / 'onelook.db'}"
    migrate(url)
    return url


@pytest.fixture
def sql_store(url: str, vault: Vault) -> Iterator[SqlStore]:
    store = SqlStore(url, vault, write_timeout_s=5)
    yield store
    store.close()


@pytest.fixture
def alter(url: str) -> Callable[[str], None]:
    """Changes a row of the SQLite database, past the service."""

    def change(statement: str) -> None:
        engine = create_engine(url)
        with engine.begin() as connection:
            assert connection.execute(text(statement)).rowcount == 1
        engine.dispose()

    return change


@pytest.fixture(scope="session")
def _kept_postgres_store(_postgres_database: tuple[str, Callable[[], None]]) -> Iterator[SqlStore]:
    # A store of its own for each test would spend its time with connecting.
    vault = Vault(_postgres_database[0], MasterRing([bytes(range(32))]), timeout_s=5)
    vault.prepare()
    store = SqlStore(_postgres_database[0], vault, write_timeout_s=5)
    yield store
    store.close()


@pytest.fixture
def postgres_store(postgres_url: str, _kept_postgres_store: SqlStore) -> SqlStore:
    forget_keys(_kept_postgres_store.vault)
    return _kept_postgres_store


def forget_keys(vault: Vault) -> None:
    """Empties a vault but for its secrets: tests give the same ids to other people."""
    with vault.database.writing() as rows:
        for name in ("person_keys", "shredded"):
            rows._connection.execute(VAULT_TABLES.tables[name].delete())


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def store(request: pytest.FixtureRequest) -> MemoryStore | SqlStore:
    """All must keep the same promises: every test that takes this runs against each."""
    if request.param == "memory":
        return MemoryStore()
    return request.getfixturevalue("sql_store" if request.param == "sqlite" else "postgres_store")


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
