"""`onelook evaluate doors`: people of LFW, enrolled clean and probed under the conditions of a door."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.comparing import (
    BUILD,
    Bench,
    BuildOption,
    Compared,
    FreshOption,
    JsonOption,
    PlotsOption,
    bad_data_refused,
    column,
)
from app.cli.contenders import Contender, FlipOption, ModelOption
from app.cli.cropping import Find, Shelf, as_crop, cropped, embedded, open_chain
from app.cli.evaluate_models import plottable, tell
from app.cli.home import photo
from app.cli.plainly import UNUSABLE, told
from app.settings import Settings
from models.errors import ImageError
from models.measure.crops import CropReading
from models.measure.doors import CLEAN, FMR, DoorPhotos, door_photos, doors_measured, key, section_of
from models.measure.lfw import read_protocol
from models.measure.operating_points import MEASURED, read_calibrations
from models.measure.readings import REFUSED, checksum

if TYPE_CHECKING:
    from models.face.reading import FaceChain

SAMPLE = Path("samples/collins.jpg")
TITLE = "doors"


def doors(
    data: Annotated[Path, typer.Option("--data", help="folder of LFW")] = Path("../shared/data/lfw"),
    models: ModelOption = None,
    flip: FlipOption = None,
    people: Annotated[int | None, typer.Option(min=2, help="so many people, spread evenly; none: all")] = None,
    draw: Annotated[Path | None, typer.Option(dir_okay=False, help="draw the conditions there, and end")] = None,
    sample: Annotated[Path, typer.Option(help="the photo that --draw shows them on")] = SAMPLE,
    build: BuildOption = BUILD,
    fresh: FreshOption = False,
    json_file: JsonOption = None,
    plots: PlotsOption = None,
) -> None:
    """TMR in the dark, against the light, behind a mask ...: each condition with a threshold from its own impostors."""
    if draw is not None:
        _draw_conditions(sample, draw)
        return
    plottable(plots)
    bench = Bench.set_up(models, flip, build, fresh=fresh)
    with bad_data_refused():
        compared = compare_doors(bench, data, people)
    tell(bench, compared, json_file, plots)


def compare_doors(bench: Bench, data: Path, people: int | None = None) -> Compared:
    """Every encoder under every condition; each probe is degraded and its face found once for all of them.

    Raises FileNotFoundError, and ValueError for a file that is not what it should be.
    """
    from models.measure import conditions

    names = list(conditions.CONDITIONS)
    photos = door_photos(read_protocol(data), people)
    kind = f"doors-{hashlib.sha256(Path(conditions.__file__).read_bytes()).hexdigest()[:6]}"
    shelf, keys_of = Shelf(data, bench.build, kind), _keys(photos, names)
    crops = cropped(shelf, keys_of, bench.settings, bench.console, _finder(photos), fresh=bench.fresh)
    every, columns = [one for keys in keys_of.values() for one in keys], []
    for one in bench.contenders:
        readings = embedded(shelf, crops, every, one, bench.console)
        with bench.console.status(f"measuring {one.title}"):
            columns.append(column(one, doors_measured(readings, photos, names, served_threshold(one))))
    return Compared(TITLE, tuple(columns), bars={f"{TITLE}-fmr-{fmr:g}": section_of(fmr) for fmr in FMR})


def served_threshold(one: Contender) -> float | None:
    """Where the service would compare 1:1 without a target: the tightest measured point beside the weights, if any."""
    from models import weights

    file = weights.file_of(one.weights).with_suffix(".calibration.json")
    points = read_calibrations(file).get(one.model_id) if file.exists() else None
    measured = [point for point in points.verification if point.support == MEASURED] if points else []
    return min(measured, key=lambda point: point.target).threshold if measured else None


def _keys(photos: DoorPhotos, conditions: list[str]) -> dict[str, tuple[str, ...]]:
    clean = {path: (key(CLEAN, path),) for path in photos.enrolled}
    return clean | {path: tuple(key(one, path) for one in (CLEAN, *conditions)) for path in photos.probes}


def _finder(photos: DoorPhotos) -> Find:
    probes = frozenset(photos.probes)

    def find(chain: "FaceChain", path: str, content: bytes) -> Mapping[str, CropReading]:
        from models.face.doors import under_conditions
        from models.measure.conditions import CONDITIONS

        keys, of = (CLEAN, *CONDITIONS) if path in probes else (CLEAN,), checksum(content)
        try:
            picture = chain.decode(content)
        except ImageError:
            return {key(one, path): CropReading(REFUSED, of) for one in keys}
        if path not in probes:
            return {key(CLEAN, path): as_crop(chain.find_in(picture).faces, of)}
        return {key(one, path): as_crop(seen.faces, of) for one, seen in under_conditions(chain, picture, path).items()}

    return find


def _draw_conditions(sample: Path, to: Path) -> None:
    from models.face.doors import around_the_face, contact_sheet, under_conditions

    settings = Settings.read()
    chain = open_chain(settings)
    picture = around_the_face(chain, chain.decode(photo(sample, settings)))
    seen = under_conditions(chain, picture, sample.name)
    try:
        contact_sheet(seen).save(to)
    except ValueError as e:
        raise told(f"{to.name}: no known format of pictures; end its name in .png or .jpg", UNUSABLE) from e
    typer.echo(f"drawn to {to}")
