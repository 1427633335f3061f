import json
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, fields, replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from app.cli import evaluate
from app.cli.evaluate import compared_with_shipped, evaluate_lfw, measure_operating_points, print_figures, print_points
from app.domain.face import Face, Quality, Reading
from app.domain.operating_point import OperatingPoint
from app.ports import Wanted
from models.measure.lfw import photo
from models.measure.operating_points import Calibration, Point, write_calibrations

QUALITY = Quality(1.0, (), 100.0, 0.0, 0.0, 0.0, 1.0, 0.5, 0.0)
PHOTOS_OF = {f"Many_{i}": 10 for i in range(4)} | {f"Two_{i:02d}": 2 for i in range(90)}
PHOTOS_OF |= {f"One_{i:02d}": 1 for i in range(80)}


class ReaderOfNames:
    """A picture is the text `name number`: pictures of one name look alike."""

    model_id = "names-1"

    def read(self, image: bytes, *, encode: Wanted = "main", thorough: bool = False) -> Reading:
        name = image.split()[0]
        vector = np.random.default_rng(zlib.crc32(name)).normal(size=128)
        vector += 0.5 * np.random.default_rng(zlib.crc32(image)).normal(size=128)
        unit = (vector / np.linalg.norm(vector)).astype(np.float32)
        return Reading(10, 10, (Face((0, 0, 1, 1), (), 1.0, QUALITY, unit),))


@contextmanager
def open_reader() -> Iterator[ReaderOfNames]:
    yield ReaderOfNames()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "lfw"
    for name, photos in PHOTOS_OF.items():
        (folder / name).mkdir(parents=True)
        for number in range(1, photos + 1):
            (folder / photo(name, number)).write_bytes(f"{name} {number}".encode())
    lines = [f"{name}\t{photos}\n" for name, photos in PHOTOS_OF.items()]
    (folder / "people.txt").write_text(f"{len(lines)}\n" + "".join(lines))
    (folder / "peopleDevTest.txt").write_text(f"{len(lines) // 2}\n" + "".join(lines[::2]))
    (folder / "pairs.txt").write_text("2\t1\nTwo_00\t1\t2\nTwo_01\t1\tTwo_02\t1\nTwo_03\t1\t2\nTwo_04\t2\tTwo_05\t1\n")
    return folder


@pytest.fixture
def quiet() -> Console:
    return Console(quiet=True)


def measured(data: Path) -> Calibration:
    return measure_operating_points(data, data.parent / "r.npz", "names-1", open_reader, Console(quiet=True))


def printed(write: object, *arguments: object) -> str:
    console = Console(width=200)
    with console.capture() as capture:
        write(console, *arguments)  # type: ignore[operator]
    return capture.get()


def test_thresholds_come_from_the_test_part_of_view_1_alone(data: Path) -> None:
    calibration = measured(data)
    assert calibration.sample.people == len(PHOTOS_OF) // 2
    assert calibration.model_id == "names-1"
    assert calibration.verification[0].kind == "fmr"
    assert {p.gallery_size for p in calibration.identification} == {10, 30}


def test_without_shipped_thresholds_it_says_so_and_measures_the_rest(data: Path) -> None:
    console = Console(width=200)
    with console.capture() as capture:
        figures = evaluate_lfw(data, data.parent / "r.npz", "names-1", open_reader, data / "none.json", console)
    assert "no thresholds are shipped for names-1" in capture.get()
    assert {"photos", "View 2", "open set"} <= {f.section for f in figures}
    assert not any(f.section.startswith("served") for f in figures)


def test_with_shipped_thresholds_it_measures_them_on_other_people(data: Path, quiet: Console) -> None:
    shipped = data.parent / "x.calibration.json"
    write_calibrations(shipped, [measured(data)])
    figures = evaluate_lfw(data, data.parent / "r.npz", "names-1", open_reader, shipped, quiet)
    served = [f for f in figures if f.section.startswith("served, ")]
    assert {f.measure for f in served} == {"FPIR", "FNIR"}
    assert all("2 enrolled; fpir-0.1-of-10, measured" in f.note for f in served)


def test_a_table_shows_each_rate_with_its_count(data: Path, quiet: Console) -> None:
    figures = evaluate_lfw(data, data.parent / "r.npz", "names-1", open_reader, data / "none.json", quiet)
    text = printed(print_figures, figures)
    assert f"0 of {sum(PHOTOS_OF.values())}" in text
    assert "4 of 4" in text
    assert "36 of 36" in text


def test_a_table_shows_each_operating_point(data: Path) -> None:
    calibration = measured(data)
    text = printed(print_points, calibration, "a title")
    for point in (*calibration.verification, *calibration.identification):
        assert point.name in text
        assert f"{point.threshold:.6f}" in text


def test_says_whether_the_shipped_file_holds_these_points(data: Path) -> None:
    now, file = measured(data), data.parent / "x.calibration.json"
    assert "--write makes it" in compared_with_shipped(file, [now])
    write_calibrations(file, [now])
    assert "equal, byte for byte" in compared_with_shipped(file, [now])
    first, *others = now.verification
    moved = replace(now, verification=(replace(first, threshold=first.threshold + 0.001), *others))
    assert "at most 0.001000 apart" in compared_with_shipped(file, [moved])
    assert "not the points" in compared_with_shipped(file, [replace(now, verification=())])


def test_the_library_writes_the_very_fields_that_the_service_reads(data: Path) -> None:
    assert [f.name for f in fields(Point)] == [f.name for f in fields(OperatingPoint)]
    point = measured(data).verification[0]
    assert asdict(OperatingPoint(**asdict(point))) == asdict(point)


def test_the_command_prints_and_writes_the_figures(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluate, "_shipped", lambda *_, **__: ("names-1", data / "none.json"))
    monkeypatch.setattr(evaluate, "serving_reader", lambda *_, **__: open_reader)
    file = data.parent / "out" / "figures.json"
    cache = data.parent / "r.npz"
    arguments = ["lfw", "--data", str(data), "--cache", str(cache), "--json", str(file)]
    result = CliRunner().invoke(evaluate.app, arguments)
    assert result.exit_code == 0, result.output
    assert "without a face" in result.output
    report = json.loads(file.read_text())
    assert report["model_id"] == "names-1"
    assert {"section", "measure", "value", "count", "of", "interval", "note"} == set(report["figures"][0])


def test_the_command_writes_the_points_of_both_flip_settings(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shipped = data.parent / "x.calibration.json"
    monkeypatch.setattr(evaluate, "_shipped", lambda _, *, flip: (f"names-{flip}", shipped))
    monkeypatch.setattr(evaluate, "serving_reader", lambda *_, **__: open_reader)
    arguments = ["operating-points", "--data", str(data), "--caches", str(data.parent / "caches")]
    result = CliRunner().invoke(evaluate.app, [*arguments, "--write"])
    assert result.exit_code == 0, result.output
    assert set(json.loads(shipped.read_text())) == {"names-False", "names-True"}
    again = CliRunner().invoke(evaluate.app, arguments)
    assert "equal, byte for byte" in again.output


def test_a_folder_without_the_data_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluate, "_shipped", lambda *_, **__: ("names-1", tmp_path / "none.json"))
    result = CliRunner().invoke(evaluate.app, ["lfw", "--data", str(tmp_path / "nothing")])
    assert result.exit_code == 2
    assert "people.txt" in result.output
