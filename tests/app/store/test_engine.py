import pytest

from app.errors import Misconfigured
from app.store.engine import is_postgres, open_database, reading_engine, writing_engine


@pytest.mark.parametrize("make", [open_database, writing_engine, reading_engine])
@pytest.mark.parametrize(
    "url",
    [
        "mysql://u:sesame@host/db",
        "nonsense sesame",
        "",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:////tmp/x.db?mode=memory",
        "postgresql://u:sesame@host/db?no_such_option=1",
        "postgresql://u:sesame@host:1,host:2,host:3/db?port=1,2",
        "postgresql+asyncpg://u:sesame@host/db",
        "postgresql:sesame",
    ],
)
def test_refuses_what_it_cannot_serve_and_shows_no_password(make, url):
    with pytest.raises(Misconfigured) as refusal:
        make(url)
    assert "sesame" not in str(refusal.value)
    assert refusal.value.__cause__ is None
    assert refusal.value.__suppress_context__ or refusal.value.__context__ is None


@pytest.mark.parametrize(
    ("url", "answer"),
    [
        ("sqlite:////x.db", False),
        ("sqlite+pysqlite:////x.db", False),
        ("postgresql://host/db", True),
        ("postgres://host/db", True),
        ("postgresql+psycopg://host/db", True),
    ],
)
def test_tells_the_kinds_apart(url, answer):
    assert is_postgres(url) is answer
