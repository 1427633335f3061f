"""What was acknowledged: the truth that every answer is held against."""

import random
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from tests.acceptance.storm.faces import Cast, Drawn, Photographed

# What must not happen; each is counted by one of these names.
FAULTS = ("lost", "stale", "found after erasure", "half-stored", "stored twice", "wrong", "unexpected")
# A request that is still running elsewhere is asked for again after so long.
AGAIN_S = 0.5


@dataclass(eq=False)
class Subject:
    """Somebody whom the storm enrols, and what is known of them. Whoever took them alone may change it."""

    number: int
    face: Drawn | Photographed
    chosen_id: str | None
    id: str | None = None
    templates: dict[str, str] = field(default_factory=dict)
    galleries: set[str] = field(default_factory=set)

    @property
    def external_id(self) -> str:
        """Their own, whatever id they get."""
        return f"storm-{self.number}"

    @property
    def other(self) -> str | None:
        """The id of the template of the other look, if there is one."""
        return next((id_ for id_, look in self.templates.items() if look == "other"), None)


class Ledger:
    """Who is enrolled, who was erased, who never came to be; what was checked, and what was wrong. Thread-safe."""

    def __init__(self, cast: Cast, galleries: Collection[str]) -> None:
        self.cast = cast
        self.galleries = tuple(galleries)
        self._lock = threading.Lock()
        self._numbers = 0
        self.living: list[Subject] = []
        self.erased: list[Subject] = []
        self.absent: list[Subject] = []
        self.undecided: list[str] = []
        self.unproved = 0
        # Whether the database server itself is killed: a proof cannot be searched for, or stored, without one.
        self.may_lose_the_server = False
        self._free_photographed = list(cast.photographed)
        self._later: deque[tuple[float, Callable[..., None]]] = deque()
        self.acts: Counter[str] = Counter()
        self.real_acts = 0
        self.faults: dict[str, list[str]] = {name: [] for name in FAULTS}

    def somebody_new(self, chance: random.Random, *, real: bool) -> Subject:
        """Half of them with an id of our choosing. real: on a photo, if one of those is not enrolled."""
        with self._lock:
            self._numbers += 1
            face = self._free_photographed.pop() if real and self._free_photographed else self.cast.next_person()
            chosen = f"person-{self._numbers}" if chance.random() < 0.5 else None
            return Subject(self._numbers, face, chosen)

    def take(self, chance: random.Random, *, real: bool) -> Subject | None:
        """Somebody living, until `give_back`; None where there is nobody. real: on a photo, or else not."""
        with self._lock:
            fitting = [i for i, one in enumerate(self.living) if one.face.is_real == real]
            return self.living.pop(chance.choice(fitting)) if fitting else None

    def give_back(self, one: Subject) -> None:
        """Living, and known in every detail."""
        with self._lock:
            self.living.append(one)

    def note_erased(self, one: Subject) -> None:
        """Gone for good."""
        with self._lock:
            self.erased.append(one)
            self._release(one)

    def note_absent(self, one: Subject) -> None:
        """Never stored."""
        with self._lock:
            self.absent.append(one)
            self._release(one)

    def somebody_gone(self, chance: random.Random) -> Subject | None:
        """Somebody erased whose face nobody living has, or None."""
        with self._lock:
            gone = [one for one in self.erased[-200:] if not one.face.is_real]
        return chance.choice(gone) if gone else None

    def finish_later(self, work: Callable[..., None]) -> None:
        """Keeps what must be asked for again."""
        with self._lock:
            self._later.append((time.monotonic() + AGAIN_S, work))

    def due(self, *, at_once: bool = False) -> Callable[..., None] | None:
        """Something that was kept, when its time has come."""
        with self._lock:
            if self._later and (at_once or self._later[0][0] <= time.monotonic()):
                return self._later.popleft()[1]
        return None

    @property
    def is_waiting(self) -> bool:
        """Whether anything is to be asked for again."""
        return bool(self._later)

    def count(self, act: str, *, real: bool = False) -> None:
        """One more act whose answers were all checked."""
        with self._lock:
            self.acts[act] += 1
            self.real_acts += real

    def blame(self, fault: str, text: str) -> None:
        """One more fault."""
        with self._lock:
            self.faults[fault].append(text)

    def note_undecided(self, text: str) -> None:
        """An act whose check could not be made."""
        with self._lock:
            self.undecided.append(text)

    def note_unproved(self) -> None:
        """An erasure whose process, or database server, was killed before its search could prove it."""
        with self._lock:
            self.unproved += 1

    @property
    def checked(self) -> int:
        """How many acts were checked."""
        return sum(self.acts.values())

    def _release(self, one: Subject) -> None:
        if isinstance(one.face, Photographed):
            self._free_photographed.append(one.face)
