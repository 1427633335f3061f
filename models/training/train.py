"""From folders of identities to weights: everything that `onelook train` does, usable alone."""

import dataclasses
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from safetensors.torch import save_file

from models import weights
from models.encoder import Encoder
from models.face.detect import load_detector
from models.face.encode import FaceEncoder
from models.training.centre import about_their_mean, centre_of, centred
from models.training.dataset import Faces, load_faces
from models.training.labels import mislabelled
from models.training.loop import Course, Progress, Training
from models.training.objective import Recipe
from models.training.split import VALIDATION_SHARE, is_for_validation
from models.training.student import fine_tuned, shipped_form
from models.training.validation import Validation

Init = Literal["weights", "scratch"]
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Prepared:
    """What is trained on, what is looked at, what was left out, and whether faces were aligned by a closer look."""

    train: Faces
    validation: Faces
    dropped: int
    refined: bool


def prepare(
    folders: Sequence[Path],
    keep: Path,
    *,
    teacher: str = "sface",
    refine: bool = True,
    device: str = "cpu",
    validation_share: float = VALIDATION_SHARE,
    tell: Callable[[int, int], None] = lambda done, of: None,
) -> Prepared:
    """Finds the faces, leaves out photos that show somebody other than their label, and splits by identity.

    keep, refine: as in `load_faces`. Photos of validation people are not left out: a measurement leaves nothing out.
    """
    encoder = FaceEncoder(weights.load_encoder(teacher), device=device, precision=torch.float32, flip=True)
    faces = load_faces(folders, keep, load_detector(device), encoder, refine=refine, tell=tell)
    apart = np.array([is_for_validation(name, validation_share) for name in faces.identities])
    wrong = mislabelled(faces.teacher, faces.person())
    return Prepared(faces.only(~apart & ~wrong), faces.only(apart), int((~apart & wrong).sum()), refine)


def train(
    prepared: Prepared,
    folder: Path,
    recipe: Recipe,
    course: Course,
    *,
    init: Init = "weights",
    teacher: str = "sface",
    terms: str | None = None,
    device: str = "cpu",
    precision: torch.dtype = torch.float32,
    tell: Callable[[Progress], None] = lambda _: None,
) -> Path:
    """Trains, or goes on where the folder says it stopped; the file of the averaged weights, `weights.safetensors`.

    Beside it: `checkpoint.pt`, and `log.jsonl` with a line for each step. init: `weights` begins with the teacher's,
    its norms folded and its embeddings drawn about their mean; `scratch` with random ones and norms that learn. The
    file says how it was made, how faces are to be aligned for it, and under which terms it may be used.
    """
    torch.manual_seed(course.seed)
    faces = dataclasses.replace(prepared.train, teacher=about_their_mean(prepared.train.teacher))
    network, centre = _from_scratch(), None
    if init == "weights":
        network = fine_tuned(weights.load_encoder(teacher).to(device))
        centre = centre_of(network, faces.inputs(), device)
        centred(network, centre)
    validation = Validation.of(prepared.validation, course.seed)
    training = Training(
        network, faces, validation, folder, recipe, course, init=init, device=device, precision=precision
    )
    training.run(tell)
    with (folder / "log.jsonl").open("w", encoding="utf-8") as log:
        log.writelines(json.dumps(line) + "\n" for line in training.history)
    network.load_state_dict(training.average)
    file = folder / "weights.safetensors"
    made_by = {
        "recipe": asdict(recipe),
        "course": asdict(course),
        "init": init,
        "teacher": teacher,
        # By its start and its end the encoders between both can be made: `models.training.blend`.
        "centre": None if centre is None else centre.tolist(),
    }
    says = {"made_by": json.dumps(made_by)}
    if prepared.refined:
        says[weights.ALIGNMENT] = weights.REFINED
    if terms is not None:
        says[weights.TERMS_OF_FILE] = terms
    save_file(shipped_form(network), file, says)
    return file


def _from_scratch() -> Encoder:
    network = Encoder()
    torch.nn.Module.to(network, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network.train()
