"""Which units carry the style cost of a render: told, and drawn with what they see in style and render."""

from pathlib import Path

import typer
from rich.console import Console

from app.cli.sheet_files import reduced, refuse_unwritable
from app.settings import Settings

HEAVIEST = 5
# Larger renders are reduced: a layer of 64 channels is 64 times a picture.
MOST_PX = 1024


def tell_costs(
    render: Path, style: Path, out: Path, *, each: int, size: int | None, weights: Path | None, settings: Settings
) -> None:
    """Prints what each layer costs and its heaviest units, and draws `each` of them. Raises typer.Exit.

    size: longer side that both are reduced to; None: the render's own, and at most MOST_PX.
    """
    refuse_unwritable(out, [render, style])
    with Console(stderr=True).status("comparing style matrices"):
        from models.explain.patches import as_canvas
        from models.explain.sheet import draw_compared
        from models.explain.style_costs import compared, style_costs
        from models.explain.units import STYLE_LAYERS, PictureUnits
        from models.style import perceptual

        made = reduced(render, size or MOST_PX, settings)
        size = max(made.shape[:2])
        model = reduced(style, size, settings)
        network = perceptual.shipped() if weights is None else perceptual.of_file(weights)
        # As renders are made: without a frame of mean colour.
        rendering = network.configured(pooling="max", padding="replicate", precision="float32")
        lambdas = dict.fromkeys(STYLE_LAYERS, 1 / len(STYLE_LAYERS))
        found = style_costs(rendering, as_canvas(made), as_canvas(model), lambdas)
        rows = list(compared(PictureUnits(network), found, made, model, each=each))
        draw_compared(rows, note=f"both reduced to {size} px; grey: outside of the picture").save(out)
    typer.echo(f"J_style {sum(one.cost for one in found.values()):.4g} (gatys2015, lambda 1/5 each, {size} px)")
    for name, layer in found.items():
        own = layer.share or 1.0
        heaviest = ", ".join(
            f"{unit} {share / own:.1%} ({float(layer.ratios[unit]):.2f} times the style's)"
            for unit, share in layer.heaviest(HEAVIEST)
        )
        typer.echo(f"{name} {100 * layer.share:.3g}% of it; of that, units {heaviest}")
    typer.echo(f"drawn to {out}")
