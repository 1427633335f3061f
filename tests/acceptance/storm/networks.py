"""The networks, loaded once when this module is imported: whoever is forked from that process has them at once."""

import threading
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from app.inference.face_reader import NetworkFaceReader

MODEL, FLIP, LANES = "onelook", True, 1
# As many processes as no machine has cores: each network is to run in one thread, and none is started before a fork.
_MANY = 1024


def _without_threads() -> NetworkFaceReader:
    made = NetworkFaceReader(
        model=MODEL, flip=FLIP, device="cpu", precision="float32", lanes=LANES, processes=_MANY, queue=64
    )
    made.close()
    return made


_READER = _without_threads()


def embeddings_of(images: Sequence[bytes]) -> NDArray[np.float32]:
    """float32 (N, 128): what the real networks see in each picture of one face. For the process that forks nobody."""
    reader = NetworkFaceReader(
        model=MODEL, flip=FLIP, device="cpu", precision="float32", lanes=LANES, processes=_MANY, queue=64
    )
    try:
        return np.stack([reader.read(image).faces[0].embedding for image in images])
    finally:
        reader.close()


def awakened() -> NetworkFaceReader:
    """The real reader, its lanes started in this process; once for each process."""
    _READER._closed = False
    _READER._lanes = [threading.Thread(target=_READER._lane, daemon=True) for _ in range(LANES)]
    for lane in _READER._lanes:
        lane.start()
    return _READER
