"""models.style behind the port Renderer."""

import os
import sys
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from app import errors
from app.domain.style_job import OtherState
from app.inference.translated import of_picture
from app.ports import Checked, Rendered, Shown
from models import errors as library

if TYPE_CHECKING:
    from models.style.plan import Plan, Progress


class StyleRenderer:
    """Fits `ports.Renderer`. Nothing is loaded before it is asked for; the network not before a render.

    memory_bytes: what a render may take; 0: half of the machine's. pixels: of one picture that is sent. threads: of a
    render; 0: half of the cores. processes: as many render at once, and share those halves.
    """

    def __init__(self, memory_bytes: int, pixels: int, threads: int = 0, processes: int = 1) -> None:
        self._memory_bytes, self._pixels = memory_bytes or _memory_bytes() // (2 * processes), pixels
        self._threads = threads or max(1, _cores() // (2 * processes))

    def check(self, content: bytes, styles: Sequence[bytes], options: Mapping[str, Any]) -> Checked:
        """What the render will be; decodes every file. Raises as the port says."""
        plan = self._plan(content, styles, options)
        return Checked(
            medium=plan.medium,
            media_type=plan.media_type,
            steps=plan.steps,
            scales=plan.scales,
            memory_bytes=plan.memory_bytes,
            options=plan.options.as_json(),
            engine=plan.engine,
        )

    def render(
        self,
        content: bytes,
        styles: Sequence[bytes],
        options: Mapping[str, Any],
        *,
        state: bytes | None,
        beat: Callable[[], object],
    ) -> Generator[Shown, None, None]:
        """A value after each step. Raises OtherState, and what `check` raises."""
        import torch

        torch.set_num_threads(self._threads)
        plan = self._plan(content, styles, options)
        with _translated():
            for progress in plan.render(state=state, beat=beat):
                yield _Step(progress)

    def peak_memory_bytes(self) -> int | None:
        """The most memory that this process has used, where it can be told."""
        if sys.platform == "win32":
            return None
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else 1024 * peak

    def _plan(self, content: bytes, styles: Sequence[bytes], options: Mapping[str, Any]) -> "Plan":
        from models.style.options import Options
        from models.style.plan import Limits, plan

        with _translated():
            limits = Limits(memory_bytes=self._memory_bytes, pixels=self._pixels)
            return plan(content, styles, Options.of(options), limits=limits)


class _Step:
    """Fits `ports.Shown`."""

    def __init__(self, progress: "Progress") -> None:
        self._progress = progress
        self.step, self.scale = progress.step, progress.scale
        self.last_of_scale, self.evaluations = progress.last_of_scale, progress.evaluations
        self.warning = progress.warning

    @property
    def losses(self) -> Mapping[str, Any]:
        """As the port says."""
        return asdict(self._progress.losses)

    def preview(self) -> tuple[bytes, str]:
        """(file, media type)."""
        return self._progress.preview()

    def state(self) -> bytes:
        """What the render can go on from."""
        return self._progress.state()

    def result(self) -> Rendered:
        """The file, as it is now."""
        made = self._progress.result()
        return Rendered(made.content, made.media_type, made.suffix, made.facts)


@contextmanager
def _translated() -> Iterator[None]:
    """What the library raises, as the service's own errors, with the library's words."""
    try:
        yield
    except library.ImageError as e:
        raise of_picture(e) from e
    except library.InvalidOption as e:
        raise errors.InvalidOption(e.option, str(e)) from e
    except library.TooLarge as e:
        raise errors.TooLarge(e.fits, str(e)) from e
    except library.UnreadableMedia as e:
        raise errors.UnreadableMedia(str(e) or None) from e
    except library.OtherRender as e:
        raise OtherState from e


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _memory_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
