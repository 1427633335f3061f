"""`onelook layers`: what the units of a network answer to, and which of them carry the style cost of a render."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from app.cli.contenders import OneModelOption, contenders
from app.cli.home import photo
from app.cli.plainly import REFUSED, UNUSABLE, shown, told
from app.settings import Settings

if TYPE_CHECKING:
    from models.explain.units import Units
    from models.image import Pixels

HEAVIEST = 5


def layers(
    image: Annotated[Path, typer.Option(exists=True, help="a folder of pictures, or one; with --costs the render")],
    out: Annotated[Path, typer.Option(dir_okay=False, help="the sheet, PNG or JPEG")] = Path("layers.png"),
    unit: Annotated[list[str] | None, typer.Option(help="such as conv3_1:17, repeated; none: choosy ones")] = None,
    each: Annotated[int, typer.Option(min=1, max=32, help="without --unit: so many units of a layer")] = 3,
    face: Annotated[
        bool, typer.Option("--face", help="those of the face encoder, on the faces in the pictures")
    ] = False,
    costs: Annotated[bool, typer.Option("--costs", help="print which units carry the style cost of a render")] = False,
    style: Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help="with --costs: its style")] = None,
    size: Annotated[int, typer.Option(min=32, max=2048, help="longer side that pictures are reduced to")] = 384,
    steps: Annotated[int, typer.Option(min=0, max=2000, help="of making a picture that excites a unit")] = 48,
    seed: Annotated[int, typer.Option(min=0, help="of the noise that such a picture begins as")] = 0,
    model: OneModelOption = None,
) -> None:
    """Draw what excites the units of each layer: patches of pictures, and a picture made for it."""
    settings = Settings.read()
    if costs != (style is not None) or (costs and (face or unit or image.is_dir())):
        raise told("--costs takes --image RENDER and --style STYLE, two files, and neither --face nor --unit", UNUSABLE)
    if costs and style is not None:
        _tell_costs(image, style, size, settings)
        return
    _sheet(image, out, unit or [], each, face, size, steps, seed, model or settings.model, settings)


def _sheet(
    image: Path,
    out: Path,
    wanted: Sequence[str],
    each: int,
    face: bool,
    size: int,
    steps: int,
    seed: int,
    model: str,
    settings: Settings,
) -> None:
    files = _files(image)
    _refuse_unwritable(out, files)
    with Console(stderr=True).status("loading the networks") as status:
        from models.explain.layers import rows_of
        from models.explain.sheet import draw_units
        from models.explain.units import parsed_unit

        units = _units(face, model)
        try:
            chosen = [parsed_unit(text, units) for text in wanted]
        except ValueError as e:
            raise told(str(e), UNUSABLE) from e
        status.update("finding the faces" if face else "reading the pictures")
        pictures = _faces(files, model, settings) if face else [_reduced(path, size, settings) for path in files]
        status.update("looking at every unit of every picture")
        rows = []
        for row in rows_of(units, pictures, chosen, each=each, seed=seed, steps=steps):
            rows.append(row)
            status.update(f"{row.layer}:{row.unit} is drawn")
    what = f"{len(pictures)} faces, {model}" if face else f"{len(pictures)} pictures of {size} px, VGG-19"
    most = max(len(row.patches) for row in rows)
    draw_units(rows, columns=max(1, most), note=f"{what}; grey: outside of the picture; seed {seed}").save(out)
    for row in rows:
        typer.echo(
            f"{row.layer}:{row.unit} sees {row.made.shape[0]} px, peak {row.peak:.3g}, {len(row.patches)} patches"
        )
    typer.echo(f"drawn to {out}")


def _tell_costs(render: Path, style: Path, size: int, settings: Settings) -> None:
    from models.explain.patches import as_canvas
    from models.explain.style_costs import style_costs
    from models.explain.units import STYLE_LAYERS
    from models.style import perceptual

    with Console(stderr=True).status("comparing style matrices"):
        canvases = [as_canvas(_reduced(path, size, settings)) for path in (render, style)]
        weights = dict.fromkeys(STYLE_LAYERS, 1 / len(STYLE_LAYERS))
        found = style_costs(perceptual.shipped(), canvases[0], canvases[1], weights)
    typer.echo(f"J_style {sum(one.cost for one in found.values()):.4g} (gatys2015, lambda 1/5 each, {size} px)")
    for name, layer in found.items():
        own = layer.share or 1.0
        heaviest = ", ".join(f"{number} {share / own:.1%}" for number, share in layer.heaviest(HEAVIEST))
        typer.echo(f"{name} {100 * layer.share:.3g}% of it; of that, units {heaviest}")


def _units(face: bool, model: str) -> "Units":
    from models import weights
    from models.explain.units import FaceUnits, PictureUnits
    from models.style import perceptual

    if face:
        return FaceUnits(weights.load_encoder(model))
    return PictureUnits(perceptual.shipped())


def _refuse_unwritable(out: Path, files: Sequence[Path]) -> None:
    # Before minutes of work, not after them.
    if out.exists() and any(out.samefile(one) for one in files):
        raise told("--out names one of the pictures itself: give another file", UNUSABLE)
    if out.suffix.lower() not in (".png", ".jpg", ".jpeg"):
        raise told(f"{out.name}: no known format of pictures; end its name in .png or .jpg", UNUSABLE)


def _files(image: Path) -> list[Path]:
    """The pictures of a folder in order of name, hidden ones passed over; or the one."""
    endings = (".jpg", ".jpeg", ".png", ".webp", ".heic", ".bmp", ".gif", ".tif", ".tiff")
    if not image.is_dir():
        return [image]
    files = sorted(path for path in image.iterdir() if path.suffix.lower() in endings and path.name[0] != ".")
    if not files:
        raise told(f"{image} holds no pictures: give a folder with JPEG or PNG files in it", UNUSABLE)
    return files


def _reduced(path: Path, size: int, settings: Settings) -> "Pixels":
    import numpy as np
    from PIL import Image

    from models.image import decode

    limits = {"max_bytes": settings.max_image_bytes, "max_pixels": settings.max_image_pixels}
    with Image.fromarray(decode(photo(path, settings), **limits)) as picture:
        picture.thumbnail((size, size), Image.Resampling.LANCZOS)
        if min(picture.size) < 16:
            raise told(f"{shown(path.name)} is {picture.width} x {picture.height} pixels: 16 are least", REFUSED)
        return np.array(picture)


def _faces(files: Sequence[Path], model: str, settings: Settings) -> "list[Pixels]":
    """Every face in the foreground as the encoder sees it, uint8 (112, 112, 3) each."""
    from models.face.detect import load_detector
    from models.face.reading import FaceChain

    one = contenders([model], settings)[0]
    encoder = one.open()
    limits = {"max_bytes": settings.max_image_bytes, "max_pixels": settings.max_image_pixels}
    chain = FaceChain(load_detector(one.device), encoder, device=one.device, **limits)
    crops = [face.crop for path in files for face in chain.find(photo(path, settings)).faces]
    if not crops:
        raise told("no face was found in any of the pictures", REFUSED)
    return encoder.inputs(crops)
