"""A person's folder -> one person with a template for each photo that was accepted."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from app.cli.home import photo
from app.cli.journal import NotingIdentifiers, photo_digest
from app.cli.photo_folder import PersonFolder
from app.cli.plainly import sentence
from app.domain import particulars
from app.errors import Corrupt, InvalidField, Misconfigured, OnelookError
from app.ports import PersonFilter
from app.settings import Settings

if TYPE_CHECKING:
    from app.routes.desk import Desk

Done = Literal["enrolled", "template", "before", "refused"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one photo: somebody new, one more template, done by an earlier run, or refused and why."""

    photo: Path
    done: Done
    code: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class FolderEnrolment:
    """Enrols folders of persons, several at once in several threads.

    finished: digests of the photos that are stored already. `stop`, once set, ends it before the next photo.
    """

    desk: "Desk"
    identifiers: NotingIdentifiers
    settings: Settings
    finished: set[str]
    stop: threading.Event = field(default_factory=threading.Event)

    def enrol(self, folder: PersonFolder, advance: Callable[[], object]) -> list[Outcome]:
        """The outcome of each photo, in order; raises only what ends everything: Corrupt, Misconfigured."""
        outcomes = []
        for outcome in self._outcomes(folder):
            outcomes.append(outcome)
            advance()
            if self.stop.is_set():
                break
        return outcomes

    def _outcomes(self, folder: PersonFolder) -> Iterator[Outcome]:
        person_id: str | None = None
        for path in folder.photos:
            try:
                content = photo(path, self.settings)
                digest = photo_digest(folder.name, content)
                if digest in self.finished:
                    yield Outcome(path, "before")
                    continue
                person_id = person_id or self._known(folder.name)
                with self.identifiers.working_on(digest):
                    if person_id is None:
                        person_id = self._enrol(content, folder.name)
                        done: Done = "enrolled"
                    else:
                        self.desk.add_template(content, person_id)
                        done = "template"
                self.finished.add(digest)
                yield Outcome(path, done)
            except (Corrupt, Misconfigured):
                raise
            except OnelookError as e:
                yield Outcome(path, "refused", _code(e), sentence(e))
            except OSError as e:
                yield Outcome(path, "refused", "unreadable_file", f"The file cannot be read: {e.strerror}.")

    def _enrol(self, content: bytes, folder: str) -> str:
        from app.actions.enroll import Enrolment

        name = folder.replace("_", " ")
        return self.desk.enroll(content, Enrolment(name=name, external_id=folder)).person.id

    def _known(self, folder: str) -> str | None:
        """The id of the person whom an earlier photo or run enrolled. Raises InvalidField for a name of no use."""
        external_id = particulars.line("folder", folder)
        which = PersonFilter(external_id=external_id)
        people = self.desk.list_people(which, gallery=None, after=None, limit=2)
        if len(people) > 1:
            raise InvalidField("folder", f"Several persons have the external_id {external_id}: which one is meant?")
        return people[0].id if people else None


def _code(error: OnelookError) -> str:
    from app.routes.problems import row_of

    return row_of(type(error))[1]
