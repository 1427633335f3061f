"""What a render reads and leaves: files written whole or not at all, and Ctrl-C that loses nothing."""

import mimetypes
import os
import secrets
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from app.cli.plainly import UNUSABLE, told


class Stopped(Exception):
    """Somebody asked to stop; the state of the step before is good."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.status = 128 + number


@contextmanager
def stoppable() -> Iterator[Callable[[], None]]:
    """A beat that raises Stopped once Ctrl-C or SIGTERM has come; the second Ctrl-C ends at once, and saves nothing."""
    heard: list[int] = []

    def hear(number: int, _: Any) -> None:
        if heard:
            raise KeyboardInterrupt
        heard.append(number)

    def beat() -> None:
        if heard:
            raise Stopped(heard[0])

    before = {number: signal.signal(number, hear) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield beat
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def write(path: Path, content: bytes) -> None:
    """The whole file or, whatever happens, the one that was there. Raises OSError."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with draft.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as e:
        draft.unlink(missing_ok=True)
        raise OSError(e.errno, e.strerror, str(path)) from e
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def writable(out: Path, inputs: Sequence[Path]) -> None:
    """Refuses, before anything is rendered, a place where nothing can be written. Raises typer.Exit."""
    if out.exists() and any(one.exists() and out.samefile(one) for one in inputs):
        raise told("--out names one of the files that are read: give another", UNUSABLE)
    if not out.parent.is_dir():
        raise told(f"--out: there is no folder {out.parent}", UNUSABLE)
    if not os.access(out.parent, os.W_OK):
        raise told(f"--out: nothing may be written in {out.parent}", UNUSABLE)


def fits(out: Path, suffix: str, media_type: str) -> None:
    """Refuses a name that does not say what the file will be. Raises typer.Exit."""
    if not out.name.lower().endswith(suffix) and mimetypes.guess_type(out.name)[0] != media_type:
        raise told(f"--out {out.name}: the result is {media_type}; end its name in {suffix}", UNUSABLE)


def state_of(out: Path) -> Path:
    """Where the state of that render lies."""
    return out.with_name(f"{out.name}.state")


def preview_of(out: Path, media_type: str) -> Path:
    """Where its preview lies."""
    return out.with_name(f"{out.name}.preview{mimetypes.guess_extension(media_type) or ''}")
