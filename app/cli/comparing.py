"""Several encoders on the same photos: what is told, drawn and written of them."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from app.cli.contenders import Contender, contenders
from app.cli.cropping import Shelf, cropped, embedded
from app.cli.plainly import UNUSABLE, told
from app.settings import Settings
from models.measure.crops import Crops
from models.measure.lfw import read_protocol
from models.measure.lfw_figures import Figure, Lfw
from models.measure.readings import Readings
from models.measure.side_by_side import HEADER, Column, Measured, sections, used_columns
from models.measure.whole import QUALITY, Whole, folder_whole, lfw_whole

BUILD = Path("build")
THROUGHPUT = "encoding aligned faces, nothing else"
LEAST_WIDTH = 150

BuildOption = Annotated[Path, typer.Option("--build", help="crops and embeddings are kept there; they are faces")]
FreshOption = Annotated[bool, typer.Option("--fresh", help="read every photo again, whatever was kept")]
JsonOption = Annotated[Path | None, typer.Option("--json", help="write the figures there too")]
PlotsOption = Annotated[Path | None, typer.Option("--plots", help="draw the curves into this folder, as PNG")]


@dataclass(frozen=True, slots=True)
class Bench:
    """What every measurement needs: the encoders, what is kept where, and whom to tell."""

    contenders: Sequence[Contender]
    settings: Settings
    console: Console
    build: Path
    fresh: bool = False

    @classmethod
    def set_up(cls, models: Sequence[str] | None, flip: bool | None, build: Path, *, fresh: bool = False) -> "Bench":
        """By what the command line said. Raises Misconfigured, WeightsError."""
        settings, console = Settings.read(), wide_console()
        with console.status("loading the networks"):
            found = contenders(models, settings, flip)
        return cls(found, settings, console, build, fresh)


@dataclass(frozen=True, slots=True)
class Compared:
    """What several encoders gave on one data set, in the order in which they were named.

    wholes: title of the model -> what its curves show; bars: name of a plot -> the section whose misses it shows.
    """

    title: str
    columns: tuple[Column, ...]
    wholes: Mapping[str, Whole] = field(default_factory=dict)
    bars: Mapping[str, str] = field(default_factory=dict)

    def draw(self, folder: Path) -> list[Path]:
        """Draws what there is to draw; the files. Raises ExtraMissing without matplotlib."""
        from models.measure import plots

        files = []
        if curves := {title: whole.verification for title, whole in self.wholes.items()}:
            files += [folder / f"{self.title}-roc.png", folder / f"{self.title}-det.png"]
            plots.draw_roc(curves, files[0])
            plots.draw_det(curves, files[1])
        if sized := {title: whole.galleries for title, whole in self.wholes.items() if whole.galleries}:
            files.append(folder / f"{self.title}-galleries.png")
            plots.draw_galleries(sized, files[-1])
        for name, section in self.bars.items():
            files.append(folder / f"{name}.png")
            plots.draw_bars(self.columns, section, files[-1])
        return files


def compare_lfw(bench: Bench, data: Path) -> Compared:
    """Every encoder on LFW. Raises FileNotFoundError, and ValueError for a file that is not what it should be."""
    protocol = read_protocol(data)
    paths = protocol.photos()

    def whole(readings: Readings, crops: Crops) -> Whole:
        return lfw_whole(Lfw.of(protocol, readings), crops.quality(paths))

    return _compared(bench, data, "lfw", paths, whole, bars={"lfw-quality": QUALITY})


def compare_folder(bench: Bench, top: Path, people: Mapping[str, Sequence[str]]) -> Compared:
    """Every encoder on a folder of identities; people: identity -> paths of its photos. Raises as `folder_whole`."""
    paths = [path for own in people.values() for path in own]
    return _compared(bench, top, top.resolve().name, paths, lambda readings, _: folder_whole(readings, people))


def throughput(bench: Bench) -> tuple[Column, ...]:
    """Faces a second of every encoder, one at a time and eight together, in one thread as in a lane of the service."""
    from models import weights
    from models.face.throughput import BATCHES, faces_per_second

    crops, columns = weights.sample_crops(), []
    for one in bench.contenders:
        encoder = one.open()
        found = [(batch, faces_per_second(encoder, crops, batch)) for batch in BATCHES]
        note = f"{one.precision}, {one.device}, one thread" + (", with flip averaging" if one.flip else "")
        figures = [Figure(THROUGHPUT, f"batch {batch}", speed, note=note) for batch, speed in found]
        columns.append(column(one, [Measured(figure, unit="faces/s") for figure in figures]))
    return tuple(columns)


def column(one: Contender, measured: Sequence[Measured]) -> Column:
    """What one encoder gave, under its own name."""
    return Column(one.title, one.model_id, one.precision, tuple(measured))


def print_columns(console: Console, columns: Sequence[Column]) -> None:
    """One table a section, a row for each measure and model."""
    for section, rows in sections(columns).items():
        used = used_columns(rows)
        table = Table(*(HEADER[i] for i in used), title=section, title_justify="left")
        for row in rows:
            table.add_row(*(row[i] for i in used))
        console.print(table)


def write_json(file: Path, parts: Mapping[str, Sequence[Column]]) -> None:
    """Everything but the replicates: part -> model -> figures."""
    held = {part: [_as_data(column) for column in columns] for part, columns in parts.items()}
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(held, indent=2) + "\n", encoding="utf-8")


def wide_console() -> Console:
    """Tables have more columns than a pipe's 80; a cut-off count would be worse than a long line."""
    return Console(width=max(Console().width, LEAST_WIDTH))


@contextmanager
def bad_data_refused() -> Iterator[None]:
    """A missing or damaged file of the data is told in a sentence. Raises typer.Exit."""
    try:
        yield
    except FileNotFoundError as e:
        raise told(f"{e.filename}: there is no such file or folder; --data names the photos", UNUSABLE) from e
    except ValueError as e:
        raise told(str(e), UNUSABLE) from e


def _compared(
    bench: Bench,
    top: Path,
    title: str,
    paths: Sequence[str],
    whole: Callable[[Readings, Crops], Whole],
    bars: Mapping[str, str] | None = None,
) -> Compared:
    shelf = Shelf(top, bench.build, "whole")
    crops = cropped(shelf, {path: (path,) for path in paths}, bench.settings, bench.console, fresh=bench.fresh)
    wholes = {}
    for one in bench.contenders:
        readings = embedded(shelf, crops, paths, one, bench.console)
        with bench.console.status(f"measuring {one.title}"):
            wholes[one.title] = whole(readings, crops)
    columns = tuple(column(one, wholes[one.title].measured) for one in bench.contenders)
    return Compared(title, columns, wholes, bars or {})


def _as_data(column: Column) -> dict[str, object]:
    figures = [{**asdict(one.figure), "unit": one.unit} for one in column.measured]
    return {"title": column.title, "model_id": column.model_id, "precision": column.precision, "figures": figures}
