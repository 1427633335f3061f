"""A renderer for tests alone: each step is a link of a chain of digests, so that a wrong or a lost step shows."""

import base64
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from app.domain.style_job import OtherState
from app.errors import InvalidOption, TooLarge, TooManyPixels, UnreadableImage, UnreadableMedia, UnsupportedMedia
from app.ports import Checked, Rendered

PICTURE = b"picture "
OPTIONS = {"size": 64, "steps": 20, "extra": 0, "seed": 0, "masks": []}
LARGEST = 4096
REFUSED = {
    b"unknown": UnsupportedMedia,
    b"damaged": UnreadableImage,
    b"deaf": UnreadableMedia,
    b"giant": TooManyPixels,
}


class Step:
    """Fits `ports.Shown`."""

    def __init__(self, canvas: str, step: int, steps: int, warning: str | None) -> None:
        self.canvas, self.step, self.scale, self.warning = canvas, step, 1, warning
        self.last_of_scale = step == steps
        self.evaluations = step
        self.losses = {
            "total": 3.0 / step,
            "content": 1.0 / step,
            "style": 2.0 / step,
            "per_layer": {"one": 2.0 / step},
        }

    def preview(self) -> tuple[bytes, str]:
        return f"preview {self.step}".encode(), "image/jpeg"

    def state(self) -> bytes:
        return json.dumps({"canvas": self.canvas, "step": self.step}).encode()

    def result(self) -> Rendered:
        return Rendered(self.canvas.encode(), "image/png", ".png", {"width": 8, "height": 4})


class ChainRenderer:
    """Fits `ports.Renderer`. A picture is any bytes that begin with `picture `.

    step_s: how long a step takes; journal: a line is added to it for each step that was made, as it is made.
    """

    def __init__(self, step_s: float = 0.0, journal: Path | None = None) -> None:
        self.step_s, self.journal = step_s, journal
        self.before_step: Callable[[int], object] = lambda step: None

    def check(self, content: bytes, styles: Sequence[bytes], options: Mapping[str, Any]) -> Checked:
        for file in (content, *styles):
            for word, error in REFUSED.items():
                if file.startswith(word):
                    raise error
            if not file.startswith(PICTURE):
                raise UnsupportedMedia
        for name in options:
            if name not in OPTIONS:
                raise InvalidOption(name, f"There is no option {name}.")
        used = {**OPTIONS, **options}
        if not isinstance(used["steps"], int) or used["steps"] < 1:
            raise InvalidOption("steps", "steps is at least 1.")
        if used["size"] > LARGEST:
            raise TooLarge(LARGEST, f"size {LARGEST} fits.")
        steps = used["steps"] + used["extra"]
        return Checked("picture", "image/png", steps, 1, 1000 * used["size"], used, {"version": 1, "weights": "chain"})

    def render(
        self,
        content: bytes,
        styles: Sequence[bytes],
        options: Mapping[str, Any],
        *,
        state: bytes | None,
        beat: Callable[[], object],
    ) -> Iterator[Step]:
        steps = self.check(content, styles, options).steps
        at = {"canvas": begun(content, styles, options), "step": 0} if state is None else json.loads(state)
        if at["step"] > steps:
            raise OtherState
        canvas = at["canvas"]
        for step in range(at["step"] + 1, steps + 1):
            beat()
            self.before_step(step)
            time.sleep(self.step_s)
            canvas = linked(canvas, step)
            if self.journal is not None:
                with self.journal.open("a") as file:
                    file.write(f"{hashlib.sha256(content).hexdigest()} {step} {os.getpid()}\n")
            yield Step(canvas, step, steps, "a step went wrong, and was mended" if step == 3 else None)

    def peak_memory_bytes(self) -> int | None:
        return 123_456


def begun(content: bytes, styles: Sequence[bytes], options: Mapping[str, Any]) -> str:
    """The canvas before the first step."""
    masks = [None if mask is None else base64.b64decode(mask) for mask in options.get("masks") or []]
    told = json.dumps([options.get("seed", 0), options.get("size", 64), [str(mask) for mask in masks]])
    return hashlib.sha256(b"|".join((content, *styles, told.encode()))).hexdigest()


def linked(canvas: str, step: int) -> str:
    """The canvas after that step."""
    return hashlib.sha256(f"{canvas} {step}".encode()).hexdigest()


def chain(content: bytes, styles: Sequence[bytes], options: Mapping[str, Any]) -> bytes:
    """What a render comes to if no step is lost, made twice in a row, or made by another."""
    canvas = begun(content, styles, options)
    for step in range(1, options.get("steps", OPTIONS["steps"]) + options.get("extra", 0) + 1):
        canvas = linked(canvas, step)
    return canvas.encode()
