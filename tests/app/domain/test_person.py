from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from app.domain.face import Face, Quality
from app.domain.key import SCOPES, Key
from app.domain.person import Person, Template

NOW = datetime(2030, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("begins", "ends", "expected"),
    [
        (None, None, None),
        (NOW, None, None),
        (NOW + HOUR, None, "not_yet_valid"),
        (None, NOW, "expired"),
        (None, NOW + HOUR, None),
        (NOW - 2 * HOUR, NOW - HOUR, "expired"),
    ],
)
def test_validity_begins_with_its_first_instant_and_ends_before_its_last(begins, ends, expected):
    assert Person("p", "P", NOW, NOW, valid_from=begins, valid_until=ends).validity(NOW) == expected


@pytest.mark.parametrize(
    ("active", "opted_out", "may"), [(True, False, True), (False, False, False), (True, True, False)]
)
def test_who_may_match(active, opted_out, may):
    assert Person("p", "P", NOW, NOW, active=active, face_opt_out=opted_out).may_match() is may


def test_no_repr_shows_a_vector_or_a_digest():
    vector = np.full(128, 0.123456, np.float32)
    quality = Quality(0.9, (), 40.0, 0.0, 0.0, 0.0, 0.5, 0.5, 0.0)
    shown = repr(Template("t", "p", "m", quality, NOW, vector)) + repr(Face((0, 0, 1, 1), (), 0.9, quality, vector))
    assert "0.1234" not in shown
    assert "digest" not in repr(Key("k", "K", frozenset({"verify"}), NOW, b"secret"))


def test_admin_holds_every_scope_and_no_other_does():
    admin = Key("k", "K", frozenset({"admin"}), NOW, b"")
    verify = Key("k", "K", frozenset({"verify"}), NOW, b"")
    assert all(admin.holds(scope) for scope in SCOPES)
    assert [scope for scope in SCOPES if verify.holds(scope)] == ["verify"]
