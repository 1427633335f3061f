"""Several models on the same photos: one table, and how sure the change from the first to each other one is."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from models.measure.intervals import Interval, middle_95
from models.measure.lfw_figures import Figure
from models.measure.sample import Floats

LEAST_PERCENT = 1e-3  # smaller rates are written as powers of ten
HEADER = ("measure", "model", "rate", "95 %", "count", "change", "95 % of the change", "note")


@dataclass(frozen=True, slots=True)
class Measured:
    """A figure, and what it is with people redrawn, float64 (replicates,), the draws being those of every model.

    unit: of a value that is no share of something.
    """

    figure: Figure
    replicates: Floats | None = field(default=None, repr=False)
    unit: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """What two models are compared by."""
        return self.figure.section, self.figure.measure


@dataclass(frozen=True, slots=True)
class Column:
    """What one model gave. title: as it is shown; precision: the number format that it ran in."""

    title: str
    model_id: str
    precision: str
    measured: tuple[Measured, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """A value after less the value before; interval: 95 %, paired, where both were measured with the same draws."""

    difference: float
    interval: Interval | None


def change(before: Measured, after: Measured) -> Change:
    """How the second differs from the first."""
    difference, interval = after.figure.value - before.figure.value, None
    if before.replicates is not None and after.replicates is not None:
        interval = middle_95(after.replicates - before.replicates)
    return Change(difference, interval)


def replicated(figure: Figure, replicates: Floats, people: int) -> Measured:
    """The figure with the interval that its replicates give.

    Where no miss, or nothing but misses, was seen the replicates know no spread: the rule of three over the people who
    were tried takes its place at that end.
    """
    low, high = middle_95(replicates)
    if figure.value == 0:
        high = max(high, min(1.0, 3 / people))
    if figure.value == 1:
        low = min(low, max(0.0, 1 - 3 / people))
    return Measured(replace(figure, interval=(low, high)), replicates)


def sections(columns: Sequence[Column]) -> dict[str, list[list[str]]]:
    """Section -> rows of cells, as many as HEADER has: for each measure one row a model, in order of the columns."""
    held = [{one.key: one for one in column.measured} for column in columns]
    tables: dict[str, list[list[str]]] = {}
    for key in dict.fromkeys(one.key for column in columns for one in column.measured):
        first = held[0].get(key)
        for number, (column, by_key) in enumerate(zip(columns, held, strict=True)):
            if (one := by_key.get(key)) is not None:
                changed = _change_cells(first, one) if number and first is not None else ["", ""]
                tables.setdefault(key[0], []).append(_cells(column.title, one, changed))
    return tables


def used_columns(rows: Sequence[Sequence[str]]) -> list[int]:
    """Which cells of HEADER hold anything in those rows."""
    return [i for i in range(len(HEADER)) if any(row[i] for row in rows)]


def as_markdown(columns: Sequence[Column], level: int = 3) -> str:
    """One table a section, under headings of that level; columns that would be empty are left out."""
    parts = []
    for section, rows in sections(columns).items():
        used = used_columns(rows)
        lines = [[HEADER[i] for i in used], ["---"] * len(used), *([row[i] for i in used] for row in rows)]
        table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        parts.append(f"{'#' * level} {section[0].upper()}{section[1:]}\n\n{table}\n")
    return "\n".join(parts)


def rate(value: float) -> str:
    """A share for people: as percent, small ones as powers of ten."""
    return f"{value:.2%}" if value >= LEAST_PERCENT or value == 0 else f"{value:.2e}"


def _cells(title: str, one: Measured, changed: list[str]) -> list[str]:
    figure = one.figure
    several = "" if figure.count is None else f"{figure.count} of {figure.of}"
    value = f"{figure.value:.4g} {one.unit}" if one.unit else rate(figure.value)
    interval = "" if figure.interval is None else " .. ".join(map(rate, figure.interval))
    return [figure.measure, title, value, interval, several, *changed, figure.note]


def _change_cells(before: Measured, after: Measured) -> list[str]:
    """In points of percent, with the share of the rate before; of a value with a unit only its share."""
    changed = change(before, after)
    was = before.figure.value
    relative = f"{changed.difference / was:+.0%}" if was else ""
    if after.unit:
        return [relative, ""]
    interval = "" if changed.interval is None else " .. ".join(f"{100 * end:+.2f}" for end in changed.interval)
    return [f"{100 * changed.difference:+.2f} ({relative})" if relative else "", interval]
