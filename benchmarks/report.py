"""Where figures go: a JSON file a benchmark, and its table between two markers of docs/benchmarks.md."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.service import REPOSITORY

PAGE = REPOSITORY / "docs" / "benchmarks.md"
RESULTS = REPOSITORY / "benchmarks" / "results"


def report(name: str, result: dict[str, Any], text: str) -> None:
    """Prints the text, writes results/<name>.json, and puts the text between `<!-- name -->` and `<!-- /name -->`."""
    print(text)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    put_between_markers(name, text)


def put_between_markers(name: str, text: str, path: Path = PAGE) -> None:
    """Replaces that part of the page. Raises ValueError where the page lacks the markers."""
    page = path.read_text(encoding="utf-8")
    head, begin, rest = page.partition(f"<!-- {name} -->\n")
    _, end, tail = rest.partition(f"<!-- /{name} -->")
    if not begin or not end:
        raise ValueError(f"{path.name} lacks the markers of {name}")
    path.write_text(f"{head}{begin}{text.strip()}\n{end}{tail}", encoding="utf-8")


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table in Markdown, numbers to the right."""
    line = "| " + " | ".join(header) + " |"
    rule = "|" + "|".join("---" if i == 0 else "---:" for i in range(len(header))) + "|"
    return "\n".join([line, rule, *("| " + " | ".join(map(str, row)) + " |" for row in rows)])


def verdict(name: str, value: float, bar: float, *, at_least: bool = True) -> str:
    """One line: the ratio, its bar, and whether it is kept."""
    kept = value >= bar if at_least else value <= bar
    limit = f"{'at least' if at_least else 'at most'} {bar:g}"
    return f"- {name}: **{value:.2f}** (bar: {limit}; {'kept' if kept else 'MISSED'})"
