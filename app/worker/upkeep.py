"""What a service does by itself every hour: kept answers and retention, and the audit trail's head into the log."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

import anyio.to_thread

from app.actions.audit import SignHead
from app.actions.retain import Retain, Retained

FIRST_AFTER_S, EVERY_S = 60.0, 3600.0
# Of several processes, on several machines, the first one sweeps; the others find that it was done.
UNLESS_SINCE = timedelta(minutes=55)


async def keep_up(
    retain: Retain,
    sign_head: SignHead,
    sweep_answers: Callable[[], object],
    *,
    may_run: Callable[[], bool],
    tell: Callable[..., object],
    fail: Callable[[Exception], object],
    first_after_s: float = FIRST_AFTER_S,
    every_s: float = EVERY_S,
) -> None:
    """Until it is cancelled. tell: told of each head and each sweep that removed something; fail: of what went wrong.

    sweep_answers: deletes the kept answers that have expired. may_run: asked before a sweep, and between its
    transactions.
    """
    await asyncio.sleep(first_after_s)
    while True:
        if may_run():
            try:
                await anyio.to_thread.run_sync(sweep_answers)
            except Exception as e:  # the rest does not depend on it
                fail(e)
            try:
                # Whoever keeps the log elsewhere has what a trail that is cut later does not fit.
                tell("audit head", head=(await anyio.to_thread.run_sync(sign_head)).token)
                removed = await anyio.to_thread.run_sync(_sweep, retain, may_run)
            except Exception as e:  # the next hour tries again
                fail(e)
            else:
                if removed.persons or removed.audit_rows:
                    tell("retention", persons=len(removed.persons), audit_rows=removed.audit_rows)
        await asyncio.sleep(every_s)


def _sweep(retain: Retain, may_run: Callable[[], bool]) -> Retained:
    return retain(unless_since=UNLESS_SINCE, stop=lambda: not may_run())
