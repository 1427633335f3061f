"""The rows of a sheet: for chosen units the patches that excite them most, and a picture that was made to."""

from collections.abc import Iterator, Sequence

from models.explain.maximise import STEPS, maximised
from models.explain.patches import cut, strongest
from models.explain.sheet import Row
from models.explain.units import Units
from models.image import Pixels


def rows_of(
    units: Units,
    pictures: Sequence[Pixels],
    chosen: Sequence[tuple[str, int]] = (),
    *,
    each: int = 3,
    seed: int = 0,
    steps: int = STEPS,
) -> Iterator[Row]:
    """One row a unit, as soon as it is made; pictures uint8 (H, W, 3) are read twice.

    chosen: (layer, unit); none: of each layer of the sheet `each` units that answer seldom and then strongly.
    """
    layers = list(dict.fromkeys(layer for layer, _ in chosen)) or list(units.layers)
    found = strongest(units, pictures, layers)
    if not chosen:
        chosen = [(layer, unit) for layer in layers for unit in found[layer].choosy(each)]
    for layer, unit in chosen:
        patches = found[layer].of(unit)
        shown = [cut(pictures[one.picture], one, units.fields[layer], units.outside) for one in patches]
        made = maximised(units, layer, unit, seed=seed, steps=steps)
        yield Row(layer, unit, patches[0].activation if patches else 0.0, made, shown)
