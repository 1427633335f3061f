import asyncio

import pytest

from app.actions.audit import SignHead
from app.actions.erase import Erase
from app.actions.retain import Retain
from app.worker.upkeep import keep_up


@pytest.fixture
def retain(store, gallery, clock, identifiers):
    return Retain(store, Erase(store, gallery, clock, identifiers, print), clock, 30, 0)


def run(retain, until, **more):
    """Keeps up every few milliseconds until something was told; what was told, and what failed."""
    told, failed = [], []

    async def some_time():
        keeping = asyncio.create_task(
            keep_up(
                retain,
                SignHead(retain.store),
                more.pop("sweep_answers", lambda: None),
                tell=lambda what, **facts: told.append((what, facts)),
                fail=failed.append,
                first_after_s=0,
                every_s=0.005,
                **{"may_run": lambda: True, **more},
            )
        )
        async with asyncio.timeout(5):
            while not until(told, failed):
                await asyncio.sleep(0.005)
        keeping.cancel()

    asyncio.run(some_time())
    return told, failed


def test_sweeps_once_an_hour_and_tells_the_head_each_time(retain, enrolled, clock, store):
    enrolled("ann")
    clock.move(days=31)
    told, failed = run(retain, lambda told, failed: len(told) > 3)
    assert ("retention", {"persons": 1, "audit_rows": 0}) in told
    heads = [facts["head"] for what, facts in told if what == "audit head"]
    assert len(heads) >= 3
    assert heads[-1].split(".")[0] == "3"  # enrolled, the sweep, erased: a second sweep within the hour is none
    assert failed == []


def test_goes_on_after_a_failure(retain, monkeypatch):
    outcomes = iter([RuntimeError("once")])
    real = retain.store.read

    def read():
        for outcome in outcomes:
            raise outcome
        return real()

    monkeypatch.setattr(retain.store, "read", read)
    _, failed = run(retain, lambda told, failed: told)
    assert [str(e) for e in failed] == ["once"]


def test_deletes_kept_answers_every_hour_and_does_the_rest_although_that_fails(retain):
    calls = []

    def sweep():
        calls.append(1)
        raise RuntimeError("away")

    told, failed = run(retain, lambda told, failed: len(told) > 1, sweep_answers=sweep)
    assert [what for what, _ in told] == ["audit head"] * len(told)
    assert len(calls) >= 2
    assert [str(e) for e in failed] == ["away"] * len(calls)


def test_does_nothing_while_the_service_is_not_ready(retain, enrolled, clock, store):
    enrolled("ann")
    clock.move(days=31)
    answers = iter([False, False, True])
    told, _ = run(retain, lambda told, failed: told, may_run=lambda: next(answers, False))
    assert [what for what, _ in told] == ["audit head"]
    with store.read() as uow:
        assert uow.people.get("ann") is not None
