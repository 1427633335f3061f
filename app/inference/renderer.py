"""The style engine behind the port `Renderer`: files and options in, steps out, its errors as the service's."""

import resource
import sys
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from app import errors
from app.domain.style_job import OtherState
from app.inference.translated import of_picture
from app.ports import Checked, Rendered
from models import errors as library
from models.style.options import Options
from models.style.plan import Limits, Plan, Progress, plan


class EngineRenderer:
    """Fits `ports.Renderer`. Thread-safe; a render takes the thread that asks for its steps.

    limits: what a render may take. weights: a VGG-19 of one's own; None: the shipped one.
    """

    def __init__(self, *, limits: Limits | None = None, weights: Path | None = None) -> None:
        self._limits = limits
        self._weights = weights

    def check(self, content: bytes, styles: Sequence[bytes], options: Mapping[str, Any]) -> Checked:
        """What the render will be. Raises InvalidOption, TooLarge, UnreadableMedia, and the ImageRefused errors."""
        planned = self._plan(content, styles, options)
        return Checked(
            medium=planned.medium,
            media_type=planned.media_type,
            steps=planned.steps,
            scales=planned.scales,
            memory_bytes=planned.memory_bytes,
            options=planned.options.as_json(),
            engine=planned.engine,
        )

    def render(
        self,
        content: bytes,
        styles: Sequence[bytes],
        options: Mapping[str, Any],
        *,
        state: bytes | None,
        beat: Callable[[], object],
    ) -> Generator["_Shown", None, None]:
        """A value after each step; closing the generator stops it. Raises OtherState, and what `check` does."""
        planned = self._plan(content, styles, options)
        beat()
        with _as_service_errors():
            for progress in planned.render(state=state, beat=beat):
                yield _Shown(progress)

    def peak_memory_bytes(self) -> int | None:
        """The most memory that this process has used: of the accelerator where there is one, else of the machine."""
        if torch.cuda.is_available():
            return int(torch.cuda.max_memory_allocated())
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024

    def _plan(self, content: bytes, styles: Sequence[bytes], options: Mapping[str, Any]) -> Plan:
        with _as_service_errors():
            return plan(content, styles, Options.of(options), limits=self._limits, weights=self._weights)


@dataclass(frozen=True, slots=True)
class _Shown:
    """Fits `ports.Shown`."""

    progress: Progress

    @property
    def step(self) -> int:
        """Steps done, of all scales."""
        return self.progress.step

    @property
    def scale(self) -> int:
        """The scale at work."""
        return self.progress.scale

    @property
    def last_of_scale(self) -> bool:
        """Whether the next step is one of the next scale, or there is none."""
        return self.progress.last_of_scale

    @property
    def losses(self) -> Mapping[str, Any]:
        """`total`, `content`, `style`: numbers; `per_layer`: layer -> number."""
        losses = self.progress.losses
        told = {"total": losses.total, "content": losses.content, "style": losses.style}
        return {**told, "per_layer": dict(losses.per_layer)}

    @property
    def evaluations(self) -> int:
        """How often the loss was computed."""
        return self.progress.evaluations

    @property
    def warning(self) -> str | None:
        """What went wrong in this step, and was mended."""
        return self.progress.warning

    def preview(self) -> tuple[bytes, str]:
        """(file, media type)."""
        return self.progress.preview()

    def state(self) -> bytes:
        """What the render can go on from."""
        return self.progress.state()

    def result(self) -> Rendered:
        """The file, as it is now."""
        made = self.progress.result()
        return Rendered(made.content, made.media_type, made.suffix, dict(made.facts))


@contextmanager
def _as_service_errors() -> Iterator[None]:
    try:
        yield
    except library.OtherRender as e:
        raise OtherState(str(e)) from e
    except library.InvalidOption as e:
        raise errors.InvalidOption(e.option, str(e)) from e
    except library.TooLarge as e:
        raise errors.TooLarge(e.fits, str(e)) from e
    except library.StyleError as e:
        raise errors.UnreadableMedia(str(e) or None) from e
    except library.ExtraMissing as e:
        raise errors.UnsupportedMedia(str(e) or None) from e
    except library.ImageError as e:
        raise of_picture(e) from e
