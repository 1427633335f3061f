"""The command in this process on parts in memory, and as a child process on the real ones."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from PIL import Image, ImageEnhance
from typer.testing import CliRunner, Result

from app.assembly.parts import Parts
from app.cli import app
from app.domain.operating_point import Calibration
from models.training.split import is_for_validation

COMMAND = (sys.executable, "-m", "app.cli")
SAMPLES = Path(__file__).parents[3] / "samples"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home that the settings name; nothing is there yet."""
    folder = tmp_path / "home"
    monkeypatch.setenv("ONELOOK_HOME", str(folder))
    return folder


@pytest.fixture
def onelook(home: Path) -> Callable[..., Result]:
    """Runs the command in this process."""
    return lambda *words: CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture
def in_memory(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> Parts:
    """Has the verbs work on the parts of the test instead of the real ones."""
    monkeypatch.setattr("app.assembly.parts.build_parts", lambda settings: parts)
    return parts


@pytest.fixture
def in_memory_likely(in_memory: Parts, likely: Calibration, monkeypatch: pytest.MonkeyPatch) -> Parts:
    """The same with a calibration that says how likely a match is."""
    parts = replace(in_memory, calibration=likely)
    monkeypatch.setattr("app.assembly.parts.build_parts", lambda settings: parts)
    return parts


@pytest.fixture
def start(home: Path, root: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts the command as a child process, with settings by name; it is gone when the test ends."""
    made: list[subprocess.Popen[str]] = []

    def begin(*words: object, **settings: str) -> subprocess.Popen[str]:
        own = {**os.environ, **{f"ONELOOK_{name.upper()}": value for name, value in settings.items()}}
        command = [*COMMAND, *map(str, words)]
        pipe = subprocess.PIPE
        made.append(subprocess.Popen(command, env=own, cwd=root, stdout=pipe, stderr=pipe, text=True))
        return made[-1]

    yield begin
    for process in made:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate of our own for 127.0.0.1, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    return make_certificate(folder, timedelta(days=365))


@pytest.fixture(scope="session")
def ended_certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """One whose time is over."""
    return make_certificate(tmp_path_factory.mktemp("tls"), timedelta(days=-1))


def make_certificate(folder: Path, lasts: timedelta) -> tuple[Path, Path]:
    secret = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, secret.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=10))
        .not_valid_after(now + lasts)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(secret, hashes.SHA256())
    )
    cert, key = folder / "cert.pem", folder / "key.pem"
    cert.write_bytes(made.public_bytes(Encoding.PEM))
    key.touch(0o600)
    key.write_bytes(secret.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return cert, key


@pytest.fixture
def sample_people(tmp_path: Path, samples: Path) -> Path:
    """A tiny LFW of the sample photos: two people with two photos, of whom one is enrolled in an open set, and one."""
    photos = {
        "Barack_Obama": ("obama-2009.jpg", "obama-2012.jpg"),
        "Eileen_Collins": ("collins.jpg", "collins.jpg"),
        "Grace_Hopper": ("hopper.jpg",),
    }
    folder = tmp_path / "people"
    for name, files in photos.items():
        (folder / name).mkdir(parents=True)
        for number, file in enumerate(files, 1):
            (folder / name / f"{name}_{number:04d}.jpg").write_bytes((samples / file).read_bytes())
    lines = [f"{name}\t{len(files)}\n" for name, files in photos.items()]
    (folder / "people.txt").write_text("".join(["3\n", *lines]))
    (folder / "peopleDevTest.txt").write_text("".join(["1\n", lines[0]]))
    genuine = [f"{name}\t1\t2\n" for name in ("Barack_Obama", "Eileen_Collins")]
    impostors = [f"{name}\t1\tGrace_Hopper\t1\n" for name in ("Barack_Obama", "Eileen_Collins")]
    pairs = [line for both in zip(genuine, impostors, strict=True) for line in both]
    (folder / "pairs.txt").write_text("".join(["2\t1\n", *pairs]))
    return folder


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four identities of two photos each, two of them for validation by the rule of the split."""
    folder = tmp_path_factory.mktemp("people")
    names = [f"somebody {n}" for n in range(60)]
    apart = [n for n in names if is_for_validation(n)][:2]
    trained = [n for n in names if not is_for_validation(n)][:2]
    photos = ("collins.jpg", "hopper.jpg")
    for name, photo in zip(apart + trained, photos * 2, strict=True):
        (folder / name).mkdir()
        with Image.open(SAMPLES / photo) as image:
            image.thumbnail((300, 300))
            for number, light in enumerate((0.8, 1.1)):
                ImageEnhance.Brightness(image.convert("RGB")).enhance(light).save(folder / name / f"{number}.jpg")
    return folder
