"""A write that is stored -> an index that has it, if it can be had now."""

import logging
from collections.abc import Callable

from app.ports import Gallery

Report = Callable[[str], object]

to_log: Report = logging.getLogger(__name__).warning


def bring_in_step(gallery: Gallery, committed: int, report: Report) -> int:
    """The seq that the index reached, or `committed`, that of the write, where it could not follow. Never raises.

    The row is there whatever becomes of the index, and every search catches up before it answers: an error here would
    only tell the caller that what was stored was not.
    """
    try:
        return gallery.catch_up()
    except Exception as e:
        report(f"the index could not follow a change that is stored: {type(e).__name__}")
        return committed
