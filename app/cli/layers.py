"""`onelook layers`: what the units of a network answer to, and which of them carry the style cost of a render."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from app.cli.contenders import OneModelOption, contenders
from app.cli.home import photo
from app.cli.plainly import REFUSED, UNUSABLE, told
from app.cli.sheet_files import pictures_of, reduced, refuse_unwritable
from app.cli.style_costs import tell_costs
from app.settings import Settings

if TYPE_CHECKING:
    from models.explain.units import Units
    from models.image import Pixels

SIZE = 384


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
    size: Annotated[
        int | None,
        typer.Option(min=32, max=2048, help="longer side that pictures are reduced to; 384, the render's with --costs"),
    ] = None,
    steps: Annotated[int, typer.Option(min=0, max=2000, help="of making a picture that excites a unit")] = 48,
    seed: Annotated[int, typer.Option(min=0, help="of the noise that such a picture begins as")] = 0,
    model: OneModelOption = None,
    weights: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="a VGG-19 of your own, safetensors or PyTorch")
    ] = None,
) -> None:
    """Draw what excites the units of each layer: patches of pictures, and a picture made for it."""
    settings = Settings.read()
    if costs != (style is not None) or (costs and (face or unit or image.is_dir())):
        raise told("--costs takes --image RENDER and --style STYLE, two files, and neither --face nor --unit", UNUSABLE)
    if costs and style is not None:
        tell_costs(image, style, out, each=each, size=size, weights=weights, settings=settings)
        return
    if face and weights is not None:
        raise told("--weights names a VGG-19, and --face another network: give --model", UNUSABLE)
    _sheet(image, out, unit or [], each, face, size or SIZE, steps, seed, model or settings.model, weights, settings)


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
    weights: Path | None,
    settings: Settings,
) -> None:
    files = pictures_of(image)
    refuse_unwritable(out, files)
    with Console(stderr=True).status("loading the networks") as status:
        from models.explain.layers import rows_of
        from models.explain.sheet import draw_units
        from models.explain.units import parsed_unit

        units = _units(face, model, weights)
        try:
            chosen = [parsed_unit(text, units) for text in wanted]
        except ValueError as e:
            raise told(str(e), UNUSABLE) from e
        status.update("finding the faces" if face else "reading the pictures")
        pictures = _faces(files, model, settings) if face else [reduced(path, size, settings) for path in files]
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


def _units(face: bool, model: str, vgg19: Path | None) -> "Units":
    from models import weights
    from models.explain.units import FaceUnits, PictureUnits
    from models.style import perceptual

    if face:
        return FaceUnits(weights.load_encoder(model))
    return PictureUnits(perceptual.shipped() if vgg19 is None else perceptual.of_file(vgg19))


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
