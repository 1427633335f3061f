"""`onelook style`: a picture, a sound or a volume in the style of others."""

import json
import re
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from app.cli.plainly import UNUSABLE, shown, told
from app.cli.style_files import fits, preview_of, state_of, stoppable, writable, write
from app.cli.style_options import Asked, options_of, with_options
from app.cli.style_progress import display
from app.cli.style_run import Run, going_on, planned
from app.cli.sweep import AUTO, draw_sweep
from models.errors import OtherRender

if TYPE_CHECKING:
    from models.style.plan import Progress

AXIS = re.compile(r"[\w-]+=")


class StyleCommand(TyperCommand):
    """`--sweep` may stand alone, for the usual grid."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As ever, once what is left out has been put in."""
        given = []
        for word, after in zip(args, [*args[1:], ""], strict=True):
            given += [word, AUTO] if word == "--sweep" and not AXIS.match(after) and after != AUTO else [word]
        return super().parse_args(ctx, given)


@with_options
def style(
    ctx: typer.Context,
    content: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="a picture, sound, volume or points")],
    styles: Annotated[list[Path], typer.Option("--style", exists=True, dir_okay=False, help="may be repeated")],
    out: Annotated[Path, typer.Option(dir_okay=False, help="the result; what is there is overwritten")],
    resume: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="a state (OUT.state) to go on from")
    ] = None,
    keep_state: Annotated[
        bool, typer.Option("--keep-state", help="keep the state of a render that has ended, to add steps later")
    ] = False,
    preview_every: Annotated[float | None, typer.Option(min=0, help="seconds from one preview to the next")] = None,
    sweep: Annotated[
        list[str] | None,
        typer.Option(metavar="[FLAG=VALUE,...]", help="draw a sheet of small renders to choose from; once or twice"),
    ] = None,
    sweep_size: Annotated[int, typer.Option(min=16, help="longer side of each render of the sheet")] = 256,
    sweep_steps: Annotated[int, typer.Option(min=1, help="steps of each at most")] = 80,
    weights: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="a VGG-19 of your own, safetensors or PyTorch")
    ] = None,
    memory: Annotated[int | None, typer.Option(min=1, help="MiB it may take; default: half the machine's")] = None,
    threads: Annotated[int | None, typer.Option(min=1, max=256, help="default: as torch chooses")] = None,
    json_line: Annotated[bool, typer.Option("--json", help="tell the facts as one line of JSON")] = False,
    **given: Any,
) -> None:
    """Render content in the style of one to four others. Ctrl-C keeps what there is, and --resume goes on from it."""
    asked = Asked(
        content,
        tuple(styles),
        out,
        options_of(given),
        tuple(given["masks"] or ()),
        weights,
        memory,
        threads,
    )
    writable(out, [*asked.inputs(), *([] if resume is None else [resume])])
    if threads is not None:
        import torch

        torch.set_num_threads(threads)
    if sweep:
        if resume is not None or preview_every is not None or keep_state:
            raise told("--sweep draws a sheet: it takes no --resume, --keep-state and --preview-every", UNUSABLE)
        draw_sweep(asked, sweep, sweep_size, sweep_steps, json_line=json_line)
        return
    state = None
    if resume is not None:
        said = ctx.get_parameter_source("steps")
        own = asked.options.steps if said is not None and said.name != "DEFAULT" else None
        state = resume.read_bytes()
        asked = replace(asked, options=going_on(asked.options, state, own, resume))
    _render(asked, state, preview_every, keep_state=keep_state, json_line=json_line)


def _render(
    asked: Asked, state: bytes | None, preview_every: float | None, *, keep_state: bool, json_line: bool
) -> None:
    plan = planned(asked, asked.options)
    fits(asked.out, plan.suffix, plan.media_type)
    run, previews = Run(plan), _Previews(asked.out, preview_every)
    try:
        with stoppable() as beat, display(plan.steps) as show:
            run.go(beat, show, state=state, each=previews)
    except OtherRender as e:
        text = "the state is of other files, options or weights, or of another version: give those, or begin anew"
        raise told(f"--resume: {text}", UNUSABLE) from e
    if run.last is None:
        if run.stopped is not None:
            raise told("stopped before the first step: nothing was written", run.stopped.status)
        raise told(f"the render has taken its {plan.steps} steps already: add some with --steps", UNUSABLE)
    facts = run.facts() | _left(asked, run, run.last, keep_state=keep_state)
    if run.stopped is None:
        previews.remove()
    if json_line:
        typer.echo(json.dumps(facts))
    elif facts["out"] is not None:
        typer.echo(f"rendered to {shown(facts['out'])}")
    if run.stopped is not None:
        go_on = replace(asked.options, steps=asked.options.steps + asked.options.extra)
        command = asked.command(asked.out, go_on, "--resume", str(state_of(asked.out)))
        raise told(f"stopped after step {run.last.step} of {plan.steps}; to go on: {command}", run.stopped.status)


def _left(asked: Asked, run: Run, last: "Progress", *, keep_state: bool) -> dict[str, Any]:
    """Writes what there is; its names and facts."""
    found: dict[str, Any] = {"out": None, "state": None}
    if run.stopped is None or last.scale == last.scales:
        result = last.result()
        write(asked.out, result.content)
        found |= {"out": str(asked.out), "media_type": result.media_type, **result.facts}
    if run.stopped is not None or keep_state:
        write(state_of(asked.out), last.state())
        found["state"] = str(state_of(asked.out))
    return found


class _Previews:
    def __init__(self, out: Path, every_s: float | None) -> None:
        self._out, self._every_s, self._at_s = out, every_s, time.monotonic()
        self._path: Path | None = None

    def __call__(self, progress: "Progress") -> None:
        if self._every_s is None or time.monotonic() - self._at_s < self._every_s:
            return
        picture, media_type = progress.preview()
        self._path = preview_of(self._out, media_type)
        write(self._path, picture)
        self._at_s = time.monotonic()

    def remove(self) -> None:
        """The render is there, and is better."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)
