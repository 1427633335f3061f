"""The encoders of the models whose weights are here, each loaded when it is first needed."""

import threading
from collections.abc import Collection
from dataclasses import dataclass

from app.errors import Misconfigured
from app.settings import Settings
from models import weights
from models.errors import WeightsError
from models.face.detect import Network
from models.face.encode import FaceEncoder, Precision, choose_precision, open_encoder


def wanted_model(settings: Settings) -> str:
    """The id of the model that the settings name; from then on the encoders of their folder are known in this process.

    Raises Misconfigured for a name that no encoder has.
    """
    try:
        if settings.weights is not None:
            weights.look_in(settings.weights)
        if settings.model not in (known := weights.encoders()):
            raise Misconfigured(
                f"ONELOOK_MODEL={settings.model}: no encoder has that name; there are {', '.join(known)}, and "
                "ONELOOK_WEIGHTS names the folder of your own"
            )
        return weights.model_id(settings.model, flip=settings.flip_averaging)
    except WeightsError as e:
        raise Misconfigured(f"the weights cannot be used: {e}") from e


@dataclass(frozen=True, slots=True)
class Known:
    """A model by its parts, ready to encode; terms: under which it may be used."""

    name: str
    flip: bool
    terms: str
    precision: Precision
    encoder: FaceEncoder


class Encoders:
    """Encoders by model id, on one device. Thread-safe: one loads while others wait for it.

    precision: as `choose_precision` takes it, measured anew for each model; detector: what looks at crops again, for
    those models that want it.
    """

    def __init__(self, detector: Network, *, device: str, precision: str) -> None:
        self._detector, self._device, self._precision = detector, device, precision
        self._lock = threading.Lock()
        self._loaded: dict[str, Known] = {}

    def of(self, model_id: str) -> Known:
        """That model; seconds the first time. Raises WeightsError where its weights are not here, or are damaged."""
        with self._lock:
            if model_id not in self._loaded:
                self._loaded[model_id] = self._load(*weights.named(model_id))
            return self._loaded[model_id]

    def keep_only(self, model_ids: Collection[str | None]) -> None:
        """Lets go of all others; who still encodes with one keeps it until then."""
        with self._lock:
            self._loaded = {id_: known for id_, known in self._loaded.items() if id_ in model_ids}

    def _load(self, name: str, flip: bool) -> Known:
        chosen = choose_precision(
            lambda: weights.load(name), weights.sample_crops(), device=self._device, wanted=self._precision
        )
        encoder = open_encoder(name, precision=chosen.dtype, flip=flip, device=self._device, detector=self._detector)
        return Known(name, flip, weights.terms(name), chosen, encoder)
