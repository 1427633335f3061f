"""From files and options to a render: what it will be is known, and refused where it cannot be, before it begins."""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch

from models.errors import InvalidOption, OtherRender
from models.style import perceptual, picture, points, signal, volume
from models.style.allocation import keep_memory
from models.style.arithmetic import fastest
from models.style.options import Options
from models.style.render import Step, facts_of, run
from models.style.stage import Beat, Losses, Medium, Result, silence
from models.style.vgg19 import Precision, Vgg19

VERSION = 1  # of the engine: a state of another one is not gone on from
GIB = 1 << 30


@dataclass(frozen=True)
class Limits:
    """memory_bytes: what a render may take; 0: half of the machine's. pixels: of one picture that is sent."""

    memory_bytes: int = 0
    pixels: int = 50_000_000

    def memory(self) -> int:
        """Bytes that a render may take."""
        return self.memory_bytes or os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2


@dataclass(frozen=True)
class Progress:
    """One step of a render. scale counts from 1; warning: what went wrong in this step and was mended."""

    step: int
    steps: int
    scale: int
    scales: int
    losses: Losses
    evaluations: int
    warning: str | None
    last_of_scale: bool
    _step: Step = field(repr=False)
    _plan: "Plan" = field(repr=False)
    _facts: Mapping[str, Any] = field(repr=False)

    def preview(self) -> tuple[bytes, str]:
        """(JPEG or PNG of the canvas as it is, media type)."""
        return self._plan.subject.preview(self._step.canvas)

    def state(self) -> bytes:
        """What `Plan.render` goes on from; some megabytes, pixels and optimiser."""
        return self._step.state(self._plan.identity, dict(self._facts))

    def result(self) -> Result:
        """The file, as it would be if this were the last step; of the size asked for at the last scale only."""
        return self._plan.subject.result(self._step.canvas)


@dataclass(frozen=True)
class Plan:
    """A render that can be made. options: as they will be used, nothing left open; identity: of input and engine."""

    medium: str
    subject: Medium = field(repr=False)
    options: Options = field(repr=False)
    steps: int
    scales: int
    identity: str
    weights: str

    @property
    def media_type(self) -> str:
        """Of the result."""
        return self.subject.media_type

    @property
    def suffix(self) -> str:
        """Of the result's file name, with its dot."""
        return self.subject.suffix

    @property
    def memory_bytes(self) -> int:
        """What it will take at its peak, estimated."""
        return self.subject.memory_bytes

    @property
    def engine(self) -> dict[str, Any]:
        """What renders it: enough to know whether another render would come out alike."""
        return {
            "version": VERSION,
            "weights": self.weights,
            "loss_convention": self.options.loss_convention,
            "torch": str(torch.__version__),
            "device": device(),
        }

    def render(self, *, state: bytes | None = None, beat: Beat = silence) -> Iterator[Progress]:
        """Yields after every step; closing the generator stops it. Raises OtherRender for a state of another render.

        state: of an earlier Progress: goes on from there, bit for bit on the same machine, threads and precision. beat:
        called between tiles; what it raises passes through. The process keeps its memory from now on, see `allocation`.
        """
        keep_memory()
        precision: Precision = fastest(device()) if state is None else _precision(facts_of(state))
        # The steps too: whoever goes on with more of them has to begin with these.
        facts = {"precision": precision, "steps": self.options.steps, "extra": self.options.extra}
        self.subject.compute_in(precision, device())
        for step in run(
            self.subject.scales(),
            self.options.optimizer or "lbfgs",
            identity=self.identity,
            extra=self.options.extra,
            state=state,
            beat=beat,
            device=device(),
        ):
            yield Progress(
                *(step.step, self.steps, step.scale, self.scales, step.losses, step.evaluations),
                step.warning,
                step.last_of_scale,
                _step=step,
                _plan=self,
                _facts=facts,
            )


def plan(
    content: bytes,
    styles: Sequence[bytes],
    options: Options,
    *,
    limits: Limits | None = None,
    weights: Path | None = None,
) -> Plan:
    """The render of that content in those styles. weights: a VGG-19 of one's own; None: the shipped one.

    Decodes every file and loads no network. Raises StyleError and ImageError for what cannot be rendered.
    """
    options = options.for_styles(len(styles))
    limits = limits or Limits()
    medium = options.medium or medium_of(content)
    subject = _open(medium, content, styles, options, limits, partial(_network, weights))
    settled = subject.options
    scales = subject.scales()
    told = "shipped" if weights is None else perceptual.digest(weights)
    return Plan(
        medium,
        subject,
        settled,
        sum(scale.steps for scale in scales) + settled.extra,
        sum(1 for scale in scales if scale.steps),
        _identity(content, styles, settled, told),
        told,
    )


def medium_of(content: bytes) -> str:
    """What kind of file that is, by its first bytes; `picture` for what is nothing else: its decoder refuses."""
    if points.looks_like(content):
        return "points"
    if signal.looks_like(content):
        return "sound"
    if volume.looks_like(content):
        return "volume"
    return "picture"


def device() -> str:
    """Where renders are computed: `cuda` where there is one, else `cpu`."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def _open(
    medium: str,
    content: bytes,
    styles: Sequence[bytes],
    options: Options,
    limits: Limits,
    perceive: Callable[[], Vgg19],
) -> Medium:
    if medium == "picture":
        return picture.open_picture(content, styles, options, perceive, limits.pixels, limits.memory())
    if medium == "sound":
        return signal.open_signal(content, styles, options, limits.memory())
    if medium == "volume":
        return volume.open_volume(content, styles, options, perceive, limits.memory())
    if medium == "points":
        return points.open_points(content, styles, options, limits.memory())
    raise InvalidOption("medium", f"{medium} cannot be rendered here.")


def _network(weights: Path | None) -> Vgg19:
    return perceptual.shipped() if weights is None else perceptual.of_file(weights)


def _identity(content: bytes, styles: Sequence[bytes], options: Options, weights: str) -> str:
    told = {**options.as_json(), "extra": 0}
    digest = hashlib.sha256(json.dumps([VERSION, weights, told], sort_keys=True).encode())
    for file in (content, *styles):
        digest.update(hashlib.sha256(file).digest())
    return digest.hexdigest()


def _precision(facts: Mapping[str, Any]) -> Precision:
    found = facts.get("precision")
    if found == "bfloat16":
        return "bfloat16"
    if found == "float32":
        return "float32"
    raise OtherRender
