"""What every test stands on: a clean environment, the sample photos, and a loud word where research data is missing."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
RESEARCH = ROOT.parent / "shared" / "data"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skips what needs the research photos, and a GPU, where there is none."""
    skips = {}
    if not RESEARCH.is_dir():
        skips["research"] = pytest.mark.skip(reason="RESEARCH DATA ABSENT: ../shared/data is not there")
    if not _has_gpu():
        skips["gpu"] = pytest.mark.skip(reason="NO GPU")
    for item in items:
        for marker, skip in skips.items():
            if marker in item.keywords:
                item.add_marker(skip)


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.upper().startswith("ONELOOK_")]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def samples() -> Path:
    """Folder of the public-domain photos: collins.jpg, hopper.jpg, and one person twice, obama-2009 and obama-2012."""
    return ROOT / "samples"


@pytest.fixture(scope="session")
def root() -> Path:
    """Top of the repository."""
    return ROOT


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()
