import pytest

from app.domain.person import Receipt
from app.errors import UnknownErasure


@pytest.fixture
def receipt(noon):
    return Receipt("era_1", "per_1", noon, {"templates": 2, "crops": 0}, index_seq=7)


def test_is_found_by_its_own_id_and_by_the_persons(store, receipt):
    with store.write() as uow:
        uow.erasures.add(receipt)
        uow.commit()
    with store.read() as uow:
        assert uow.erasures.get("era_1") == receipt
        assert uow.erasures.get("per_1") == receipt
        assert uow.erasures.get("per_2") is None


@pytest.mark.parametrize("missed", [True, False, None])
def test_takes_the_proof_later(store, receipt, missed):
    with store.write() as uow:
        uow.erasures.add(receipt)
        uow.commit()
    with store.write() as uow:
        uow.erasures.prove("era_1", search_missed=missed, index_seq=9, snapshots=1)
        uow.commit()
    with store.read() as uow:
        proved = uow.erasures.get("era_1")
    assert proved.search_missed is missed
    assert proved.index_seq == 9
    assert proved.removed == {"templates": 2, "crops": 0, "snapshots": 1}


def test_refuses_to_prove_what_is_not_there(store):
    with store.write() as uow, pytest.raises(UnknownErasure):
        uow.erasures.prove("era_1", search_missed=True, index_seq=1, snapshots=0)
