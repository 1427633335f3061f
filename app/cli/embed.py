"""`onelook embed`: a gallery as a map, with strangers on it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer
from rich.console import Console

from app.cli.contenders import OneModelOption, contenders
from app.cli.evaluate_models import plottable
from app.cli.plainly import UNUSABLE, told
from app.settings import Settings
from models.measure.identities import photos_of
from models.measure.projection import Projection
from models.measure.sample import Vectors

if TYPE_CHECKING:
    from models.face.reading import FaceChain

FolderArgument = Annotated[Path, typer.Argument(exists=True, file_okay=False, help="a folder a person")]


def embed(
    gallery: FolderArgument,
    plot: Annotated[Path, typer.Option("--plot", dir_okay=False, help="the map, PNG")] = Path("gallery.png"),
    strangers: Annotated[
        Path | None, typer.Option(exists=True, file_okay=False, help="a folder a person, of people not enrolled")
    ] = None,
    names: Annotated[bool, typer.Option("--names/--no-names", help="name the people, twenty at most")] = True,
    model: OneModelOption = None,
) -> None:
    """Draw a gallery as a map: the two directions in which its photos differ most (PCA), and strangers among them.

    Nothing is kept but the picture. People who stand apart in 128 dimensions may lie together here.
    """
    plottable(plot)
    settings = Settings.read()
    try:
        people = photos_of(gallery)
        others = photos_of(strangers) if strangers is not None else {}
    except ValueError as e:
        raise told(str(e), UNUSABLE) from e
    with Console(stderr=True).status("reading the photos"):
        from models.face.detect import load_detector
        from models.face.reading import FaceChain

        one = contenders([model or settings.model], settings)[0]
        limits = {"max_bytes": settings.max_image_bytes, "max_pixels": settings.max_image_pixels}
        chain = FaceChain(load_detector(one.device), one.open(), device=one.device, **limits)
        known = {name: _vectors(chain, gallery, paths) for name, paths in people.items()}
        unknown = [_vectors(chain, strangers, paths) for paths in others.values()] if strangers is not None else []
    _draw(known, unknown, plot, names=names)
    photos, faces = sum(map(len, (*people.values(), *others.values()))), sum(map(len, (*known.values(), *unknown)))
    typer.echo(f"{faces} of {photos} photos show a face; {len(people)} people, {len(others)} strangers")
    typer.echo(f"drawn to {plot}")


def _draw(known: Mapping[str, Vectors], unknown: Sequence[Vectors], plot: Path, *, names: bool) -> None:
    from models.measure.plots import draw_map

    empty = np.zeros((0, 128), np.float32)
    try:
        side = Projection.of(np.concatenate([empty, *known.values()]))
    except ValueError as e:
        raise told(str(e), UNUSABLE) from e
    points = {name: side(vectors) for name, vectors in known.items() if len(vectors)}
    draw_map(points, side(np.concatenate([empty, *unknown])), side.shown.tolist(), plot, names=names)
    typer.echo(f"principal components of the gallery: the map shows {side.shown.sum():.1%} of its variance")


def _vectors(chain: "FaceChain", top: Path, paths: Sequence[str]) -> Vectors:
    """The embeddings of the main faces of those photos, float32 (n, 128); photos without one, or refused, give none."""
    from models.errors import ImageError

    crops = []
    for path in paths:
        try:
            faces = chain.find((top / path).read_bytes()).faces
        except ImageError:
            continue
        crops += [face.crop for face in faces[:1]]
    return chain.encode(crops)
