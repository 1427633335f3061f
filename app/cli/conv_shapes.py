"""`onelook conv-shapes`: what volume comes out of a convolution."""

from typing import Annotated

import typer

from app.cli.plainly import UNUSABLE, told


def conv_shapes(
    volume: Annotated[str, typer.Argument(help="lengths and then channels: 14x1, 64x64x3, 64x64x64x3")],
    filters: Annotated[int, typer.Option(min=1, help="how many, each over all channels")],
    width: Annotated[int, typer.Option(min=1, help="of a filter, along every axis")],
    stride: Annotated[int, typer.Option(min=1, help="positions from one place of a filter to the next")] = 1,
    padding: Annotated[int, typer.Option(min=0, help="positions of zeros on either side of every axis")] = 0,
) -> None:
    """Tell the volume that a convolution makes in one, two or three dimensions, and what it costs."""
    from models.explain.shapes import convolved, parsed, written

    try:
        taken = parsed(volume)
        made = convolved(taken, filters=filters, width=width, stride=stride, padding=padding)
    except ValueError as e:
        raise told(str(e), UNUSABLE) from e
    one = (*[width] * (len(taken) - 1), taken[-1])
    typer.echo(f"{written(taken)} -> {written(made.shape)}")
    many = f"{filters:,} filters of {written(one)} weights, and a bias each"
    typer.echo(f"{made.parameters:,} parameters: {many if filters > 1 else f'{written(one)} weights and a bias'}")
    typer.echo(f"{made.multiplications:,} multiplications")
