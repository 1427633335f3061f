"""Crops -> what the network sees -> embeddings, in the fastest honest way of the machine at hand."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models import weights
from models.encoder import DIMENSIONS, INPUT_PX, Encoder
from models.errors import WeightsError
from models.face.align import middle
from models.face.detect import Network, load_detector
from models.face.frozen import frozen
from models.face.int8 import compiled
from models.face.refine import refined
from models.image import Pixels
from models.quantised import Layers, exactly

Vectors = NDArray[np.float32]
# A lower precision is taken only where every sample crop keeps this cosine to float32 (DESIGN, rule 6).
LEAST_COSINE = 0.999
# ... and only for a gain that a measurement on a noisy machine can show.
LEAST_GAIN = 1.15
# An engine for eight bits differs from exact arithmetic where a number falls to the other side of a level, and each
# such number moves others; one that cuts off sums, as processors without VNNI may, is further off.
LEAST_COSINE_INT8 = 0.995
TRIALS = 7
# What one forward pass takes: each crop needs some 15 MB while it lasts, and larger batches are no faster.
MOST_TOGETHER = 8


@dataclass(frozen=True, slots=True)
class Precision:
    """The number format that the encoder runs in, and the sentence that says why."""

    dtype: torch.dtype
    why: str

    @property
    def name(self) -> str:
        """`float32`, `bfloat16`, `float16` or `int8`."""
        return str(self.dtype).removeprefix("torch.")


class FaceEncoder:
    """The encoder, folded and channels-last, on one device in one precision; in eight bits always on the processor.

    Thread-safe. The crops of one call are encoded together. refine: the detector that looks at each crop again before
    it is encoded, for weights that were trained so; without one the network sees the middle of the crop.
    """

    def __init__(
        self,
        network: Encoder | Layers,
        *,
        device: str = "cpu",
        precision: torch.dtype,
        flip: bool = False,
        refine: Network | None = None,
    ) -> None:
        """precision: of weights in float; those in eight bits have theirs. Raises EngineMissing."""
        self._looks_on, self._flip, self._refine = device, flip, refine
        self._device, self._dtype = device, precision
        if isinstance(network, Encoder):
            network = network.folded().to(device=device, dtype=precision)
            self._network = frozen(network, self._tensor([np.zeros((INPUT_PX, INPUT_PX, 3), np.uint8)]))
        else:
            self._device, self._dtype = "cpu", torch.uint8
            self._network = compiled(network)

    def encode(self, crops: Sequence[Pixels]) -> Vectors:
        """Crops uint8 (144, 144, 3) RGB -> float32 (n, 128), rows of unit length; eight crops a forward pass."""
        return self.encode_inputs(self.inputs(crops))

    def inputs(self, crops: Sequence[Pixels]) -> list[Pixels]:
        """What the network sees of crops uint8 (144, 144, 3): uint8 (112, 112, 3) each."""
        if self._refine is None:
            return [middle(crop) for crop in crops]
        return [one for some in _pieces(crops) for one in refined(self._refine, some, device=self._looks_on)]

    def encode_inputs(self, inputs: Sequence[Pixels]) -> Vectors:
        """uint8 (112, 112, 3) RGB each -> float32 (n, 128), rows of unit length; eight a forward pass.

        With flip averaging a row is the direction of the sum over the input and its mirror image.
        """
        rows = [self._encode(some) for some in _pieces(inputs)]
        return np.concatenate([np.zeros((0, DIMENSIONS), np.float32), *rows])

    def _encode(self, inputs: Sequence[Pixels]) -> Vectors:
        batch = self._tensor(inputs)
        with torch.inference_mode():
            if self._flip:  # one batch of both: the weights are read once
                batch = torch.cat((batch, batch.flip(3))).contiguous(memory_format=torch.channels_last)
            out = self._network(batch).float()
            if self._flip:
                out = out[: len(inputs)] + out[len(inputs) :]
            rows: Vectors = torch.nn.functional.normalize(out).cpu().numpy()
        return rows

    def _tensor(self, inputs: Sequence[Pixels]) -> Tensor:
        # (n, 3, 112, 112) whose memory is (n, 112, 112, 3): channels-last without a copy.
        pixels = torch.from_numpy(np.stack(inputs)).permute(0, 3, 1, 2)
        return pixels.to(self._device).to(self._dtype)


def open_encoder(
    name: str | Path,
    *,
    precision: torch.dtype,
    flip: bool = False,
    device: str = "cpu",
    detector: Network | None = None,
) -> FaceEncoder:
    """The encoder of those weights as they want to be used. Raises WeightsError. Read-only.

    name: as `weights.load_encoder` takes it; precision: of weights in float, those in eight bits have theirs;
    detector: one that is there already, for weights that look again.
    """
    network = weights.load(name)
    refine = detector or load_detector(device) if weights.refines(name) else None
    return FaceEncoder(network, device=device, precision=precision, flip=flip, refine=refine)


def choose_precision(
    load: Callable[[], Encoder | Layers], sample: Sequence[Pixels], *, device: str = "cpu", wanted: str = "auto"
) -> Precision:
    """The fastest precision on this machine whose embeddings of the sample crops are those of float32.

    Of the network alone, on what is in the middle of the crops. Measured, one crop at a time and the sample as one
    batch, each against float32 in turn. `wanted`: `auto`, or a
    precision by name, which is taken whatever its speed and refused (float32 instead) only for its cosine.

    Weights in eight bits run in those, whatever is wanted. Raises WeightsError where this machine cannot.
    """
    network = load()
    if not isinstance(network, Encoder):
        return _in_eight_bits(network, sample)
    if wanted == "float32":
        return Precision(torch.float32, "float32 was asked for")
    lower = torch.float16 if device == "cuda" and wanted == "auto" else torch.bfloat16
    exact = FaceEncoder(network, device=device, precision=torch.float32)
    quick = FaceEncoder(load(), device=device, precision=lower)
    name = str(lower).removeprefix("torch.")
    cosine = float((exact.encode(sample) * quick.encode(sample)).sum(1).min())
    if not cosine >= LEAST_COSINE:
        return Precision(torch.float32, f"{name} keeps a cosine of only {cosine:.5f} to float32 on the sample")
    gain = min(_gain(exact, quick, sample[:1]), _gain(exact, quick, sample))
    measured = f"{name} measured at {gain:.2f} times the speed of float32, least cosine {cosine:.5f}"
    if wanted == "auto" and gain < LEAST_GAIN:
        return Precision(torch.float32, measured)
    return Precision(lower, measured)


def _in_eight_bits(layers: Layers, sample: Sequence[Pixels]) -> Precision:
    encoder = FaceEncoder(layers, precision=torch.int8)
    seen = torch.from_numpy(np.stack([middle(crop) for crop in sample])).permute(0, 3, 1, 2)
    expected = torch.nn.functional.normalize(exactly(layers, seen)).numpy()
    cosine = float((encoder.encode(sample) * expected).sum(1).min())
    if not cosine >= LEAST_COSINE_INT8:
        raise WeightsError(
            f"this processor computes in eight bits otherwise than the weights mean (cosine {cosine:.5f} on the "
            "sample): name the encoder in float"
        )
    return Precision(torch.int8, f"the weights are in eight bits, least cosine {cosine:.5f} to exact arithmetic")


def _pieces(pictures: Sequence[Pixels]) -> Iterator[Sequence[Pixels]]:
    return (pictures[i : i + MOST_TOGETHER] for i in range(0, len(pictures), MOST_TOGETHER))


def _gain(slow: FaceEncoder, fast: FaceEncoder, crops: Sequence[Pixels]) -> float:
    """How many times as fast; the medians of runs taken in turn, so that a change of clock touches both."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(TRIALS):
        for encoder, spent in zip((slow, fast), times, strict=True):
            begin = time.perf_counter()
            encoder.encode(crops)
            spent.append(time.perf_counter() - begin)
    return float(np.median(times[0]) / np.median(times[1]))
