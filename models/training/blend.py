"""On the way from one encoder to another: weights between those of both.

Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR 2022: between what was published and what was trained
from it lies an encoder that keeps what the first knew and has what the second learnt.
"""

import copy
import json
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from models import weights
from models.encoder import Encoder
from models.training.centre import centred
from models.training.student import fine_tuned, shipped_form


@torch.no_grad()
def blended(first: Encoder, second: Encoder, share: float) -> dict[str, Tensor]:
    """The state of an Encoder whose weights lie `share` of the way from the first to the second; neither is changed.

    Norms are folded before, since the same function can be written with many norms. Raises ValueError where the slopes
    differ: the second was not trained from the first.
    """
    start, end = (fine_tuned(copy.deepcopy(network)) for network in (first, second))
    target = end.state_dict()
    for name, tensor in start.state_dict().items():
        if name.endswith("slopes") and not torch.allclose(tensor, target[name], atol=1e-3):
            raise ValueError("these two encoders do not stem from each other: their slopes differ")
        tensor.lerp_(target[name], share)
    return shipped_form(start)


def blend_files(trained: Path, share: float, out: Path, *, half: bool) -> None:
    """Writes the blend of a training's start and its weights, and how both were made, as safetensors.

    half: float16. Raises ValueError for a file that `onelook train` did not make.
    """
    with safe_open(trained, "pt") as file:
        says = file.metadata() or {}
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no dictionary
    made_by = says.get("made_by")
    if made_by is None:
        raise ValueError(f"{trained} does not say how it was made: it is no file of `onelook train`")
    end = Encoder()
    end.load_state_dict(state)
    how = json.loads(made_by)
    if how["init"] != "weights":
        raise ValueError(f"{trained} began with random weights: nothing useful lies between them and what was learnt")
    start = Encoder()
    start.load_state_dict(
        shipped_form(centred(fine_tuned(weights.load_encoder(how["teacher"])), torch.tensor(how["centre"])))
    )
    tensors = blended(start.eval(), end.eval(), share)
    if half:
        tensors = {name: t.half() if t.is_floating_point() else t for name, t in tensors.items()}
    out.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, out, {**says, "made_by": json.dumps({**how, "share": share})})
