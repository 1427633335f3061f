"""What one check of `onelook doctor` found."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Finding:
    """level: `failure` where the service cannot run or is not safe; the text says what to do about it."""

    level: Literal["OK", "warning", "failure"]
    text: str


def ok(text: str) -> Finding:
    """All is well."""
    return Finding("OK", text)


def warning(text: str) -> Finding:
    """It works, and could be better."""
    return Finding("warning", text)


def failure(text: str) -> Finding:
    """It must be mended."""
    return Finding("failure", text)
