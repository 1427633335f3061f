"""Where a training stands, in one file that replaces the one before: a stop at any moment loses some steps at most."""

import json
import os
from pathlib import Path
from typing import Any

import torch


def save_checkpoint(file: Path, state: dict[str, Any]) -> None:
    """Writes tensors, numbers, texts, lists and dictionaries; by way of a file beside it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f".{file.name}.part")
    with partial.open("wb") as out:
        torch.save(state, out)
        out.flush()
        os.fsync(out.fileno())
    partial.replace(file)


def load_checkpoint(file: Path, recipe: dict[str, Any]) -> dict[str, Any] | None:
    """The state, or None where there is no file. Raises ValueError for a file that is damaged or of another recipe."""
    if not file.exists():
        return None
    try:
        state: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
        same = json.dumps(state["recipe"], sort_keys=True) == json.dumps(recipe, sort_keys=True)
    except Exception as e:  # whatever half a file makes of itself, the way out is the same
        raise ValueError(f"{file} cannot be read ({type(e).__name__}): delete it, or name another folder") from e
    if not same:
        raise ValueError(f"{file} was made with other settings: name another folder, or the same settings")
    return state
