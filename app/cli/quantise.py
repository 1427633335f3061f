"""`onelook quantise`: an encoder in eight bits, for the processor."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress as Bar

SUFFIX = ".safetensors"


def quantise(
    model: Annotated[
        str, typer.Argument(help="an encoder that is here, by name, or a safetensors file of its network")
    ],
    data: Annotated[list[Path], typer.Option("--data", help="folder of identities; may be given several times")],
    out: Annotated[Path | None, typer.Option(help="the file to write; default: build/MODEL-int8.safetensors")] = None,
    faces: Annotated[int, typer.Option(min=1, help="people whose faces ranges are measured on")] = 192,
    seed: Annotated[int, typer.Option(help="the same seed draws the same faces")] = 1,
    terms: Annotated[
        str | None, typer.Option(help="under which it may be used; default: those of the encoder in float")
    ] = None,
) -> None:
    """Writes the encoder in eight bits, a quarter of the size; it is another model, with thresholds of its own.

    Faces are those of people who may be trained on, each as it is and under a condition of a door; nothing is trained.
    """
    from app.cli.contenders import known_weights
    from app.settings import Settings
    from models import weights
    from models.face.detect import load_detector
    from models.training.few import few_faces
    from models.training.quantise import quantise_file

    held = known_weights(model, Settings.read())
    name = held.stem if isinstance(held, Path) else held
    out = out or Path("build") / f"{name}-int8{SUFFIX}"
    if out.suffix != SUFFIX:
        raise typer.BadParameter(f"{out}: encoders are files that end with {SUFFIX}")
    try:
        with Bar(console=Console(stderr=True)) as bar:
            task = bar.add_task("finding faces", total=faces)
            seen = few_faces(
                data,
                faces,
                load_detector(),
                refine=weights.refines(held),
                seed=seed,
                tell=lambda done, of: bar.update(task, completed=done, total=of),
            )
        quantise_file(held, seen, out, terms=terms, how={"people": len(seen) // 2, "seed": seed})
    except (ValueError, OSError) as e:
        raise typer.BadParameter(str(e)) from e
    typer.echo(str(out))
