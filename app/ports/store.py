"""Transactions over all of these rows."""

from contextlib import AbstractContextManager
from typing import Protocol

from app.ports.jobs import Batches, Idempotency, Jobs
from app.ports.models import Crops, Models
from app.ports.people import Changes, Galleries, IdentityChanges, People, Templates
from app.ports.style import StyleJobs
from app.ports.trail import Audit, Erasures, Keys, Sightings


class UnitOfWork(Protocol):
    """One transaction. Leaving it without `commit()` rolls back; after `commit()` every write is on disk."""

    people: People
    galleries: Galleries
    templates: Templates
    changes: Changes
    keys: Keys
    erasures: Erasures
    jobs: Jobs
    batches: Batches
    idempotency: Idempotency
    audit: Audit
    sightings: Sightings
    identities: IdentityChanges
    models: Models
    crops: Crops
    style_jobs: StyleJobs

    def commit(self) -> int:
        """Commits, durably; the highest seq of the change feed at that moment."""
        ...


class Store(Protocol):
    """Where units of work begin."""

    def write(self) -> AbstractContextManager[UnitOfWork]:
        """A transaction that may write; writers wait for each other."""
        ...

    def read(self) -> AbstractContextManager[UnitOfWork]:
        """A kept connection for reading; each query sees what is committed at that moment."""
        ...
