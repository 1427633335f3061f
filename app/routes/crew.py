"""Threads for one kind of work, so that no kind keeps another from being done."""

import asyncio
import contextvars
import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from app.errors import Busy

P = ParamSpec("P")
T = TypeVar("T")


class Crew:
    """At most `threads` pieces of work at once. Used from one event loop.

    refusal: what Busy says when all are taken; None: further work waits for a thread instead. The event loop's own
    executors are used and not anyio's, which cost a request about twice the processor time.
    """

    def __init__(self, threads: int, *, refusal: str | None = None) -> None:
        self.threads = threads
        self._refusal = refusal
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="crew")
        self._at_work = 0

    @property
    def free(self) -> int:
        """Threads that have nothing to do."""
        return max(0, self.threads - self._at_work)

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What the work returns or raises. Raises Busy when it may not wait and all threads are taken."""
        if self._refusal is not None and not self.free:
            raise Busy(self._refusal)
        # The event loop's executors do not hand it over by themselves: who is acting goes with the work.
        context = contextvars.copy_context()
        self._at_work += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._pool, functools.partial(context.run, work, *args, **kwargs)
            )
        finally:
            self._at_work -= 1

    def close(self) -> None:
        """Lets idle threads end; work that is under way is not waited for."""
        self._pool.shutdown(wait=False)
