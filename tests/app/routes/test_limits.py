import dataclasses
from datetime import UTC, datetime

import pytest

from app.domain.key import Key
from app.errors import RateLimited
from app.routes import limits
from app.routes.limits import KeyLimits

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


class Time:
    def __init__(self):
        self.s = 1_000_000.0

    def __call__(self):
        return self.s


@pytest.fixture
def time():
    return Time()


@pytest.fixture
def limited(time):
    return lambda *args, **more: KeyLimits(*args, now=time, **more)


def key(id_="k", **more):
    return Key(id_, "door", frozenset({"detect"}), NOON, b"digest", **more)


def ask(granted, which, times):
    """How many of so many requests, each ended at once, are let through."""
    passed = 0
    for _ in range(times):
        try:
            granted.enter(which)()
        except RateLimited:
            continue
        passed += 1
    return passed


@pytest.mark.parametrize("rate", [1, 7, 60, 6000, 10_000_000])
def test_a_minute_s_requests_pass_at_once_and_then_one_at_each_share_of_a_minute(limited, time, rate):
    granted, most = limited(rate, 10), min(rate, 20_000)
    assert ask(granted, key(), most) == most
    if most < rate:
        return
    with pytest.raises(RateLimited) as refusal:
        granted.enter(key())
    assert refusal.value.retry_after_s == max(1, round(60 / rate))
    time.s += 60 / rate
    assert ask(granted, key(), 2) == 1
    time.s += 59 / rate
    assert ask(granted, key(), 1) == 0


def test_retry_after_is_when_the_next_one_passes(limited, time):
    granted = limited(10, 1)
    ask(granted, key(), 10)
    with pytest.raises(RateLimited) as refusal:
        granted.enter(key())
    time.s += refusal.value.retry_after_s
    granted.enter(key())


def test_a_pause_fills_the_bucket_and_no_more(limited, time):
    granted = limited(5, 1)
    ask(granted, key(), 5)
    time.s += 86_400
    assert ask(granted, key(), 100) == 5


def test_a_refused_request_takes_nothing_from_the_bucket(limited, time):
    granted = limited(6, 1)
    ask(granted, key(), 6)
    assert ask(granted, key(), 1000) == 0
    time.s += 10
    assert ask(granted, key(), 1) == 1


def test_so_many_requests_at_a_time_and_the_next_when_one_has_ended(limited):
    granted = limited(100, 2)
    first, _ = granted.enter(key()), granted.enter(key())
    with pytest.raises(RateLimited, match="2 requests under way") as refusal:
        granted.enter(key())
    assert refusal.value.retry_after_s == 1
    first()
    granted.enter(key())


def test_a_request_too_many_at_a_time_is_not_counted_as_one_of_the_minute(limited):
    granted = limited(2, 1)
    first = granted.enter(key())
    for _ in range(10):
        with pytest.raises(RateLimited, match="under way"):
            granted.enter(key())
    first()
    granted.enter(key())


def test_keys_have_limits_of_their_own(limited):
    granted = limited(5, 5)
    assert ask(granted, key("small", rate_per_minute=2), 10) == 2
    assert ask(granted, key("large", rate_per_minute=9), 10) == 9
    assert ask(granted, key("default"), 10) == 5
    granted.enter(key("one", concurrency=1))
    with pytest.raises(RateLimited):
        granted.enter(key("one", concurrency=1))


def test_each_of_several_processes_grants_its_share_rounded_up(limited):
    for rate, workers, share in [(10, 4, 3), (1, 8, 1), (12, 4, 3)]:
        granted = limited(rate, 1000, workers=workers)
        assert ask(granted, key(), 20) == share
        assert workers * share >= rate


def test_a_changed_limit_counts_from_the_next_request_on_and_what_was_asked_stays_asked(limited):
    granted = limited(50, 5)
    assert ask(granted, key(), 25) == 25
    assert ask(granted, dataclasses.replace(key(), rate_per_minute=4), 10) == 2


def test_the_table_is_bounded_and_keeps_what_is_under_way(limited, monkeypatch):
    monkeypatch.setattr(limits, "MOST_KEYS", 3)
    granted = limited(5, 1)
    granted.enter(key("busy"))
    for number in range(50):
        granted.enter(key(str(number)))()
    assert len(granted) == 3
    with pytest.raises(RateLimited, match="under way"):
        granted.enter(key("busy"))


def test_over_http_the_key_is_told_when_to_come_again(service):
    strict = service.key("detect", rate_per_minute=2)
    assert [service.call("GET", "/info", key=strict).status_code for _ in range(3)] == [200, 200, 429]
    answer = service.call("GET", "/info", key=strict)
    assert (answer.json()["code"], answer.headers["retry-after"]) == ("rate_limited", "30")
    assert service.call("GET", "/info").status_code == 200
    # It says that the key is good, and no more than that.
    assert service.call("GET", "/health/ready", key=strict).json()["checks"]


def test_a_request_that_ended_badly_leaves_its_place(service):
    one = service.key("detect", concurrency=1)
    for _ in range(3):
        assert service.call("POST", "/identify", key=one).json()["code"] == "scope"
        assert service.call("POST", "/detect", key=one, content=b"x").json()["code"] == "unsupported_media"
