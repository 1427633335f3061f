from dataclasses import replace
from datetime import UTC, datetime

import pytest

from app.domain.key import Key

FREE = Key("k", "desk", frozenset({"identify"}), datetime(2030, 1, 1, tzinfo=UTC), b"digest")


@pytest.mark.parametrize(
    ("galleries", "seen"),
    [(None, ["all", "lab", "gate"]), (frozenset({"lab"}), ["lab"]), (frozenset(), [])],
)
def test_a_bound_key_sees_its_own_galleries_and_not_everybody(galleries, seen):
    key = replace(FREE, galleries=galleries)
    assert [gallery for gallery in ("all", "lab", "gate") if key.may_see(gallery)] == seen


def test_admin_holds_every_scope_and_no_other_scope_does():
    assert FREE.holds("identify")
    assert not FREE.holds("enroll")
    assert replace(FREE, scopes=frozenset({"admin"})).holds("enroll")
    assert not replace(FREE, scopes=frozenset({"enroll", "identify"})).holds("admin")


def test_a_key_does_not_show_its_digest():
    assert "digest" not in repr(FREE)
