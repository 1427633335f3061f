"""`onelook blend`: weights between those of two encoders, in the form that is shipped."""

from pathlib import Path
from typing import Annotated

import typer


def blend(
    trained: Annotated[Path, typer.Argument(help="weights that `onelook train` made")],
    share: Annotated[float, typer.Option(min=0, max=1, help="of the way from where the training began")] = 0.5,
    out: Annotated[Path, typer.Option(help="the file to write, .safetensors")] = Path("build/blended.safetensors"),
    half: Annotated[bool, typer.Option("--half/--float32", help="in half precision, half the size")] = True,
) -> None:
    """Writes the encoder that lies between the weights a training began with and those it ended with."""
    from models.training.blend import blend_files

    try:
        blend_files(trained, share, out, half=half)
    except (ValueError, OSError) as e:
        raise typer.BadParameter(str(e)) from e
    typer.echo(str(out))
