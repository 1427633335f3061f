"""`onelook explain`: what of two faces carried their similarity."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from app.cli.contenders import OneModelOption, contenders
from app.cli.home import photo
from app.cli.plainly import REFUSED, UNUSABLE, told
from app.cli.verify import PhotoArgument
from app.settings import Settings

if TYPE_CHECKING:
    from models.face.reading import FaceChain
    from models.image import Pixels


def explain(
    image: PhotoArgument,
    other: PhotoArgument,
    out: Annotated[Path, typer.Option("--out", dir_okay=False, help="the picture, PNG or JPEG")] = Path("heat.png"),
    patch: Annotated[int, typer.Option(min=4, max=112, help="pixels of 112 that are covered at a time")] = 24,
    stride: Annotated[int, typer.Option(min=1, max=112, help="pixels from one place to the next")] = 8,
    model: OneModelOption = None,
) -> None:
    """Draw what of two faces carried their similarity: red speaks for a match, blue against it.

    One place after another is covered, and the similarity is taken again (an occlusion map).
    """
    if out.exists() and any(out.samefile(one) for one in (image, other)):
        raise told("--out names one of the pictures itself: give another file", UNUSABLE)
    if stride > patch:
        raise told("--stride is larger than --patch: places would be left out", UNUSABLE)
    settings = Settings.read()
    with Console(stderr=True).status("covering one place after another"):
        from models.explain.heat import draw_faces
        from models.explain.occlusion import occlusion
        from models.face.detect import load_detector
        from models.face.reading import FaceChain

        one = contenders([model or settings.model], settings)[0]
        limits = {"max_bytes": settings.max_image_bytes, "max_pixels": settings.max_image_pixels}
        encoder = one.open()
        chain = FaceChain(load_detector(one.device), encoder, device=one.device, **limits)
        # What the network sees is covered: a cover on the crop could turn the closer look at it elsewhere.
        crops = encoder.inputs([_crop(chain, path, settings) for path in (image, other)])
        vectors = encoder.encode_inputs(crops)
        found = [
            occlusion(crop, against, encoder.encode_inputs, patch_px=patch, stride_px=stride)
            for crop, against in zip(crops, vectors[::-1], strict=True)
        ]
    most = max(float(one_map.heat.max()) for one_map in found)
    says = f"similarity {found[0].similarity:.4f}; the most that covering a place takes from it is {most:.4f}"
    caption = f"{says}\nred speaks for a match, blue against it"
    picture = draw_faces([(crop, one_map.heat) for crop, one_map in zip(crops, found, strict=True)], caption)
    try:
        picture.save(out)
    except ValueError as e:
        raise told(f"{out.name}: no known format of pictures; end its name in .png or .jpg", UNUSABLE) from e
    typer.echo(says)
    typer.echo(f"drawn to {out}")


def _crop(chain: "FaceChain", path: Path, settings: Settings) -> "Pixels":
    faces = chain.find(photo(path, settings)).faces
    if not faces:
        raise told(f"{path.name}: no face was found", REFUSED)
    return faces[0].crop
