"""`onelook audit duplicates`: persons who look alike, and persons whose own templates do not."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from app.cli.home import open_rows
from app.cli.plainly import shown
from app.settings import Settings

if TYPE_CHECKING:
    from app.actions.duplicates import Finding
    from app.ports import Store

LEAST_WIDTH = 150


def duplicates(
    target_fmr: Annotated[
        float | None, typer.Option(min=0.0, max=1.0, help="the 1:1 point that pairs are judged by")
    ] = None,
    accept_extrapolated: Annotated[bool, typer.Option(help="take a point beyond the measured ones")] = False,
    gallery: Annotated[str, typer.Option(help="only its members")] = "all",
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="lines at most, the most suspicious ones")] = 100,
) -> None:
    """Compare every template with every other; 100,000 take about a minute of processor time."""
    settings = Settings.read()
    with open_rows(settings) as store, Console(stderr=True).status("comparing"):
        from app.actions.duplicates import TWO_PERSONS, FindDuplicates
        from app.inference import calibration

        model_id = _model_of(store)
        if model_id is None:
            typer.echo("nobody is enrolled")
            return
        find = FindDuplicates(store, calibration.of_model(model_id, settings.home))
        found = find(target_fmr=target_fmr, accept_extrapolated=accept_extrapolated, gallery=gallery, limit=limit)
    table = Table("what", "similarity", "person", "person", "template", "template")
    for finding in found.items:
        what = "two who look alike" if finding.kind == TWO_PERSONS else "one with two faces"
        table.add_row(*(Text(shown(cell)) for cell in (what, f"{finding.similarity:.4f}", *_cells(finding))))
    if found.items:
        # A pipe has 80 columns, in which an id would be broken.
        Console(width=max(Console().width, LEAST_WIDTH)).print(table)
    point = found.point
    more = "" if len(found.items) < limit else ", and perhaps more"
    typer.echo(
        f"{len(found.items)} found{more} among {found.templates} templates, judged by {point.name} "
        f"({point.support}): a similarity of {point.threshold:.4f}"
    )


def _model_of(store: "Store") -> str | None:
    """The model that is served, or that the templates are of; None where nobody is enrolled."""
    with store.read() as uow:
        served, models = uow.models.served(), sorted(uow.templates.models())
    return served.model_id if served is not None and models else next(iter(models), None)


def _cells(finding: "Finding") -> tuple[str, ...]:
    names = [f"{one.person.name} ({one.person.id})" for one in finding.persons]
    return (names[0], names[1] if len(names) > 1 else "the same", *finding.templates)
