"""`onelook detect`."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from app.cli.home import open_desk, photo
from app.cli.plainly import UNUSABLE, told
from app.cli.verify import PhotoArgument
from app.domain.face import Reading
from app.settings import Settings


def detect(
    image: PhotoArgument,
    draw: Annotated[
        Path | None, typer.Option(dir_okay=False, help="write the picture with its faces drawn there")
    ] = None,
) -> None:
    """Find the faces in a picture: where they are, how good they are, and what is wrong with them."""
    if draw is not None and draw.exists() and draw.samefile(image):
        raise told("--draw names the picture itself: give another file", UNUSABLE)
    settings = Settings.read()
    content = photo(image, settings)
    with open_desk(settings) as desk:
        reading = desk.detect(content)
    _print(reading)
    if draw is not None:
        from app.cli.drawing import draw_faces

        try:
            draw_faces(content, reading.faces, draw, settings)
        except ValueError as e:
            raise told(f"{draw.name}: no known format of pictures; end its name in .png or .jpg", UNUSABLE) from e
        typer.echo(f"drawn to {draw}")


def _print(reading: Reading) -> None:
    typer.echo(f"{len(reading.faces)} face(s) in {reading.width} x {reading.height} pixels")
    if not reading.faces:
        return
    table = Table("", "box", "score", "quality", "width px", "yaw", "pitch", "roll", "what is wrong")
    for number, face in enumerate(reading.faces, 1):
        q = face.quality
        box = " ".join(f"{x:.0f}" for x in face.box)
        angles = (str(round(angle)) for angle in (q.yaw, q.pitch, q.roll))
        wrong = ", ".join(q.reasons) or "nothing"
        table.add_row(str(number), box, f"{face.score:.2f}", f"{q.score:.2f}", f"{q.size_px:.0f}", *angles, wrong)
    Console(width=max(Console().width, 100)).print(table)
