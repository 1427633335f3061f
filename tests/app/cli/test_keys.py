import stat
from datetime import UTC, datetime

from app.cli.home import open_rows
from app.domain.gallery import NamedGallery
from app.domain.key import Key
from app.settings import Settings


def stored(home) -> dict[str, Key]:
    with open_rows(Settings(home=home)) as store, store.read() as uow:
        return {key.name: key for key in uow.keys.page(after=None, limit=100)}


def test_a_key_is_printed_once_and_stored_with_its_scopes(onelook, home):
    result = onelook("keys", "make", "--name", "front desk", "--scope", "enroll", "--scope", "identify")
    assert result.exit_code == 0
    mark, key_id, secret = result.stdout.strip().split("_", 2)
    key = stored(home)["front desk"]
    assert (mark, key_id, key.scopes, key.expires_at) == ("olk", key.id, frozenset({"enroll", "identify"}), None)
    listed = onelook("keys", "list").stdout
    assert key_id in listed
    assert secret not in listed


def test_the_first_key_of_a_home_comes_with_the_admin_key(onelook, home):
    onelook("keys", "make", "--name", "desk", "--scope", "identify")
    path = home / "admin.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stored(home)["first admin"].holds("admin")
    before = path.read_text()
    assert "admin key" not in onelook("keys", "make", "--name", "other", "--scope", "identify").stderr
    assert path.read_text() == before


def test_a_key_may_end(onelook, home):
    onelook("keys", "make", "--name", "guest", "--scope", "detect", "--expires-days", "3")
    key = stored(home)["guest"]
    assert (key.expires_at - key.created_at).days in (2, 3)
    assert f"valid until {key.expires_at:%Y-%m-%d}" in onelook("keys", "list").stdout


def test_an_unknown_scope_is_refused_and_nothing_is_stored(onelook, home):
    result = onelook("keys", "make", "--name", "desk", "--scope", "everything")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "There is no scope 'everything'" in result.stderr
    assert "desk" not in stored(home)


def test_a_revoked_key_stays_listed_as_revoked(onelook, home):
    onelook("keys", "make", "--name", "desk", "--scope", "identify")
    key = stored(home)["desk"]
    assert onelook("keys", "revoke", key.id).exit_code == 0
    assert stored(home)["desk"].revoked_at is not None
    assert "revoked" in onelook("keys", "list").stdout


def test_the_last_admin_key_and_unknown_keys_are_not_revoked(onelook, home):
    onelook("keys", "make", "--name", "desk", "--scope", "identify")
    for key_id in (stored(home)["first admin"].id, "nobody"):
        result = onelook("keys", "revoke", key_id)
        assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (1, "", 1)
    assert stored(home)["first admin"].revoked_at is None


def test_a_key_may_be_bound_and_limited(onelook, home):
    with open_rows(Settings(home=home)) as store, store.write() as uow:
        uow.galleries.add(NamedGallery("lab", "The lab", datetime.now(UTC)))
        uow.commit()
    made = onelook("keys", "make", "--name", "door", "--scope", "identify", "--gallery", "lab", "--rate", 90)
    assert made.exit_code == 0, made.stderr
    onelook("keys", "make", "--name", "desk", "--scope", "identify", "--concurrency", 3)
    keys = stored(home)
    assert (keys["door"].galleries, keys["door"].rate_per_minute, keys["door"].concurrency) == ({"lab"}, 90, None)
    assert (keys["desk"].galleries, keys["desk"].rate_per_minute, keys["desk"].concurrency) == (None, None, 3)
    row = next(line for line in onelook("keys", "list").stdout.splitlines() if keys["door"].id in line)
    assert "lab" in row
    assert "90" in row


def test_a_key_is_not_bound_to_a_gallery_that_is_not_there(onelook, home):
    refused = onelook("keys", "make", "--name", "door", "--scope", "identify", "--gallery", "attic")
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "There is no gallery 'attic'" in refused.stderr
    assert "door" not in stored(home)
