"""The weights that we ship, and how they are read.

Each network is one safetensors file with a model card (`.md`) beside it; `convert.py` made them, NOTICE names whom they
come from.
"""

import hashlib
import json
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file

from models.detector import Detector
from models.encoder import Encoder
from models.errors import WeightsError
from models.image import Pixels, decode
from models.quantised import Layers, of_tensors

FOLDER = Path(__file__).parent
DETECTOR = "yunet"
# What perceives pictures for style transfer; `models.style.perceptual` reads it.
PERCEPTUAL = "vgg19"
_NO_ENCODERS = (DETECTOR, PERCEPTUAL)
# Where encoders of one's own lie; see `look_in`.
_own_folders: list[Path] = []

# Under which terms each encoder may be used: its model card has the whole story.
TERMS = {
    "onelook": "for research: trained on photos of CelebA, which allows no other use; at work take sface or your own",
    "onelook-int8": "as onelook: for research, trained on photos of CelebA; at work take sface or your own",
    "sface": "Apache-2.0; published in the OpenCV Zoo; may be used at work",
}
# By this name an encoder of one's own says so in its file.
TERMS_OF_FILE = "terms"

# What happens to a picture between the file and the network. Whoever changes alignment, channel order, scaling or the
# comparison changes this text, and with it every model_id: vectors made one way are never compared with the other's.
PREPROCESSING = {
    "align": "similarity of five landmarks to the SFace template, bilinear; twice as large or more: reduced first",
    "channels": "RGB 0..255",
    "crop_px": 112,
    "length": 1,
}
# Weights in eight bits (`models.quantised`) say so in their file, under this name.
FORM, INT8 = "form", "int8"
# Weights that were trained on faces aligned by a closer look say so in their file, under this name.
ALIGNMENT, REFINED = "alignment", "refined"
REFINEMENT = "landmarks: the mean of what is found in the crop of 144 at 128 pixels and in its mirror image"


def look_in(folder: Path) -> None:
    """From now on this process knows the encoders of that folder too, each by the name of its file.

    Raises WeightsError where there is no such folder, or one of its files has the name of an encoder that is known.
    """
    folder = folder.resolve()
    if folder in _own_folders:
        return
    if not folder.is_dir():
        raise WeightsError(f"{folder} is no folder: encoders of your own are looked for there")
    for path in folder.glob("*.safetensors"):
        if path.stem in _NO_ENCODERS or path.stem in encoders():
            raise WeightsError(f"{path.name} has the name of another encoder: call it otherwise")
    _own_folders.append(folder)


def encoders() -> tuple[str, ...]:
    """The names of the encoders whose weights are here, in order. Read-only."""
    files = (path for folder in (FOLDER, *_own_folders) for path in folder.glob("*.safetensors"))
    return tuple(sorted(path.stem for path in files if path.stem not in _NO_ENCODERS))


def terms(name: str | Path) -> str:
    """Under which terms that encoder may be used. Raises WeightsError for a shipped one of which nobody has said so."""
    if isinstance(name, str) and name in TERMS:
        return TERMS[name]
    if file_of(name).parent == FOLDER:
        raise WeightsError(f"nobody has said under which terms {name} may be used: TERMS lacks it")
    return _says(file_of(name)).get(TERMS_OF_FILE, "your own: the terms of the photos that it was trained on")


def named(model_id_: str) -> tuple[str, bool]:
    """(name, flip) of the model with that id. Raises WeightsError where its weights, or its preprocessing, are gone."""
    for name in encoders():
        for flip in (False, True):
            if model_id(name, flip=flip) == model_id_:
                return name, flip
    raise WeightsError(f"the weights of {model_id_} are not here: install the version that had them")


def load(name: str | Path) -> Encoder | Layers:
    """The encoder in the form that its file has: `load_encoder`, or its layers in eight bits. Raises WeightsError.

    name: as `load_encoder` takes it. Read-only.
    """
    file = file_of(name)
    if not in_eight_bits(file):
        return load_encoder(name)
    try:
        return of_tensors(_tensors(file))
    except ValueError as e:
        raise WeightsError(
            f"{file.name} is no encoder in eight bits ({e}): make it again with `onelook quantise`"
        ) from e


def in_eight_bits(name: str | Path) -> bool:
    """Whether those weights are in eight bits. Raises WeightsError for a file of another form."""
    file = file_of(name)
    form = _says(file).get(FORM)
    if form not in (None, INT8):
        raise WeightsError(f"{file.name} is of the form {form!r}, which this version cannot read")
    return form == INT8


def load_encoder(name: str | Path) -> Encoder:
    """The encoder in float32, in evaluation mode, norms not folded. Raises WeightsError. Read-only.

    name: of a shipped one, or the path of any safetensors file with weights of the same network.
    """
    file, network = file_of(name), Encoder()
    if in_eight_bits(file):
        raise WeightsError(f"{file.name} is in eight bits: name the weights in float that it was made from")
    try:
        network.load_state_dict(_float32(file))
    except RuntimeError as e:
        raise WeightsError(f"{file.name} holds no weights of this network: name a file that `Encoder` can load") from e
    return network.eval()


def refines(name: str | Path) -> bool:
    """Whether those weights want faces aligned by a closer look (`models.face.refine`). Raises WeightsError.

    The file says so itself; one that says nothing, as a published one, takes faces as the first look aligned them.
    """
    file = file_of(name)
    alignment = _says(file).get(ALIGNMENT)
    if alignment not in (None, REFINED):
        raise WeightsError(f"{file.name} wants faces aligned as {alignment!r}, which this version cannot do")
    return alignment == REFINED


def file_of(name: str | Path) -> Path:
    """Where the weights of that encoder lie, or should; a path is its own answer."""
    if isinstance(name, Path):
        return name
    places = (folder / f"{name}.safetensors" for folder in _own_folders)
    return next((place for place in places if place.exists()), FOLDER / f"{name}.safetensors")


def calibration_of(name: str) -> Path:
    """Where the operating points that come with that encoder lie, or should: beside its weights."""
    return file_of(name).with_suffix(".calibration.json")


def load_detector() -> Detector:
    """The detector in float32, in evaluation mode. Raises WeightsError. Read-only."""
    network = Detector()
    network.load_state_dict(_float32(FOLDER / f"{DETECTOR}.safetensors"))
    return network.eval()


def sample_crops() -> list[Pixels]:
    """Crops uint8 (144, 144, 3) of the sample photos, against which a precision is judged. Read-only."""
    strip = decode(_bytes(FOLDER / "sample.png"))
    return [np.ascontiguousarray(crop) for crop in np.split(strip, strip.shape[1] // strip.shape[0], axis=1)]


def model_id(name: str | Path, *, flip: bool = False) -> str:
    """`<name>-<12 hex digits>`: the digest of the weights and of the preprocessing, flip averaging included.

    A path goes by the name of its file, without the ending.
    """
    digest = hashlib.sha256()
    digest.update(_bytes(file_of(name)))
    digest.update(_bytes(FOLDER / f"{DETECTOR}.safetensors"))  # other landmarks are another alignment
    way = {**PREPROCESSING, "flip": flip} | ({"refine": REFINEMENT} if refines(name) else {})
    digest.update(json.dumps(way, sort_keys=True).encode())
    return f"{file_of(name).stem}-{digest.hexdigest()[:12]}"


def _says(file: Path) -> dict[str, str]:
    try:
        with safe_open(file, "pt") as held:
            return dict(held.metadata() or {})
    except (OSError, SafetensorError) as e:
        raise WeightsError(f"{file.name} cannot be read: install the distribution again") from e


def _float32(path: Path) -> dict[str, torch.Tensor]:
    return {name: t.float() if t.is_floating_point() else t for name, t in _tensors(path).items()}


def _tensors(path: Path) -> dict[str, torch.Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as e:
        raise WeightsError(f"{path.name} cannot be read: install the distribution again") from e


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as e:
        raise WeightsError(f"{path.name} is missing: install the distribution again") from e
