"""What a figure was measured on."""

import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.service import REPOSITORY

# Those that decide which precision is fast.
TELLING_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile", "amx_bf16", "amx_int8")


def machine() -> dict[str, Any]:
    """Processor, cores, versions, commit, and how busy the machine was before anything was measured."""
    cpu = _cpu_facts()
    return {
        "processor": cpu.get("model name", platform.processor()),
        "cores": len(os.sched_getaffinity(0)),
        "flags": [flag for flag in TELLING_FLAGS if flag in cpu.get("flags", "").split()],
        "python": platform.python_version(),
        "commit": _commit(),
        "load_before": round(os.getloadavg()[0], 2),
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def describe(facts: dict[str, Any], info: dict[str, Any] | None = None) -> str:
    """One paragraph; `info`: what GET /info of the measured service said."""
    text = (
        f"{facts['cores']} cores of {facts['processor']} ({' '.join(facts['flags'])}), "
        f"Python {facts['python']}, commit {facts['commit']}, {facts['at']}, "
        f"load before the run {facts['load_before']}."
    )
    if info is not None:
        text += (
            f" {info['model_id']} on {info['device']} in {info['precision']} ({info['precision_why']}), "
            f"{'with' if info['flip_averaging'] else 'without'} flip averaging, {info['lanes']} lanes, "
            f"at most {info['batch_faces']} pictures a batch."
        )
    return text


def _cpu_facts() -> dict[str, str]:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").split("\n\n")[0].splitlines()
    except OSError:
        return {}
    return {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}


def _commit() -> str:
    def git(*words: str) -> str:
        return subprocess.run(
            ("git", *words), cwd=REPOSITORY, capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        return git("rev-parse", "--short", "HEAD") + (" with changes" if git("status", "--porcelain") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
