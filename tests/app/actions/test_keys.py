from contextlib import contextmanager
from datetime import timedelta

import pytest

from app.actions.authenticate import Authenticate, demand
from app.actions.first_key import FirstKey
from app.actions.keys import ListKeys, MakeKey, RevokeKey, digest
from app.domain.gallery import NamedGallery
from app.errors import (
    BadKey,
    ExpiredKey,
    InvalidField,
    LastAdminKey,
    NoKey,
    OutOfScope,
    RevokedKey,
    UnknownGallery,
    UnknownKey,
)


@pytest.fixture
def make_key(store, clock, identifiers) -> MakeKey:
    return MakeKey(store, clock, identifiers)


@pytest.fixture
def lab(store, clock):
    """A gallery."""
    with store.write() as uow:
        uow.galleries.add(NamedGallery("lab", "The lab", clock.now()))
        uow.commit()
    return "lab"


@pytest.fixture
def authenticate(store, clock) -> Authenticate:
    return Authenticate(store, clock)


@pytest.fixture
def revoke(store, clock) -> RevokeKey:
    return RevokeKey(store, clock)


def test_a_key_opens_and_only_its_digest_is_stored(make_key, authenticate, store):
    key, text = make_key("door", ["identify"])
    assert authenticate(text) == key
    secret = text.removeprefix(f"olk_{key.id}_")
    with store.read() as uow:
        assert uow.keys.get(key.id).digest == digest(secret)
    assert secret not in repr(key)
    assert str(key.digest) not in repr(key)


@pytest.mark.parametrize("token", [None, ""])
def test_without_a_key_there_is_no_key(authenticate, token):
    with pytest.raises(NoKey):
        authenticate(token)


@pytest.mark.parametrize(
    "token", ["x", "olk", "olk_", "olk_a", "olk_a_", "olk__b", "olk_a_b", "öäü", "olk_\0_x", "olk_" * 999]
)
def test_what_is_no_key_is_a_bad_key(authenticate, token):
    with pytest.raises(BadKey):
        authenticate(token)


def test_a_wrong_secret_is_a_bad_key_also_of_one_that_was_revoked(make_key, authenticate, revoke):
    key, text = make_key("door", ["identify"])
    wrong = text[:-1] + ("0" if text[-1] != "0" else "1")
    for _ in range(2):
        with pytest.raises(BadKey) as refusal:
            authenticate(wrong)
        assert not isinstance(refusal.value, RevokedKey)
        revoke(key.id)


def test_a_revoked_key_is_a_bad_key_at_once(make_key, authenticate, revoke):
    key, text = make_key("door", ["identify"])
    revoke(key.id)
    with pytest.raises(RevokedKey) as refusal:
        authenticate(text)
    assert refusal.value.detail == BadKey().detail


def test_a_key_ends_at_its_expiry(make_key, authenticate, clock):
    _, text = make_key("door", ["identify"], clock.now() + timedelta(hours=1))
    assert authenticate(text)
    clock.move(hours=1)
    with pytest.raises(ExpiredKey):
        authenticate(text)


def test_a_scope_is_demanded_and_admin_holds_them_all(make_key):
    with pytest.raises(OutOfScope):
        demand(make_key("door", ["identify"])[0], "enroll")
    demand(make_key("root", ["admin"])[0], "enroll")


@pytest.mark.parametrize(
    ("field", "arguments"),
    [("scopes", ("x", [])), ("scopes", ("x", ["fly"])), ("name", ("", ["detect"])), ("name", ("\0", ["detect"]))],
)
def test_refuses_a_key_that_makes_no_sense(make_key, store, field, arguments):
    with pytest.raises(InvalidField) as refusal:
        make_key(*arguments)
    assert refusal.value.field == field
    with store.read() as uow:
        assert uow.keys.count() == 0


def test_refuses_an_expiry_in_the_past(make_key, clock):
    with pytest.raises(InvalidField):
        make_key("door", ["identify"], clock.now())


def test_a_key_may_be_bound_to_galleries_and_have_limits_of_its_own(make_key, authenticate, lab):
    key, text = make_key("door", ["identify"], galleries=[lab, lab], rate_per_minute=10_000_000, concurrency=1)
    assert (key.galleries, key.rate_per_minute, key.concurrency) == (frozenset({"lab"}), 10_000_000, 1)
    assert authenticate(text) == key


@pytest.mark.parametrize("gallery", ["attic", "", "a\0b", "x" * 999])
def test_refuses_to_bind_a_key_to_a_gallery_that_is_not_there(make_key, lab, store, gallery):
    with pytest.raises(UnknownGallery):
        make_key("door", ["identify"], galleries=[lab, gallery])
    with store.read() as uow:
        assert uow.keys.count() == 0


@pytest.mark.parametrize(
    ("field", "scopes", "more"),
    [
        ("galleries", ["identify"], {"galleries": []}),
        ("galleries", ["identify"], {"galleries": ["lab", "all"]}),
        ("galleries", ["identify"], {"galleries": [str(number) for number in range(101)]}),
        ("galleries", ["identify", "admin"], {"galleries": ["lab"]}),
        ("rate_per_minute", ["identify"], {"rate_per_minute": 0}),
        ("rate_per_minute", ["identify"], {"rate_per_minute": 10_000_001}),
        ("concurrency", ["identify"], {"concurrency": -1}),
        ("concurrency", ["identify"], {"concurrency": 10_001}),
    ],
)
def test_refuses_a_bond_or_a_limit_that_makes_no_sense(make_key, lab, store, field, scopes, more):
    with pytest.raises(InvalidField) as refusal:
        make_key("door", scopes, **more)
    assert refusal.value.field == field
    with store.read() as uow:
        assert uow.keys.count() == 0


def test_the_last_admin_key_cannot_be_revoked(make_key, revoke, clock, store):
    first, _ = make_key("root", ["admin"])
    make_key("door", ["identify"])
    make_key("expired root", ["admin"], clock.now() + timedelta(hours=1))
    clock.move(hours=2)
    with pytest.raises(LastAdminKey):
        revoke(first.id)
    with store.read() as uow:
        assert uow.keys.get(first.id).revoked_at is None
    make_key("new root", ["admin"])
    assert revoke(first.id).revoked_at == clock.now()


def test_revoking_twice_keeps_the_first_time(make_key, revoke, clock):
    key, _ = make_key("door", ["identify"])
    first = revoke(key.id)
    clock.move(hours=1)
    assert revoke(key.id) == first


@pytest.mark.parametrize("key_id", ["none", "", "\0"])
def test_refuses_to_revoke_what_never_was(revoke, key_id):
    with pytest.raises(UnknownKey):
        revoke(key_id)


def test_lists_keys_in_pages(make_key, store):
    ids = sorted(make_key(f"k{i}", ["detect"])[0].id for i in range(3))
    list_keys = ListKeys(store)
    assert [k.id for k in list_keys(after=None, limit=2)] == ids[:2]
    assert [k.id for k in list_keys(after=ids[1], limit=2)] == ids[2:]


def test_the_first_key_is_made_once_and_announced_once(make_key, authenticate, store, tmp_path):
    said = []
    first_key = FirstKey(store, make_key, said.append)
    path = tmp_path / "home" / "admin.key"
    assert first_key(path)
    assert authenticate(path.read_text().strip()).scopes == {"admin"}
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    before = path.read_text()
    assert before.strip() in said[0]
    assert not first_key(path)
    assert (path.read_text(), len(said)) == (before, 1)


def test_no_key_is_stored_when_its_file_cannot_be_written(make_key, store, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        FirstKey(store, make_key, print)(tmp_path / "file" / "admin.key")
    with store.read() as uow:
        assert uow.keys.count() == 0


def test_of_two_first_starts_at_once_only_one_makes_the_admin_key(make_key, authenticate, store, tmp_path):
    path, said = tmp_path / "admin.key", []

    class Overtaken:
        """A store in which another process makes the first key as soon as this one has seen that there is none."""

        overtakes = True

        @contextmanager
        def read(self):
            with store.read() as uow:
                yield uow
            if self.overtakes:
                self.overtakes = False
                assert FirstKey(store, make_key, print)(path)

    assert not FirstKey(Overtaken(), make_key, said.append)(path)
    assert said == []
    assert authenticate(path.read_text().strip()).scopes == {"admin"}
    with store.read() as uow:
        assert uow.keys.count() == 1
