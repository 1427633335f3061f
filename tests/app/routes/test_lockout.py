import json

import pytest

from app.errors import LockedOut
from app.routes import lockout
from app.routes.lockout import LockOut, address_of
from app.routes.remembered import Remembered

HERE, THERE = "192.0.2.1", "192.0.2.2"


class Time:
    def __init__(self):
        self.s = 1_000_000.0

    def __call__(self):
        return self.s


@pytest.fixture
def time():
    return Time()


@pytest.fixture
def reports():
    return []


@pytest.fixture
def make(time, reports):
    return lambda **more: LockOut(Remembered(), lambda *what: reports.append(what), now=time, **more)


def guess(lock_out, times, host=HERE):
    return [lock_out.note_bad(host) for _ in range(times)]


def wait_s(lock_out, host=HERE, token="any"):
    """How long that address has to wait; 0 where it need not."""
    try:
        lock_out.check(host, token)
    except LockedOut as e:
        return e.retry_after_s
    return 0


def test_ten_bad_keys_in_a_minute_lock_their_address_out_for_a_minute(make, time):
    lock_out = make()
    assert guess(lock_out, 9) == [False] * 9
    assert wait_s(lock_out) == 0
    assert guess(lock_out, 1) == [True]
    assert (wait_s(lock_out), wait_s(lock_out, THERE)) == (60, 0)
    time.s += 59.5
    assert wait_s(lock_out) == 1
    time.s += 0.5
    assert wait_s(lock_out) == 0


def test_bad_keys_far_apart_are_slips_of_the_hand(make, time):
    lock_out = make()
    for _ in range(100):
        assert guess(lock_out, 1) == [False]
        time.s += 6.7
    assert wait_s(lock_out) == 0


def test_each_lock_out_is_twice_as_long_and_a_quarter_of_an_hour_at_most(make, time):
    lock_out, waits = make(), []
    for _ in range(6):
        guess(lock_out, 10)
        waits.append(wait_s(lock_out))
        time.s += waits[-1]
    assert waits == [60, 120, 240, 480, 900, 900]


def test_an_hour_without_one_is_forgiven(make, time):
    lock_out = make()
    guess(lock_out, 10)
    time.s += 60 + 3601
    guess(lock_out, 10)
    assert wait_s(lock_out) == 60


def test_each_lock_out_is_told_once_with_the_address_and_the_seconds(make, reports, time):
    lock_out = make()
    assert guess(lock_out, 15).count(True) == 1
    time.s += 61
    guess(lock_out, 10)
    assert reports == [(HERE, 60), (HERE, 120)]


def test_a_key_that_was_good_from_there_still_opens(make, time):
    lock_out = make()
    lock_out.note_good(HERE, "door")
    time.s += 86_400
    guess(lock_out, 10)
    assert wait_s(lock_out, token="door") == 0
    assert wait_s(lock_out, token="doo") == 60
    lock_out.note_good(THERE, "window")
    assert wait_s(lock_out, token="window") == 60


def test_what_was_good_long_ago_does_not(make, time):
    lock_out = make()
    lock_out.note_good(HERE, "door")
    time.s += 8 * 86_400
    guess(lock_out, 10)
    assert wait_s(lock_out, token="door") == 60


@pytest.mark.parametrize(("workers", "most"), [(1, 10), (2, 5), (3, 4), (4, 3), (64, 3)])
def test_each_of_several_processes_counts_its_share(make, workers, most):
    assert guess(make(workers=workers), most) == [False] * (most - 1) + [True]


def test_an_ipv6_host_counts_by_its_64_and_ipv4_however_it_is_written():
    assert address_of("2001:db8:1:2:3::4") == address_of("2001:db8:1:2:ffff::1") == "2001:db8:1:2::/64"
    assert address_of("2001:db8:1:3::4") != address_of("2001:db8:1:2::4")
    assert address_of("::ffff:192.0.2.1") == address_of("192.0.2.1") == "192.0.2.1"
    assert address_of("fe80::1%eth0") == "fe80::/64"
    assert (address_of(None), address_of("testclient")) == ("-", "testclient")


def test_the_table_is_bounded(make, monkeypatch):
    monkeypatch.setattr(lockout, "MOST_ADDRESSES", 5)
    lock_out = make()
    guess(lock_out, 10)
    for number in range(4):
        guess(lock_out, 1, f"198.51.100.{number}")
    assert wait_s(lock_out) == 60
    for number in range(100):
        guess(lock_out, 1, f"198.51.100.{number}")
    assert len(lock_out) == 5


def bad(service, number=0):
    return service.call("GET", "/info", key=f"olk_nobody_{number}secret")


def test_over_http_whoever_guesses_has_to_wait_and_a_door_beside_does_not(service):
    door, other = service.key("detect"), service.key("detect")
    assert service.call("GET", "/info", key=door).status_code == 200
    assert [bad(service, n).status_code for n in range(11)] == [401] * 10 + [429]
    answer = bad(service)
    assert (answer.json()["code"], answer.headers["retry-after"]) == ("locked_out", "60")
    assert service.call("GET", "/info", key=door).status_code == 200
    # A guess that happens to be right is not told so.
    assert service.call("GET", "/info", key=other).json()["code"] == "locked_out"
    assert "checks" not in service.call("GET", "/health/ready", key=other).json()
    assert service.call("GET", "/info", key=None).json()["code"] == "no_key"


def test_over_http_a_lock_out_is_logged_once_without_the_key_and_counted(service):
    metrics = service.admin
    assert service.call("GET", "/info", key=metrics).status_code == 200
    for number in range(15):
        bad(service, number)
    told = [line for line in service.log.getvalue().splitlines() if "locked out" in line]
    assert [(json.loads(line)["address"], json.loads(line)["seconds"]) for line in told] == [("127.0.0.1", 60)]
    assert "secret" not in service.log.getvalue()
    assert "nobody" not in service.log.getvalue()
    assert "onelook_lock_outs_total 1.0" in service.call("GET", "/metrics", key=metrics).text


def test_over_http_guessing_at_a_public_route_counts_too(service):
    for number in range(10):
        assert service.call("GET", "/health/ready", key=f"olk_nobody_{number}").status_code == 200
    assert bad(service).json()["code"] == "locked_out"


def test_a_key_that_was_revoked_or_has_expired_is_no_guess(service, clock):
    revoked, expired = service.key("detect"), service.key("detect", expires_at=clock.now().replace(hour=13))
    service.call("DELETE", f"/keys/{revoked.split('_')[1]}")
    clock.move(hours=2)
    codes = {service.call("GET", "/info", key=key).json()["code"] for key in [revoked, expired] * 10}
    assert codes == {"bad_key", "expired_key"}
    assert bad(service).json()["code"] == "bad_key"
