"""Checks of torch, the weights, the thresholds, and of what was enrolled with them."""

import tomllib
from importlib import metadata
from pathlib import Path

from app.cli.finding import Finding, failure, ok, warning
from app.settings import Settings

FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
LENGTH_TOLERANCE = 1e-3


def torch_build(settings: Settings) -> Finding:
    """Whether torch is of the version that everything was measured with, and what the processor can do."""
    import torch

    wanted = _pinned_torch()
    if wanted is not None and torch.__version__.partition("+")[0] != wanted:
        return failure(f"torch {torch.__version__}, where {wanted} is needed: pip install torch=={wanted}")
    flags = _processor_flags()
    text = f"torch {torch.__version__}, processor with {' '.join(flags) or 'none of ' + ', '.join(FLAGS)}"
    if "avx2" not in flags and torch.backends.cpu.get_cpu_capability() == "DEFAULT":
        return warning(f"{text}: reading a picture will be slow")
    return ok(text)


def device(settings: Settings) -> Finding:
    """Whether the device that is set is there."""
    import torch

    if torch.cuda.is_available():
        name = torch.cuda.get_device_name()
        return warning(f"{name} is left idle: ONELOOK_DEVICE=cpu") if settings.device == "cpu" else ok(f"cuda, {name}")
    if settings.device == "cuda":
        why = "torch is built without CUDA" if torch.version.cuda is None else "the driver shows no GPU"
        return failure(f"ONELOOK_DEVICE=cuda, but {why}: mend that, or set it to auto")
    return ok("cpu")


def weights(settings: Settings) -> Finding:
    """Whether the shipped weights load, and tell the people of the shipped sample from each other."""
    import numpy as np
    import torch

    from app.inference.encoders import wanted_model
    from models import weights as shipped
    from models.errors import EngineMissing, WeightsError
    from models.face.encode import open_encoder

    try:
        shipped.load_detector()
        model_id = wanted_model(settings)
        encoder = open_encoder(settings.model, precision=torch.float32)
        crops = shipped.sample_crops()
        terms = shipped.terms(settings.model)
    except EngineMissing as e:
        return failure(str(e))
    except (WeightsError, RuntimeError) as e:
        return failure(f"{type(e).__name__}: the weights cannot be used; install the distribution again")
    ones, mirrored = encoder.encode(crops), encoder.encode([np.ascontiguousarray(crop[:, ::-1]) for crop in crops])
    lengths = np.linalg.norm(ones, axis=1)
    # Each face is closest to its own mirror image, or the network computes something else than it was trained for.
    if (
        not np.abs(lengths - 1).max() < LENGTH_TOLERANCE
        or ((ones @ mirrored.T).argmax(1) != np.arange(len(ones))).any()
    ):
        return failure("the self-test on the sample faces failed: install torch and the distribution again")
    return ok(f"{model_id} passed the self-test on {len(crops)} sample faces; terms: {terms}")


def style_weights(settings: Settings) -> Finding:
    """Whether the network that renders is here, and answers as it should."""
    from models.errors import WeightsError
    from models.style import perceptual

    try:
        network = perceptual.shipped()
    except WeightsError as e:
        return failure(str(e))
    return ok(f"{network.digest[:12]} answers as it should; {settings.style_workers} processes render")


def calibration(settings: Settings) -> Finding:
    """Whether thresholds were measured for this very model."""
    from app.inference import calibration as shipped
    from app.inference.encoders import wanted_model

    points = shipped.load(settings.model, wanted_model(settings), settings.home)
    whose = f"of this home's own photos ({points.sample})" if points.own else "as shipped"
    return ok(f"{len(points.verification)} thresholds for 1:1, {len(points.identification)} for 1:K, {whose}")


def templates(settings: Settings) -> Finding:
    """Whether what is enrolled was made by this model, and opens with the master key at hand."""
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import DatabaseError

    from app.errors import StoreAway
    from app.inference.encoders import wanted_model
    from app.store.engine import is_postgres
    from app.store.opening import vault_as_it_is
    from app.store.unit_of_work import SqlStore

    url = settings.sqlalchemy_url()
    there = is_postgres(url) or Path(make_url(url).database or "").exists()
    if not there:
        return ok("nobody is enrolled yet")
    try:
        vault = vault_as_it_is(settings)
    except StoreAway:
        return warning("the database or the keys of people cannot be reached: see above")
    except DatabaseError:
        return warning("the schema is not up to date: `onelook migrate`, and check again")
    if vault is None:
        return ok("nobody is enrolled yet, or by an earlier version: the next start seals those templates anew")
    wanted = wanted_model(settings)
    store = SqlStore(url, vault)
    try:
        with store.read() as uow:
            served, models = uow.models.served(), uow.templates.models()
            active = served.model_id if served is not None and models else min(models, default=wanted)
            every, of_model = uow.templates.count(), sum(1 for _ in uow.templates.of_model(active))
    except StoreAway:
        return warning("the database cannot be reached: see above")
    except DatabaseError:
        return warning("the schema is not up to date: `onelook migrate`, and check again")
    finally:
        store.close()
    if served is None and len(models) > 1:
        return failure(f"they are of {', '.join(sorted(models))}: restore a backup from before they were mixed")
    if of_model < every:
        others = every - of_model
        text = f"{others} of {every} are not of {active}, which is served, and match nobody: enrol those persons anew"
        return failure(text) if not of_model else warning(text)
    return ok(f"{every}, each of them opens") if active == wanted else _another(active, wanted)


def _another(active: str, wanted: str) -> Finding:
    """What is to be said of a home that is served by another model than the settings name."""
    from models.errors import WeightsError
    from models.weights import named

    text = f"{wanted} is wanted, and {active} is served until re-embedding"
    try:
        named(active)
    except WeightsError as e:
        return failure(f"{text}; {e}, then run `onelook reembed`")
    return warning(f"{text}: run `onelook reembed`")


def _processor_flags() -> tuple[str, ...]:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ()
    line = next((line for line in text.splitlines() if line.startswith("flags")), "")
    return tuple(flag for flag in FLAGS if flag in line.split())


def _pinned_torch() -> str | None:
    """The version that the distribution asks for, or that of the source tree it is run from."""
    try:
        needed = metadata.requires("onelook") or []
    except metadata.PackageNotFoundError:
        project = Path(__file__).parents[2] / "pyproject.toml"
        needed = (
            tomllib.loads(project.read_text(encoding="utf-8"))["project"]["dependencies"] if project.exists() else []
        )
    return next((one.partition("==")[2] for one in needed if one.startswith("torch==")), None)
