"""`onelook identify`."""

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from app.cli.home import open_desk, photo
from app.cli.plainly import shown
from app.cli.verify import PhotoArgument, about, tell_chance
from app.settings import Settings


def identify(
    image: PhotoArgument,
    top_k: Annotated[
        int, typer.Option(min=0, max=20, help="list the closest persons too, above the threshold or not")
    ] = 0,
    target_fpir: Annotated[
        float | None, typer.Option(help="the rate of strangers named; none: the tightest measured")
    ] = None,
    accept_extrapolated: Annotated[bool, typer.Option(help="take a rate that no sample could measure")] = False,
) -> None:
    """Name the person in a picture, or say that nobody enrolled is in it."""
    settings = Settings.read()
    content = photo(image, settings)
    with open_desk(settings) as desk:
        from app.actions.identify import Question
        from app.domain.decision import Recognized

        question = Question(target_fpir=target_fpir, accept_extrapolated=accept_extrapolated, top_k=top_k)
        identified = desk.identify(content, question)
    answer = identified.answers[0]
    if isinstance(answer.decision, Recognized):
        best = answer.decision.candidate
        typer.echo(f"recognized: {shown(best.person.name)} ({best.person.id})")
        typer.echo(f"similarity {best.similarity:.4f}, {about(identified.point)}")
        tell_chance(answer.probability, "where half of the searches are by somebody enrolled")
    else:
        typer.echo(f"not recognized ({answer.decision.reason})")
        typer.echo(about(identified.point))
    typer.echo(f"{identified.persons} persons, {identified.templates} templates")
    if answer.candidates:
        table = Table("rank", "similarity", "person", "name")
        for rank, one in enumerate(answer.candidates, 1):
            table.add_row(str(rank), f"{one.similarity:.4f}", Text(one.person.id), Text(shown(one.person.name)))
        Console().print(table)
