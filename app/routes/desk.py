"""What the routes may call: every action, made once at start, and the threads that run them."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import ParamSpec, Protocol, TypeVar, cast

from starlette.requests import Request

from app.actions.add_template import AddTemplate
from app.actions.audit import ListAudit, SignHead, VerifyAudit
from app.actions.authenticate import Authenticate
from app.actions.batches import CancelBatch, FindBatch, ListItems
from app.actions.calibrations import CancelCalibration, RunCalibration
from app.actions.change_person import ChangePerson
from app.actions.detect import Detect
from app.actions.duplicates import FindDuplicates
from app.actions.enroll import Enroll
from app.actions.erase import Erase, FindReceipt
from app.actions.export import Export
from app.actions.galleries import ChangeMembership, ListGalleries, MakeGallery, RemoveGallery
from app.actions.identify import Identify
from app.actions.jobs import CancelJob, ClaimJob, FindJob
from app.actions.keys import ListKeys, MakeKey, RevokeKey
from app.actions.merge import Merge
from app.actions.once import Once
from app.actions.people import FindPerson, ListPeople, ListTemplates
from app.actions.reembed import RunReembedding, SubmitReembedding
from app.actions.remove_template import RemoveTemplate
from app.actions.retain import Retain
from app.actions.run_batch import RunBatch
from app.actions.split import Split
from app.actions.style.cancel import CancelStyle
from app.actions.style.events import StyleEventsAfter
from app.actions.style.find import FindStyle, ListStyle, OpenStyle
from app.actions.style.queue import CountStyle
from app.actions.style.remove import RemoveStyle
from app.actions.style.resume import ResumeStyle
from app.actions.style.submit import SubmitStyle
from app.actions.style.tidy import TidyStyles
from app.actions.submit_batch import SubmitBatch
from app.actions.tidy_batches import TidyBatches
from app.actions.trail import QueuedTrail
from app.actions.undo import Undo
from app.actions.verify import VerifyPair, VerifyPerson
from app.domain.operating_point import Calibration
from app.errors import NotReady
from app.ports import Gallery, Spool, Store
from app.routes.budget import ByteBudget
from app.routes.crew import Crew
from app.routes.limits import KeyLimits
from app.routes.lockout import LockOut
from app.settings import Settings

P = ParamSpec("P")
T = TypeVar("T")
MOST_UPLOADS = 8
MOST_WATCHERS = 64


class ReaderState(Protocol):
    """What is told of the networks."""

    @property
    def model_id(self) -> str:
        """Digest of weights and preprocessing."""
        ...

    def waiting(self) -> int:
        """Pictures that wait to be read."""
        ...


class NetworkFacts(Protocol):
    """What changes with the model that is served."""

    @property
    def model(self) -> str:
        """The encoder's name."""
        ...

    @property
    def flip_averaging(self) -> bool:
        """Whether each face is encoded mirrored too."""
        ...

    @property
    def terms(self) -> str:
        """Under which terms its weights may be used."""
        ...

    @property
    def precision(self) -> str:
        """The number format that it runs in."""
        ...

    @property
    def why(self) -> str:
        """How that was chosen."""
        ...


@dataclass(frozen=True, slots=True)
class About:
    """What /info tells of the parts."""

    version: str
    terms: str
    device: str
    precision: str
    precision_why: str
    lanes: int
    batch_faces: int
    #: Called where it may change while the service runs.
    search: str | Callable[[], str]
    vectors_in_clear: bool = False
    #: Place of each standby that helps -> "ok", or why it does not; called.
    replicas: Callable[[], Mapping[str, str]] = dict
    #: Of the model that is served when it is called; None: it is that of the settings, always.
    networks: Callable[[], NetworkFacts | None] = lambda: None


@dataclass(frozen=True, slots=True)
class Desk:
    """Every action of the service, and what /info and /health tell. Made in the event loop that serves."""

    settings: Settings
    store: Store
    gallery: Gallery
    reader: ReaderState
    about: About
    calibration: Calibration
    wanted_model_id: str
    authenticate: Authenticate
    detect: Detect
    enroll: Enroll
    submit_batch: SubmitBatch
    find_batch: FindBatch
    list_items: ListItems
    cancel_batch: CancelBatch
    claim_batch: ClaimJob
    run_batch: RunBatch
    tidy_batches: TidyBatches
    spool: Spool
    submit_reembedding: SubmitReembedding
    claim_reembedding: ClaimJob
    run_reembedding: RunReembedding
    find_reembedding: FindJob
    cancel_reembedding: CancelJob
    tidy_reembeddings: Callable[[], object]
    submit_calibration: SubmitBatch
    claim_calibration: ClaimJob
    run_calibration: RunCalibration
    find_calibration: FindJob
    cancel_calibration: CancelCalibration
    tidy_calibrations: TidyBatches
    calibration_spool: Spool
    submit_style: SubmitStyle
    find_style: FindStyle
    list_style: ListStyle
    open_style: OpenStyle
    style_events: StyleEventsAfter
    cancel_style: CancelStyle
    resume_style: ResumeStyle
    remove_style: RemoveStyle
    count_style: CountStyle
    tidy_styles: TidyStyles
    add_template: AddTemplate
    remove_template: RemoveTemplate
    verify_person: VerifyPerson
    verify_pair: VerifyPair
    identify: Identify
    find_person: FindPerson
    list_people: ListPeople
    list_templates: ListTemplates
    change_person: ChangePerson
    erase: Erase
    find_receipt: FindReceipt
    make_gallery: MakeGallery
    list_galleries: ListGalleries
    remove_gallery: RemoveGallery
    change_membership: ChangeMembership
    merge: Merge
    split: Split
    undo: Undo
    find_duplicates: FindDuplicates
    export: Export
    once: Once
    make_key: MakeKey
    list_keys: ListKeys
    revoke_key: RevokeKey
    trail: QueuedTrail
    list_audit: ListAudit
    verify_audit: VerifyAudit
    sign_head: SignHead
    retain: Retain
    key_limits: KeyLimits
    lock_out: LockOut
    bodies: ByteBudget
    pictures: Crew
    # Of style jobs that are on their way: apart from those of doors, and larger.
    style_bodies: ByteBudget
    # Each kind of work has threads of its own, so that none of them keeps keys from being checked.
    rows: Crew = field(default_factory=lambda: Crew(16))
    # Writers wait for each other: there is one write lock.
    writes: Crew = field(default_factory=lambda: Crew(16, refusal="Too many changes are waiting: try again soon."))
    # What waits is bounded by `bodies`, and no parse waits for anything but the processor.
    parses: Crew = field(default_factory=lambda: Crew(4))
    # Each goes over the whole audit trail.
    checks: Crew = field(default_factory=lambda: Crew(1, refusal="The audit trail is being checked: try again soon."))
    # Batches that are on their way, each into a file.
    uploads: ByteBudget = field(default_factory=lambda: ByteBudget(MOST_UPLOADS))
    spooling: Crew = field(default_factory=lambda: Crew(MOST_UPLOADS))
    # Looks at files of style jobs, which are held by `style_bodies` meanwhile.
    renders: Crew = field(default_factory=lambda: Crew(2))
    # Whoever watches renders, each looking into the rows a few times a second.
    style_watchers: ByteBudget = field(default_factory=lambda: ByteBudget(MOST_WATCHERS))
    watches: Crew = field(default_factory=lambda: Crew(2))
    # Set when a batch waits to be begun.
    batches_due: threading.Event = field(default_factory=threading.Event)
    # The same for other kinds.
    reembeddings_due: threading.Event = field(default_factory=threading.Event)
    calibrations_due: threading.Event = field(default_factory=threading.Event)

    async def on_rows(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Runs work that only reads rows, in a thread."""
        return await self.rows.run(work, *args, **kwargs)

    async def on_writes(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Runs work that writes rows, in a thread of a crew of its own. Raises Busy when all of it is taken."""
        return await self.writes.run(work, *args, **kwargs)

    async def on_parses(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Runs work that takes a large body apart, in a thread of a small crew, after waiting for one."""
        return await self.parses.run(work, *args, **kwargs)

    async def on_spool(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Runs work on the files of batches, in a thread of a small crew, after waiting for one."""
        return await self.spooling.run(work, *args, **kwargs)

    async def on_renders(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Runs work that looks at the files of a style job, in a thread of a small crew, after waiting for one."""
        return await self.renders.run(work, *args, **kwargs)

    async def on_watches(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Runs work that reads rows for whoever watches a render, in a thread of a small crew, after waiting."""
        return await self.watches.run(work, *args, **kwargs)

    async def on_pictures(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Runs work that reads pictures, in a thread of a larger crew. Raises Busy when all of it is taken."""
        # Waiting here would hold whole pictures in memory without a bound.
        return await self.pictures.run(work, *args, **kwargs)

    def close(self) -> None:
        """Lets every idle thread end."""
        crews = (self.pictures, self.rows, self.writes, self.parses, self.spooling, self.checks)
        for crew in (*crews, self.renders, self.watches):
            crew.close()


def desk_of(request: Request) -> Desk:
    """The desk of this service. Raises NotReady before it is made."""
    desk = request.app.state.desk
    if desk is None:
        raise NotReady
    return cast(Desk, desk)
