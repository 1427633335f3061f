"""`onelook train`: an encoder of one's own, from any folder of identities."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.progress import Progress as Bar

if TYPE_CHECKING:
    from models.training.loop import Progress

LossName = Literal["triplet", "triplet-unsquared", "contrastive", "siamese", "siamese-concatenated"]
MiningName = Literal["random", "semi-hard", "hard"]
# Lines of progress are printed after each of so many steps.
TELL_EVERY = 10


def train(
    data: Annotated[list[Path], typer.Option("--data", help="folder of identities; may be given several times")],
    out: Annotated[Path, typer.Option(help="folder of this run: what is there already goes on")] = Path(
        "build/training"
    ),
    loss: Annotated[LossName, typer.Option(help="what tells people apart")] = "triplet",
    mining: Annotated[MiningName, typer.Option(help="which examples of a batch count")] = "semi-hard",
    init: Annotated[Literal["weights", "scratch"], typer.Option(help="what it begins from")] = "weights",
    alpha: Annotated[float, typer.Option(help="margin, of squared distances with `triplet`")] = 0.35,
    of_identity: Annotated[float, typer.Option(help="weight of the loss")] = 0.5,
    of_degraded: Annotated[float, typer.Option(help="weight of: degraded views like the clean teacher")] = 2.0,
    of_clean: Annotated[float, typer.Option(help="weight of: clean views like the clean teacher")] = 1.0,
    steps: Annotated[int, typer.Option(min=1)] = 1000,
    people: Annotated[int, typer.Option(min=2, help="people in a batch")] = 12,
    photos: Annotated[int, typer.Option(min=2, help="photos of each")] = 4,
    rate: Annotated[float, typer.Option(help="learning rate at its highest, relative to the weights")] = 1.5e-3,
    average: Annotated[float, typer.Option(min=0, max=1, help="share of the old in the averaged weights")] = 0.99,
    validate_every: Annotated[int, typer.Option(min=1, help="steps between looks and checkpoints")] = 50,
    seed: Annotated[int, typer.Option(help="the same seed draws the same batches and views")] = 1,
    precision: Annotated[
        Literal["auto", "float32", "bfloat16"], typer.Option(help="of the products; weights stay float32")
    ] = "auto",
    refine: Annotated[
        bool, typer.Option("--refine/--no-refine", help="faces aligned by a closer look, as the encoder will want them")
    ] = True,
    terms: Annotated[
        str | None,
        typer.Option(help="under which the encoder may be used; its file will say so"),
    ] = None,
    faces: Annotated[Path | None, typer.Option(help="keeps the faces that were found; it holds faces")] = None,
) -> None:
    """Trains an encoder; resumable: the same command goes on where it stopped. Prints where the weights lie."""
    import torch

    from models.training.loop import Course
    from models.training.objective import Recipe
    from models.training.train import prepare
    from models.training.train import train as run

    console = Console(stderr=True, soft_wrap=True)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    lower = precision == "bfloat16" or (precision == "auto" and (device == "cuda" or has_bfloat16()))
    recipe = Recipe(loss, mining, alpha, of_identity, of_degraded, of_clean)
    course = Course(
        steps=steps, people=people, photos=photos, rate=rate, average=average, validate_every=validate_every, seed=seed
    )
    try:
        with Bar(console=console) as bar:
            reading = bar.add_task("finding faces")
            prepared = prepare(
                data,
                faces or out / "faces.npz",
                refine=refine,
                device=device,
                tell=lambda done, of: bar.update(reading, completed=done, total=of),
            )
        console.print(
            f"{len(prepared.train)} photos of {len(set(prepared.train.identities))} people to train on, "
            f"{prepared.dropped} left out that show somebody else; "
            f"{len(set(prepared.validation.identities))} people to look at; {device}, "
            f"{'bfloat16' if lower else 'float32'}"
        )
        file = run(
            prepared,
            out,
            recipe,
            course,
            init=init,
            terms=terms,
            device=device,
            precision=torch.bfloat16 if lower else torch.float32,
            tell=lambda progress: _print(console, progress),
        )
    except (ValueError, OSError) as e:
        raise typer.BadParameter(str(e)) from e
    typer.echo(str(file))


def _print(console: Console, progress: "Progress") -> None:
    if progress.step % TELL_EVERY and progress.validated is None:
        return
    seen = progress.validated or {}
    looked = "".join(f"  TMR {name} {100 * rate:.2f} %" for name, rate in seen.items())
    if progress.step == 0:
        console.print(f"     0/{progress.steps}{looked}")
        return
    console.print(
        f"{progress.step:6}/{progress.steps}  loss {progress.loss:.4f}  identity {progress.identity:.4f}  degraded "
        f"{progress.degraded:.4f}  clean {progress.clean:.4f}  active {100 * progress.active:.0f} %  "
        f"{progress.images_per_s:.1f} images/s{looked}"
    )


def has_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 by itself; elsewhere it is slower than float32."""
    import torch

    facts = torch.cpu.get_capabilities()
    return bool(facts.get("avx512_bf16") or facts.get("amx_bf16") or facts.get("bf16"))
