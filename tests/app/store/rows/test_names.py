from hypothesis import given
from hypothesis import strategies as st

from app.store.rows.names import folded


@given(st.text())
def test_folding_twice_is_folding_once(name):
    assert folded(folded(name)) == folded(name)


def test_case_and_compatible_spellings_fold_together():
    assert folded("ＡＤＡ Straße") == folded("ada STRASSE")
