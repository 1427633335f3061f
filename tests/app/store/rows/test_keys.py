from datetime import timedelta

import pytest

from app.actions.authenticate import Authenticate
from app.actions.keys import MakeKey, RevokeKey
from app.clock import RandomIdentifiers, SystemClock
from app.domain.key import Key
from app.errors import RevokedKey, UnknownKey
from app.store.unit_of_work import SqlStore


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


@pytest.mark.parametrize("galleries", [None, frozenset(), frozenset({"lab", "gate"})])
def test_gives_back_what_the_key_is_bound_to_and_its_limits(store, key, galleries):
    written = key(galleries=galleries, rate_per_minute=90, concurrency=3)
    with store.write() as uow:
        uow.keys.add(written)
        uow.commit()
    with store.read() as uow:
        assert uow.keys.get("k1") == written
        assert uow.keys.page(after=None, limit=1) == [written]


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


def test_a_revocation_by_one_process_counts_at_the_next_request_to_any_other(sql_store, url, make_vault):
    other, clock = SqlStore(url, make_vault()), SystemClock()
    try:
        key, text = MakeKey(sql_store, clock, RandomIdentifiers())("door", ["identify"])
        authenticate = Authenticate(other, clock)
        assert authenticate(text) == key
        RevokeKey(sql_store, clock)(key.id)
        with pytest.raises(RevokedKey):
            authenticate(text)
    finally:
        other.close()
