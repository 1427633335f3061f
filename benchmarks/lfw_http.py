"""How well the running service tells people apart: the open set of LFW, photo by photo over HTTP.

    python -m benchmarks.lfw_http [--data ../shared/data/lfw]

158 people with at least ten photos are enrolled by their first; their 4,166 other photos and 1,000 strangers are
identified. First only those outside View 1's test part, who set no threshold, are enrolled and searched; then all.
"""

import argparse
import json
import sys
import tempfile
import urllib.error
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import describe, machine
from benchmarks.report import report, table
from benchmarks.service import Service
from models.measure.gallery import OpenSet
from models.measure.intervals import wilson
from models.measure.lfw import OpenSetPhotos, person_of, read_protocol
from models.measure.sample import NO_FACE

CLIENTS = 4
CANDIDATES = 2  # the best and the second: own and rival
FPIR_TARGETS = (0.1, 0.01)
SEED = 20071009


@dataclass(frozen=True, slots=True)
class Answer:
    """What one photo was answered: (person, similarity) of the candidates, closest first, and whom it was taken for."""

    candidates: tuple[tuple[str, float], ...]
    recognized: str | None
    refusal: str | None
    point: str | None


def main() -> None:
    """Measures, and reports."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data/lfw"))
    data = parser.parse_args().data
    facts, protocol = machine(), read_protocol(data)
    everybody, outside = protocol.open_set(), protocol.open_set(protocol.outside())
    with tempfile.TemporaryDirectory() as folder, Service(Path(folder) / "home") as service:
        info = service.get("/info")
        sections = {}
        for name, photos in (("people outside View 1's test part", outside), ("everybody", everybody)):
            print(f"{name}: {len(photos.enrolled)} enrolled, {len(photos.probes)} probes", file=sys.stderr)
            sections[name] = measure(service, data, photos)
    result = {"machine": facts, "info": info, "sections": sections}
    report("lfw_http", result, as_text(result))


def measure(service: Service, data: Path, photos: OpenSetPhotos) -> dict[str, Any]:
    """Enrols those who are not enrolled yet, and identifies the rest."""
    held = _held(service)
    refusals = [enroll(service, data, path) for path in photos.enrolled if person_of(path) not in held]
    with ThreadPoolExecutor(CLIENTS) as pool:
        probes = list(pool.map(lambda path: identify(service, data, path), photos.probes))
        strangers = list(pool.map(lambda path: identify(service, data, path), photos.strangers))
    answers = open_set_of(photos, probes, strangers)
    return {
        "enrolled": len(_held(service)),
        "enrolments_asked": len(photos.enrolled),
        "enrolments_refused": [refusal for refusal in refusals if refusal],
        "probes": len(probes),
        "probes_refused": _refusals(probes),
        "strangers": len(strangers),
        "strangers_refused": _refusals(strangers),
        "points": sorted({one.point for one in (*probes, *strangers) if one.point}),
        "rank_1": _share(int(answers.first().sum()), len(probes), answers.rank_one_interval(_generator(1))),
        "at_fpir": [at_fpir(answers, target) for target in FPIR_TARGETS],
        "served": served(photos, probes, strangers),
    }


def enroll(service: Service, data: Path, path: str) -> str | None:
    """Enrols the person of that photo; what was against it, or None."""
    try:
        person = person_of(path)
        service.post_picture("/enroll", (data / path).read_bytes(), name=person.replace("_", " "), external_id=person)
    except urllib.error.HTTPError as e:
        return f"{path}: {json.loads(e.read())['code']}"
    return None


def identify(service: Service, data: Path, path: str) -> Answer:
    """Whom the service takes that photo for."""
    try:
        body = service.post_picture("/identify", (data / path).read_bytes(), top_k=str(CANDIDATES))
    except urllib.error.HTTPError as e:
        problem = json.loads(e.read())
        if e.code != 422:
            raise RuntimeError(f"{path}: {e.code} {problem}") from e
        return Answer((), None, problem["code"], None)
    candidates = tuple((one["person"]["external_id"], one["similarity"]) for one in body["candidates"])
    person, point = body["person"], body["operating_point"]
    named = f"{point['name']} ({point['support']}), threshold {body['threshold']:.4f}"
    return Answer(candidates, person and person["external_id"], None, named)


def open_set_of(photos: OpenSetPhotos, probes: Sequence[Answer], strangers: Sequence[Answer]) -> OpenSet:
    """The answers in the form that the statistics are written for; a refused photo is below every threshold."""
    people = {person_of(path): number for number, path in enumerate(photos.enrolled)}
    own, rival = [], []
    for path, answer in zip(photos.probes, probes, strict=True):
        found = dict(answer.candidates)
        own.append(found.pop(person_of(path), NO_FACE))
        rival.append(max(found.values(), default=NO_FACE))
    return OpenSet(
        own=np.array(own, np.float64),
        rival=np.array(rival, np.float64),
        probe=np.array([people[person_of(path)] for path in photos.probes]),
        closest=np.array([max(dict(a.candidates).values(), default=NO_FACE) for a in strangers], np.float64),
        stranger=np.arange(len(strangers)),
        lookalike=np.array([people[a.candidates[0][0]] if a.candidates else -1 for a in strangers]),
        people=len(people),
    )


def at_fpir(answers: OpenSet, target: float) -> dict[str, Any]:
    """FNIR with the threshold set on these very strangers."""
    threshold = answers.threshold_for(target)
    missed = int(answers.missed(threshold).sum())
    false = int((answers.closest >= threshold).sum())
    return {
        "fpir": target,
        "threshold": threshold,
        "false": false,
        "fnir": _share(missed, len(answers.own), answers.fnir_interval(threshold, _generator(2))),
    }


def served(photos: OpenSetPhotos, probes: Sequence[Answer], strangers: Sequence[Answer]) -> dict[str, Any]:
    """The rates at the threshold that is served, from the decisions alone."""
    pairs = list(zip(photos.probes, probes, strict=True))
    missed = np.array([answer.recognized != person_of(path) for path, answer in pairs])
    mistaken = sum(answer.recognized not in (None, person_of(path)) for path, answer in pairs)
    false = sum(answer.recognized is not None for answer in strangers)
    people = {person_of(path): number for number, path in enumerate(photos.enrolled)}
    person = np.array([people[person_of(path)] for path in photos.probes])
    # Only what `missed` and the people say is used of it: at a threshold between 0 and 1, a miss is a 0.
    decided = OpenSet(
        1.0 - missed, np.full(len(missed), -1.0), person, np.zeros(0), person[:0], person[:0], len(people)
    )
    return {
        "fpir": _share(false, len(strangers), wilson(false, len(strangers))),
        "fnir": _share(int(missed.sum()), len(missed), decided.fnir_interval(0.5, _generator(3))),
        "taken_for_another": mistaken,
    }


def as_text(result: dict[str, Any]) -> str:
    """The table in Markdown."""
    rows: list[tuple[object, ...]] = []
    notes = []
    for name, one in result["sections"].items():
        rows.append((name, "rank-1", *_cells(one["rank_1"]), f"{one['enrolled']} enrolled"))
        for at in one["at_fpir"]:
            note = f"threshold {at['threshold']:.4f}, {at['false']} of {one['strangers']} strangers recognized"
            rows.append((name, f"FNIR at FPIR {at['fpir']:.0%}", *_cells(at["fnir"]), note))
        at_point = f"at {', '.join(one['points'])}"
        rows.append((name, "FPIR as served", *_cells(one["served"]["fpir"]), at_point))
        another = f"{one['served']['taken_for_another']} of them taken for another person"
        rows.append((name, "FNIR as served", *_cells(one["served"]["fnir"]), another))
        accepted = one["enrolments_asked"] - len(one["enrolments_refused"])
        notes.append(
            f"{name}: {accepted} of {one['enrolments_asked']} enrolments accepted; "
            f"probes refused: {one['probes_refused'] or 'none'}; "
            f"strangers refused: {one['strangers_refused'] or 'none'}."
        )
    header = ("among", "measure", "rate", "count", "95 %", "note")
    return "\n\n".join((describe(result["machine"], result["info"]), table(header, rows), *notes))


def _held(service: Service) -> set[str]:
    people: set[str] = set()
    cursor = ""
    while True:
        page = service.get(f"/persons?limit=500{cursor}")
        people.update(person["external_id"] for person in page["items"])
        if page["next_cursor"] is None:
            return people
        cursor = f"&cursor={page['next_cursor']}"


def _refusals(answers: Sequence[Answer]) -> dict[str, int]:
    codes = [answer.refusal for answer in answers if answer.refusal]
    return {code: codes.count(code) for code in sorted(set(codes))}


def _share(count: int, of: int, interval: tuple[float, float]) -> dict[str, Any]:
    return {"rate": count / of, "count": count, "of": of, "interval": interval}


def _cells(share: dict[str, Any]) -> tuple[str, str, str]:
    low, high = share["interval"]
    return f"{share['rate']:.2%}", f"{share['count']} of {share['of']}", f"{low:.2%} .. {high:.2%}"


def _generator(number: int) -> np.random.Generator:
    return np.random.default_rng([SEED, number])


if __name__ == "__main__":
    main()
