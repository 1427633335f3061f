"""One render of the command line: planned, gone on with, run."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.cli.plainly import UNUSABLE, told
from app.cli.style_files import Stopped
from app.cli.style_options import EVERYWHERE, Asked, refused
from app.cli.style_progress import Display, Pace
from models.errors import ImageError, InvalidOption, LibraryError, OtherRender, UnreadableMedia
from models.style.options import Options

if TYPE_CHECKING:
    from models.style.plan import Plan, Progress


def planned(asked: Asked, options: Options) -> "Plan":
    """The render with those options. Raises typer.Exit, LibraryError and OSError for what cannot be rendered."""
    from models.style.plan import Limits, plan

    content, files = asked.content.read_bytes(), [path.read_bytes() for path in asked.styles]
    limits = Limits(memory_bytes=(asked.memory_mib or 0) << 20)
    try:
        return plan(content, files, options, limits=limits, weights=asked.weights)
    except InvalidOption as e:
        raise refused(e) from e
    except (ImageError, UnreadableMedia) as e:
        # Which of the files it is: the first that cannot be rendered even in its own style.
        for path in (asked.content, *asked.styles, *map(Path, filter(EVERYWHERE.__ne__, asked.masks))):
            file = path.read_bytes()
            try:
                plan(file, [file], Options(), limits=limits)
            except (ImageError, UnreadableMedia) as own:
                raise type(own)(f"{path.name}: {_text(own)}") from e
            except LibraryError:
                continue
        raise


def going_on(options: Options, state: bytes, steps: int | None, path: Path) -> Options:
    """The options of a render that goes on from a state. steps: in all, as told; None: as many as it was to have."""
    from models.style.render import facts_of

    try:
        facts = facts_of(state)
        begun, before = int(facts["steps"]), int(facts["extra"])
    except (OtherRender, KeyError, TypeError, ValueError) as e:
        raise told(f"--resume {path.name}: no state of a render of this version", UNUSABLE) from e
    wanted = begun + before if steps is None else steps
    if wanted < begun:
        raise told(f"--steps: the render began with {begun} steps, and goes on with as many at least", UNUSABLE)
    return replace(options, steps=begun, extra=wanted - begun)


@dataclass
class Run:
    """One render as it runs: what it showed last, and how it ended."""

    plan: "Plan"
    last: "Progress | None" = None
    stopped: Stopped | None = None
    seconds: float = 0.0

    def go(
        self,
        beat: Callable[[], None],
        show: Display,
        *,
        state: bytes | None = None,
        each: "Callable[[Progress], None]" = lambda _: None,
    ) -> None:
        """Renders to the end, or until beat raises Stopped. each: called after every step. Raises LibraryError."""
        began_s = time.monotonic()
        steps = [scale.steps for scale in self.plan.subject.scales()]
        pace = Pace([*steps[:-1], steps[-1] + self.plan.options.extra])
        try:
            for progress in self.plan.render(state=state, beat=beat):
                if self.last is None and state is not None:
                    pace.starts_from(progress.evaluations - 1)
                self.last = progress
                pace.note(progress.scale, progress.step, progress.evaluations)
                if progress.warning:
                    show.say(f"step {progress.step}: {progress.warning}")
                show.show(progress, pace)
                each(progress)
                if progress.step < progress.steps:
                    beat()
        except Stopped as e:
            self.stopped = e
        self.seconds = time.monotonic() - began_s

    def facts(self) -> dict[str, Any]:
        """What there is to tell of it, but for its files."""
        last = self.last
        assert last is not None
        options = {name: value for name, value in self.plan.options.as_json().items() if name != "masks"}
        return {
            "medium": self.plan.medium,
            "finished": self.stopped is None,
            "step": last.step,
            "steps": last.steps,
            "evaluations": last.evaluations,
            "seconds": round(self.seconds, 3),
            "losses": asdict(last.losses),
            "memory_bytes": self.plan.memory_bytes,
            "options": options,
            "engine": self.plan.engine,
        }


def _text(error: LibraryError) -> str:
    return str(error) or (type(error).__doc__ or "")
