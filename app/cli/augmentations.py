"""`onelook augmentations`: what training does to a face, on one sheet."""

from pathlib import Path
from typing import Annotated

import typer

SEED = 1


def augmentations(
    photo: Annotated[Path, typer.Argument(help="a photo with a face")],
    draw: Annotated[Path, typer.Option("--draw", help="the sheet, PNG or JPEG")] = Path("augmentations.png"),
    columns: Annotated[int, typer.Option(min=1, max=40, help="draws of chance for each")] = 8,
    seed: Annotated[int, typer.Option(help="of chance")] = SEED,
) -> None:
    """Draws every augmentation, several times over."""
    from models.face.detect import load_detector
    from models.training.dataset import canvas_of
    from models.training.sheet import contact_sheet

    face = canvas_of(photo, load_detector())
    if face is None:
        raise typer.BadParameter(f"{photo} cannot be read, or shows no face")
    contact_sheet(*face, columns, seed).save(draw)
    typer.echo(str(draw))
