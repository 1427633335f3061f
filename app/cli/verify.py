"""`onelook verify`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.home import open_desk, photo
from app.cli.plainly import UNUSABLE, told
from app.settings import Settings

if TYPE_CHECKING:
    from app.domain.operating_point import OperatingPoint

PhotoArgument = Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="a picture of one person")]


def verify(
    image: PhotoArgument,
    other: Annotated[Path | None, typer.Argument(exists=True, dir_okay=False, help="another picture")] = None,
    person: Annotated[str | None, typer.Option(help="instead of another picture: the id of somebody enrolled")] = None,
    target_fmr: Annotated[
        float | None, typer.Option(help="the rate of false matches; none: the tightest measured")
    ] = None,
    accept_extrapolated: Annotated[bool, typer.Option(help="take a rate that no sample could measure")] = False,
) -> None:
    """Say whether two pictures, or a picture and somebody enrolled, show the same person."""
    if (other is None) == (person is None):
        raise told("give another picture or --person, one of the two", UNUSABLE)
    settings = Settings.read()
    content = photo(image, settings)
    other_content = None if other is None else photo(other, settings)
    with open_desk(settings) as desk:
        from app.actions.verify import Asked
        from app.domain.decision import Match

        asked = Asked(target_fmr=target_fmr, accept_extrapolated=accept_extrapolated)
        if other_content is not None:
            verified = desk.verify_pair(content, other_content, asked)
        else:
            verified = desk.verify_person(content, person or "", asked)
    answer = verified.answer
    typer.echo("match" if isinstance(answer, Match) else f"no match ({answer.reason})")
    similarity = "none" if answer.similarity is None else f"{answer.similarity:.4f}"
    typer.echo(f"similarity {similarity}, {about(verified.point)}")
    tell_chance(verified.probability, "where half of all comparisons are rightful")


def tell_chance(chance: float | None, prior: str) -> None:
    """Prints how likely a match is right, where that was calibrated. Rounded down: none is certain."""
    if chance is not None:
        typer.echo(f"probability {int(chance * 10_000) / 10_000:.4f}, {prior}")


def about(point: "OperatingPoint") -> str:
    """The threshold, and what it stands on."""
    low, high = point.interval
    return (
        f"threshold {point.threshold:.4f} ({point.kind.upper()} {point.target:g}, {point.support}: "
        f"{point.measured:.2g} found, 95 % {low:.2g} .. {high:.2g}, {point.persons} people)"
    )
