import threading

import pytest

from app.actions.style.lease import FIRST_STALL_S, Halted, StyleLease
from app.errors import StoreAway


@pytest.fixture
def stop():
    return threading.Event()


@pytest.fixture
def lease(asked, claim, store, time, reports, stop):
    """Of a job that was just claimed; nobody looks but when told."""
    asked()
    return StyleLease(store, claim(), stop, report=reports.append, ticks=lambda: time.ticks)


@pytest.fixture
def held_for(store, time):
    """Seconds that the lease still holds."""

    def left(job_id="sty_00000000000000000001"):
        with store.read() as uow:
            return (uow.style_jobs.get(job_id).lease_until - time.now).total_seconds()

    return left


def test_is_renewed_while_steps_are_made(lease, held_for, time):
    for _ in range(20):
        time.move(5)
        lease.beat()
        lease.look()
        assert held_for() == 30


def test_is_not_renewed_more_often_than_every_five_seconds(lease, held_for, time):
    time.move(4)
    lease.look()
    assert held_for() == 26


def test_whoever_hangs_loses_it(lease, held_for, time, claim, reports):
    time.move(1)
    lease.stepped()
    for _ in range(12):
        time.move(5)
        lease.look()
    assert (held_for(), reports) == (30, [])
    for _ in range(7):
        time.move(5)
        lease.look()
    assert claim().token == 2
    assert "hangs" in reports[0]
    assert len(reports) == 1
    lease.look()
    with pytest.raises(Halted) as halted:
        lease.beat()
    assert halted.value.why == "lost"


def test_a_slow_step_is_waited_for_ten_times_as_long(lease, held_for, time):
    time.move(20)
    lease.stepped()
    for _ in range(39):
        time.move(5)
        lease.look()
    assert held_for() == 30
    time.move(10)
    lease.look()
    assert held_for() == 20


def test_the_first_step_may_take_longer(lease, held_for, time):
    for _ in range(int(FIRST_STALL_S // 5)):
        time.move(5)
        lease.look()
    assert held_for() == 30


def test_a_beat_within_a_step_counts(lease, held_for, time):
    time.move(1)
    lease.stepped()
    for _ in range(100):
        time.move(5)
        lease.beat()
        lease.look()
    assert held_for() == 30


def test_hears_of_cancellation_at_once(lease, cancel):
    cancel("sty_00000000000000000001")
    lease.beat()
    lease.look()
    for ask, within_step in ((lease.beat, True), (lease.between, False)):
        with pytest.raises(Halted) as halted:
            ask()
        assert (halted.value.why, halted.value.within_step) == ("cancelled", within_step)


def test_loss_counts_more_than_cancellation(lease):
    lease.hear(True)
    lease.hear(None)
    lease.hear(True)
    with pytest.raises(Halted, match="lost"):
        lease.between()


def test_a_process_that_stops_ends_the_step_at_hand(lease, stop, time):
    stop.set()
    lease.beat()
    time.move(4)
    lease.beat()
    with pytest.raises(Halted, match="stopped"):
        lease.between()
    time.move(2)
    with pytest.raises(Halted, match="stopped"):
        lease.beat()


def test_goes_on_asking_where_the_database_fails(asked, claim, store, time, reports, stop, monkeypatch):
    asked()
    lease = StyleLease(store, claim(), stop, report=reports.append, look_s=0.001, ticks=lambda: time.ticks)
    read, faults, asked_again = store.read, [StoreAway(), RuntimeError("odd")], threading.Event()

    def fail():
        if faults:
            raise faults.pop(0)
        asked_again.set()
        return read()

    monkeypatch.setattr(store, "read", fail)
    with lease:
        assert asked_again.wait(5)
    assert reports == ["the lease of the render sty_00000000000000000001 could not be renewed: RuntimeError"]
