"""What every test stands on: a clean environment, the sample photos, and a loud word where research data is missing."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmarks import postgres

ROOT = Path(__file__).resolve().parents[1]
RESEARCH = ROOT.parent / "shared" / "data"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skips what needs the research photos, and a GPU, where there is none."""
    skips = {}
    if not RESEARCH.is_dir():
        skips["research"] = pytest.mark.skip(reason="RESEARCH DATA ABSENT: ../shared/data is not there")
    if not _has_gpu():
        skips["gpu"] = pytest.mark.skip(reason="NO GPU")
    for item in items:
        for marker, skip in skips.items():
            if marker in item.keywords:
                item.add_marker(skip)


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.upper().startswith("ONELOOK_")]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def samples() -> Path:
    """Folder of the public-domain photos: collins.jpg, hopper.jpg, and one person twice, obama-2009 and obama-2012."""
    return ROOT / "samples"


@pytest.fixture(scope="session")
def root() -> Path:
    """Top of the repository."""
    return ROOT


@pytest.fixture(scope="session")
def postgres_servers() -> Iterator[postgres.Servers]:
    """Starts real PostgreSQL servers, and ends them after the last test."""
    try:
        with postgres.servers(in_memory=True) as servers:
            yield servers
    except postgres.NoPostgres as e:
        pytest.skip(f"NO POSTGRESQL: {e}")


@pytest.fixture(scope="session")
def postgres_server(postgres_servers: postgres.Servers) -> postgres.Server:
    """One real server for all tests: fast, and not durable."""
    return postgres_servers.primary("shared", **postgres.FAST)


@pytest.fixture(scope="session")
def _postgres_database(postgres_server: postgres.Server) -> tuple[str, Callable[[], None]]:
    from app.store.migrate import migrate

    # Its owner is nobody special: what the service needs, an ordinary user may do.
    postgres_server.do("CREATE ROLE onelook LOGIN")
    postgres_server.do("CREATE DATABASE onelook OWNER onelook")
    url = postgres_server.url("onelook", user="onelook")
    migrate(url)
    found = "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = '{}'"
    tables = [name for (name,) in postgres_server.do(found.format("r"), "onelook") if name != "alembic_version"]
    sequences = [name for (name,) in postgres_server.do(found.format("S"), "onelook")]
    # Some tables refuse to be emptied, and rows refer to each other: as a replica no trigger is asked. Emptying tables
    # of a few rows is a hundred times faster than a fresh database, or TRUNCATE.
    empty = "SET session_replication_role = replica; " + "; ".join(
        [*(f"DELETE FROM {name}" for name in tables), *(f"ALTER SEQUENCE {name} RESTART" for name in sequences)]
    )
    return url, lambda: postgres_server.do(empty, "onelook") and None


@pytest.fixture
def postgres_url(_postgres_database: tuple[str, Callable[[], None]]) -> str:
    """A database of a real server, migrated and empty."""
    url, empty = _postgres_database
    empty()
    return url


@pytest.fixture
def postgres_pair(postgres_servers: postgres.Servers) -> Iterator[postgres.Pair]:
    """A primary and a synchronous standby of one test's own, with an empty database `onelook`."""
    pair = postgres_servers.pair(f"pair{len(postgres_servers.made)}")
    yield pair
    pair.close()


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()
