"""How an encoder does on people it is not trained on, quickly: TMR of clean and of degraded views."""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from models.encoder import Encoder
from models.metric.sampling import Ints
from models.training.dataset import Faces
from models.training.views import degraded

# People looked at, and faces encoded at a time.
MOST_PEOPLE, TOGETHER = 500, 32
FMR = 1e-3


@dataclass(frozen=True, eq=False)
class Validation:
    """Pairs of two photos of each person: the first as it is, the second as it is and as a door would see it."""

    enrolled: Tensor = field(repr=False)
    probes: Tensor = field(repr=False)
    hard_probes: Tensor = field(repr=False)

    @classmethod
    def of(cls, faces: Faces, seed: int) -> "Validation":
        """Of people with two photos or more, 500 at most. Raises ValueError for fewer than two people."""
        person = faces.person()
        pairs: list[Ints] = [np.flatnonzero(person == one)[:2] for one in np.flatnonzero(np.bincount(person) > 1)]
        if len(pairs) < 2:
            raise ValueError("validation needs two people with two photos: give more identities")
        chance = np.random.default_rng([seed, 1])
        pairs = [pairs[i] for i in chance.permutation(len(pairs))[:MOST_PEOPLE]]
        crops = faces.inputs()
        return cls(
            _tensor([crops[first] for first, _ in pairs]),
            _tensor([crops[second] for _, second in pairs]),
            _tensor([degraded(faces, int(second), chance) for _, second in pairs]),
        )

    @torch.no_grad()
    def tmr(self, network: Encoder, device: str, precision: torch.dtype) -> dict[str, float]:
        """TMR at FMR 1e-3, threshold from the same probes before everybody else; `clean` and `degraded`."""
        was_training = network.training
        network.eval()
        enrolled = _encode(network, self.enrolled, device, precision)
        rates = {}
        for name, probes in (("clean", self.probes), ("degraded", self.hard_probes)):
            similarity = (_encode(network, probes, device, precision) @ enrolled.T).double().numpy()
            impostors = np.sort(similarity[~np.eye(len(similarity), dtype=np.bool_)])
            threshold = impostors[-int(FMR * len(impostors)) - 1]
            rates[name] = float((np.diag(similarity) > threshold).mean())
        network.train(was_training)
        return rates


def _encode(network: Encoder, crops: Tensor, device: str, precision: torch.dtype) -> Tensor:
    rows = []
    for part in torch.split(crops, TOGETHER):
        with torch.autocast(device, precision, enabled=precision != torch.float32):
            rows.append(network(part.to(device).float()).float().cpu())
    return normalize(torch.cat(rows))


def _tensor(crops: list[np.ndarray[tuple[int, ...], np.dtype[np.uint8]]]) -> Tensor:
    return torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2)
