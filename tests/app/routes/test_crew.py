"""Crews: bounded threads, a refusal or a wait when all are taken, and the work's own outcome."""

import asyncio
import threading

import pytest

from app.errors import Busy
from app.routes.crew import Crew


def test_gives_back_what_the_work_returns_or_raises() -> None:
    async def both() -> None:
        crew = Crew(1)
        assert await crew.run(divmod, 7, 2) == (3, 1)
        with pytest.raises(ZeroDivisionError):
            await crew.run(divmod, 7, 0)
        assert crew.free == 1
        crew.close()

    asyncio.run(both())


def test_refuses_when_all_threads_are_taken_and_works_again_later() -> None:
    async def three_at_two() -> None:
        crew, go = Crew(2, refusal="later"), threading.Event()
        taken = [asyncio.create_task(crew.run(go.wait, 30)) for _ in range(2)]
        await asyncio.sleep(0)
        assert crew.free == 0
        with pytest.raises(Busy, match="later"):
            await crew.run(int)
        go.set()
        assert await asyncio.gather(*taken) == [True, True]
        assert await crew.run(int) == 0
        crew.close()

    asyncio.run(three_at_two())


def test_without_a_refusal_further_work_waits_for_its_turn() -> None:
    async def two_at_one() -> None:
        crew, go = Crew(1), threading.Event()
        first = asyncio.create_task(crew.run(go.wait, 30))
        await asyncio.sleep(0)
        second = asyncio.create_task(crew.run(int))
        await asyncio.sleep(0.05)
        assert not second.done()
        go.set()
        assert await asyncio.gather(first, second) == [True, 0]
        crew.close()

    asyncio.run(two_at_one())
