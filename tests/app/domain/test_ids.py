from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.ids import ALPHABET, RANDOM_BITS, make_id
from app.domain.particulars import is_id

moments = st.integers(0, 2**45 - 1)
randoms = st.integers(0, 2**RANDOM_BITS - 1)


@settings(deadline=None, max_examples=50)
@given(moments, moments, randoms, randoms)
def test_an_id_made_later_sorts_later(earlier, later, one, other):
    if earlier < later:
        assert make_id("x", earlier, one) < make_id("x", later, other)


@settings(deadline=None, max_examples=50)
@given(moments, randoms, randoms)
def test_two_random_numbers_make_two_ids(moment, one, other):
    assert (make_id("x", moment, one) == make_id("x", moment, other)) == (one == other)


@settings(deadline=None, max_examples=50)
@given(moments, randoms)
def test_an_id_is_an_id(moment, random):
    made = make_id("per", moment, random)
    assert is_id(made)
    assert len(made) == 24
    assert set(made[4:]) <= set(ALPHABET)
