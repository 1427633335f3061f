"""The renderer, made when it is first asked: whoever only waits for renders needs no torch."""

import os
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from app.ports import Checked, Shown

if TYPE_CHECKING:
    from app.inference.renderer import EngineRenderer


@dataclass(slots=True)
class RendererOnDemand:
    """Fits `ports.Renderer`. Thread-safe. The network itself is loaded by the first render.

    memory_bytes: what a render may take; 0: half of the machine's. pixels: of one picture that is sent. threads: of a
    render; 0: half of the cores. processes: as many render at once, and share those halves.
    """

    memory_bytes: int
    pixels: int
    threads: int
    processes: int
    _made: "EngineRenderer | None" = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def check(self, content: bytes, styles: Sequence[bytes], options: Mapping[str, Any]) -> Checked:
        """As the port says."""
        return self._engine().check(content, styles, options)

    def render(
        self,
        content: bytes,
        styles: Sequence[bytes],
        options: Mapping[str, Any],
        *,
        state: bytes | None,
        beat: Callable[[], object],
    ) -> Generator[Shown, None, None]:
        """As the port says; sets how many threads torch has in this process."""
        engine = self._engine()
        import torch

        torch.set_num_threads(self.threads or max(1, _cores() // (2 * self.processes)))
        yield from engine.render(content, styles, options, state=state, beat=beat)

    def peak_memory_bytes(self) -> int | None:
        """As the port says."""
        return self._engine().peak_memory_bytes()

    def _engine(self) -> "EngineRenderer":
        with self._lock:
            if self._made is None:
                from app.inference.renderer import EngineRenderer
                from models.style.plan import Limits

                memory_bytes = self.memory_bytes or Limits().memory() // self.processes
                self._made = EngineRenderer(limits=Limits(memory_bytes=memory_bytes, pixels=self.pixels))
            return self._made


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
