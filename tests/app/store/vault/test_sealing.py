import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from app.errors import Corrupt, SealBroken
from app.store.vault.sealing import belonging_of, seal, template_belonging, unseal

CIPHER = AESGCM(bytes(range(32)))
PLAIN = bytes(range(256)) * 2
WHOSE = template_belonging("tpl_1", "per_1", "model")


def test_opens_what_it_sealed_bit_for_bit():
    sealed = seal(CIPHER, PLAIN, WHOSE)
    assert len(sealed) == 12 + 512 + 16
    assert unseal(CIPHER, sealed, WHOSE) == PLAIN


def test_seals_the_same_bytes_differently_each_time():
    assert len({seal(CIPHER, PLAIN, WHOSE)[:12] for _ in range(100)}) == 100


@pytest.mark.parametrize("place", [0, 11, 12, 300, 523, 524, 539])
def test_refuses_what_was_altered_anywhere(place):
    sealed = bytearray(seal(CIPHER, PLAIN, WHOSE))
    sealed[place] ^= 1
    with pytest.raises(SealBroken):
        unseal(CIPHER, bytes(sealed), WHOSE)


@pytest.mark.parametrize("length", [0, 5, 12, 20, 28, 539])
def test_refuses_what_was_cut(length):
    with pytest.raises(SealBroken):
        unseal(CIPHER, seal(CIPHER, PLAIN, WHOSE)[:length], WHOSE)


def test_refuses_another_key():
    with pytest.raises(SealBroken):
        unseal(AESGCM(b"k" * 32), seal(CIPHER, PLAIN, WHOSE), WHOSE)


@pytest.mark.parametrize(
    "whose",
    [
        ("tpl_2", "per_1", "model"),
        ("tpl_1", "per_2", "model"),
        ("tpl_1", "per_1", "other"),
        ("tpl_1p", "er_1", "model"),
    ],
)
def test_refuses_a_seal_moved_to_another_row(whose):
    with pytest.raises(SealBroken):
        unseal(CIPHER, seal(CIPHER, PLAIN, WHOSE), template_belonging(*whose))


def test_different_parts_are_never_the_same_belonging():
    assert len({belonging_of("ab", "c"), belonging_of("a", "bc"), belonging_of("abc"), belonging_of("abc", "")}) == 4
    assert belonging_of("ab", b"c") == belonging_of(b"ab", "c")


def test_a_row_altered_in_the_database_is_corrupt_and_the_others_still_open(sql_store, alter, person, template):
    with sql_store.write() as uow:
        for n in (1, 2):
            uow.people.add(person(f"per_{n}"))
            uow.templates.add(template(f"tpl_{n}", f"per_{n}"))
        uow.commit()
    # Ada gets Grace's face: moved whole and with its key, so that only the bound ids can tell.
    for column in ("sealed", "key_id"):
        alter(f"UPDATE templates SET {column} = (SELECT {column} FROM templates WHERE id = 'tpl_2') WHERE id = 'tpl_1'")
    with sql_store.read() as uow:
        with pytest.raises(Corrupt, match="tpl_1"):
            uow.templates.of("per_1")
        assert len(uow.templates.of("per_2")) == 1
