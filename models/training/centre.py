"""Embeddings about their mean: where an encoder starts, and what its teacher says.

Published encoders leave all faces of a kind on one side of the sphere, so that what strangers share counts towards
their similarity. The mean is taken out of the last layer's bias, which costs nothing later; docs/models.md has what it
brings. Arandjelovic and Zisserman, "All about VLAD", CVPR 2013, take a mean out of parts of a descriptor likewise.
"""

import numpy as np
import torch
from torch import Tensor

from models.encoder import Encoder
from models.face.encode import Vectors
from models.image import Pixels

# Of so many faces the mean of each number is known to a fiftieth of its spread.
MOST_FACES, TOGETHER = 2500, 32


@torch.no_grad()
def centre_of(network: Encoder, inputs: Pixels, device: str = "cpu") -> Tensor:
    """The mean of what the encoder says, before it is made one long, of faces uint8 (n, 112, 112, 3) and their mirrors.

    float32 (128,), on the processor; of 2,500 of them, evenly, where there are more.
    """
    places = np.linspace(0, len(inputs) - 1, min(len(inputs), MOST_FACES)).round().astype(int)
    total = torch.zeros((), dtype=torch.float64)
    for begin in range(0, len(places), TOGETHER):
        some = torch.from_numpy(inputs[places[begin : begin + TOGETHER]]).permute(0, 3, 1, 2).to(device).float()
        total = total + sum(network(view).double().cpu().sum(0) for view in (some, some.flip(3)))
    return (total / (2 * len(places))).float()


@torch.no_grad()
def centred(network: Encoder, centre: Tensor) -> Encoder:
    """The encoder whose norms are folded, less the centre, float32 (128,). Changes it."""
    network.project.bias.sub_(centre.to(network.project.bias.device))
    return network


def about_their_mean(vectors: Vectors) -> Vectors:
    """Rows of unit length, float32 (n, 128), less their mean, at unit length again."""
    apart = vectors - vectors.mean(0)
    length = np.linalg.norm(apart, axis=1, keepdims=True)
    rows: Vectors = apart / np.maximum(length, np.finfo(np.float32).tiny)
    return rows
