"""Stores on several databases that share one vault."""

import pytest

from app.settings import Settings
from app.store.migrate import migrate
from app.store.opening import open_vault
from app.store.unit_of_work import SqlStore


@pytest.fixture
def keys_url(tmp_path):
    return f"sqlite:///{tmp_path / 'elsewhere' / 'people.db'}"


@pytest.fixture
def opened(tmp_path, keys_url):
    """A store on a database of that name; all of them have one home and one vault."""
    made = []

    def open_one(name="first", url=None):
        url = url or f"sqlite:///{tmp_path / name}.db"
        settings = Settings(home=tmp_path / "home", database_url=url, keys_url=keys_url)
        migrate(url)
        made.append(SqlStore(url, open_vault(settings)))
        return made[-1]

    yield open_one
    for store in made:
        store.close()
