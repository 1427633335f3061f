"""From coarse to fine: large strokes are laid out where they are a few pixels wide, and drawn where they are many.

Gatys et al., "Controlling Perceptual Factors in Neural Style Transfer", CVPR 2017, section 5.
"""

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional as F

# A scale is about this much smaller than the next, and none is smaller than COARSEST along its longer side.
FACTOR, COARSEST = 2.0, 112
# Of all steps, how many the last scale gets; what is left is halved from scale to scale, the finer the more.
LAST_SHARE = 0.5
MODES = {1: "linear", 2: "bicubic", 3: "trilinear"}


def sizes(space: Sequence[int], *, coarsest: int = COARSEST, multiple: int = 1) -> list[tuple[int, ...]]:
    """The sizes of the scales, coarsest first, the given one last; each axis shrinks alike, to `multiple` at least."""
    found = [tuple(space)]
    while max(found[0]) / FACTOR >= coarsest:
        found.insert(0, tuple(max(multiple, round(length / FACTOR)) for length in found[0]))
    return found


def shares(steps: int, scales: int) -> list[int]:
    """How many of the steps each scale gets, coarsest first: at least one each where there are enough."""
    if scales == 1 or steps < scales:
        return [0] * (scales - 1) + [steps]
    # One each, and a share of what is left beyond that.
    left = int((steps - scales) * (1 - LAST_SHARE))
    weights = [2.0**number for number in range(scales - 1)]
    found = [1 + round(left * weight / sum(weights)) for weight in weights]
    return [*found, steps - sum(found)]


def resized(values: Tensor, space: Sequence[int]) -> Tensor:
    """(1, C, *space) at another size, smoothly; shrunk with averaging, so that nothing is lost between samples."""
    if tuple(values.shape[2:]) == tuple(space):
        return values.clone()
    dimensions = values.dim() - 2
    if dimensions == 2:
        shrinks = space[0] < values.shape[2]
        return F.interpolate(values, tuple(space), mode="bicubic", align_corners=False, antialias=shrinks)
    if all(new < old for new, old in zip(space, values.shape[2:], strict=True)):
        if dimensions == 1:
            return F.adaptive_avg_pool1d(values, space[0])
        return F.adaptive_avg_pool3d(values, (space[0], space[1], space[2]))
    return F.interpolate(values, tuple(space), mode=MODES[dimensions], align_corners=False)
