"""`onelook promise`: which threshold keeps a promise, and what can be promised at all."""

from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.plainly import REFUSED, told
from app.settings import Settings

if TYPE_CHECKING:
    from app.domain.promise import Weighed


def promise(
    wrong_opens_a_year: Annotated[float, typer.Option(help="how often a stranger may be let in")],
    attempts_a_day: Annotated[float, typer.Option(help="how often strangers try")],
    people: Annotated[int, typer.Option(min=1, help="persons or templates in the gallery, whichever are more")],
    accept_extrapolated: Annotated[bool, typer.Option(help="take what no sample could measure")] = False,
) -> None:
    """Say which threshold keeps the wrong opens a year below a number, or what can be promised at least."""
    settings = Settings.read()
    from app.domain.promise import Promise, refusal, weigh
    from app.inference import calibration
    from app.inference.encoders import wanted_model

    try:
        asked = Promise(wrong_opens_a_year, attempts_a_day)
    except ValueError as e:
        raise typer.BadParameter(str(e)) from e
    points = calibration.load(settings.model, wanted_model(settings), settings.home)
    weighed = weigh(points, asked, people, accept_extrapolated=accept_extrapolated)
    if not weighed.kept:
        raise told(refusal(weighed, accept_extrapolated=accept_extrapolated), REFUSED)
    for line in lines(weighed):
        typer.echo(line)
    typer.echo(f"measured on {points.sample}, {weighed.point.persons} people")


def lines(weighed: "Weighed") -> list[str]:
    """A kept promise in words: threshold, support, the wrong opens to be expected, and up to how many people."""
    found, low, high = weighed.wrong_opens
    up_to = "" if weighed.up_to is None else f"; kept up to {weighed.up_to} people"
    return [
        f"threshold {weighed.point.threshold:.4f} ({weighed.point.name}, {weighed.support}){up_to}",
        f"FPIR wanted {weighed.promise.fpir:.3g}, found {weighed.fpir[0]:.3g} "
        f"(95 % {weighed.fpir[1]:.3g} .. {weighed.fpir[2]:.3g})",
        f"wrong opens a year {found:.3g} (95 % {low:.3g} .. {high:.3g}); "
        f"rightful people missed {weighed.point.miss:.2%}",
    ]
