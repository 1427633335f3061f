from datetime import timedelta

import pytest

from app.domain.key import Key
from app.errors import UnknownKey


@pytest.fixture
def key(noon):
    def make(id_="k1", **fields):
        return Key(id_, "front door", frozenset({"identify", "verify"}), noon, b"\x00digest\xff", **fields)

    return make


def test_gives_back_every_field(store, key, noon):
    written = key(expires_at=noon + timedelta(days=1))
    with store.write() as uow:
        uow.keys.add(written)
        uow.commit()
    with store.read() as uow:
        assert uow.keys.get("k1") == written
        assert uow.keys.get("k2") is None
        assert uow.keys.count() == 1


def test_pages_in_order_of_id(store, key):
    with store.write() as uow:
        for id_ in ("k3", "k1", "k2"):
            uow.keys.add(key(id_))
        assert [k.id for k in uow.keys.page(after=None, limit=2)] == ["k1", "k2"]
        assert [k.id for k in uow.keys.page(after="k2", limit=2)] == ["k3"]


def test_revokes_once__the_first_time_counts(store, key, noon):
    with store.write() as uow:
        uow.keys.add(key())
        uow.keys.add(key("k2"))
        uow.keys.revoke("k1", noon)
        uow.keys.revoke("k1", noon + timedelta(days=9))
        uow.commit()
    with store.read() as uow:
        assert uow.keys.get("k1").revoked_at == noon
        assert uow.keys.get("k2").revoked_at is None
        assert uow.keys.count() == 2


def test_refuses_to_revoke_what_is_not_there(store, noon):
    with store.write() as uow, pytest.raises(UnknownKey):
        uow.keys.revoke("k1", noon)
