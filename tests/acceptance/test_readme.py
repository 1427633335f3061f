"""README's first session, run to the letter against the real service."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

BLOCK = re.compile(r"```(sh|json)\n(.*?)```", re.S)
RESTART = "Stop the service with Ctrl-C and start it again"


def session(readme: str) -> Iterator[tuple[str, str]]:
    """The blocks of the first session in order: (sh, commands), (json, the answer shown), (restart, '')."""
    text = readme[readme.index("## A first session") : readme.index("### Now you")]
    for paragraph in re.split(f"(?={RESTART})", text):
        if paragraph.startswith(RESTART):
            yield "restart", ""
        yield from BLOCK.findall(paragraph)


def holds(shown: Any, said: Any) -> bool:
    """Whether the answer says everything that README shows; "..." stands for anything."""
    if shown == "...":
        return said is not None
    if isinstance(shown, dict):
        return isinstance(said, dict) and all(name in said and holds(shown[name], said[name]) for name in shown)
    return bool(shown == said)


@pytest.mark.slow
def test_the_first_session_goes_as_readme_shows_it(server: Any, root: Path, tmp_path: Path) -> None:
    """The service as `make run` starts it, but for its port; the reader's folder holds `samples` and `var`."""
    folder = tmp_path / "reader"
    shutil.copytree(root / "samples", folder / "samples")
    (folder / "var").symlink_to(server.home)
    setup, said, compared = "", "", 0
    for kind, content in session((root / "README.md").read_text(encoding="utf-8")):
        if kind == "restart":
            server.stop()
            server.start()
            setup = setup[: setup.index("URL=")] + f"URL={server.url}\n" + setup[setup.index("KEY=") :]
        elif kind == "sh" and "URL=" in content:
            setup = content.replace("http://127.0.0.1:8000", server.url)
        elif kind == "sh":
            run = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", setup + content],
                cwd=folder,
                capture_output=True,
                text=True,
                timeout=60,
            )
            assert run.returncode == 0, run.stderr
            said = run.stdout
        else:
            assert holds(json.loads(content), json.loads(said)), f"README shows {content}, the service said {said}"
            compared += 1
    assert compared >= 6
