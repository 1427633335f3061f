"""What the actions need from outside, as Protocols. Adapters fit them without inheriting from them."""

from app.ports.faces import Clock, FaceReader, Identifiers, Wanted
from app.ports.jobs import Batches, Draft, Idempotency, Jobs, Spool
from app.ports.models import Crops, Models
from app.ports.people import Changes, Galleries, IdentityChanges, People, PersonFilter, Templates
from app.ports.search import Gallery, Hit, VectorIndex
from app.ports.store import Store, UnitOfWork
from app.ports.style import Checked, Rendered, Renderer, Shown, StyleFiles, StyleJobs
from app.ports.trail import Audit, Erasures, Keys, Sightings, Trail

__all__ = [
    "Audit",
    "Batches",
    "Changes",
    "Checked",
    "Clock",
    "Crops",
    "Draft",
    "Erasures",
    "FaceReader",
    "Galleries",
    "Gallery",
    "Hit",
    "Idempotency",
    "Identifiers",
    "IdentityChanges",
    "Jobs",
    "Keys",
    "Models",
    "People",
    "PersonFilter",
    "Rendered",
    "Renderer",
    "Shown",
    "Sightings",
    "Spool",
    "Store",
    "StyleFiles",
    "StyleJobs",
    "Templates",
    "Trail",
    "UnitOfWork",
    "VectorIndex",
    "Wanted",
]
