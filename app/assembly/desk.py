"""Every action, made once on the parts."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from app import ports
from app.actions.add_template import AddTemplate
from app.actions.audit import ListAudit, SignHead, VerifyAudit
from app.actions.authenticate import Authenticate
from app.actions.batch_item import EnrollItem
from app.actions.batches import CancelBatch, FindBatch, ListItems
from app.actions.calibrate import Calibrate
from app.actions.calibrations import CancelCalibration, RunCalibration, find_calibration, forget_photos
from app.actions.change_person import ChangePerson
from app.actions.detect import Detect
from app.actions.duplicates import FindDuplicates
from app.actions.enroll import Enroll
from app.actions.erase import Erase, FindReceipt
from app.actions.export import Export
from app.actions.galleries import ChangeMembership, ListGalleries, MakeGallery, RemoveGallery
from app.actions.identify import Identify
from app.actions.jobs import CancelJob, ClaimJob, FindJob, tidy_jobs
from app.actions.keys import ListKeys, MakeKey, RevokeKey
from app.actions.merge import Merge
from app.actions.once import Once
from app.actions.people import FindPerson, ListPeople, ListTemplates
from app.actions.reembed import RunReembedding, SubmitReembedding, give_up_next, tidy_models
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
from app.actions.tidy_batches import TidyBatches, let_file_go
from app.actions.trail import QueuedTrail
from app.actions.undo import Undo
from app.actions.verify import VerifyPair, VerifyPerson
from app.assembly.parts import Parts
from app.assembly.style import style_files, style_kept
from app.domain.actor import SERVICE
from app.domain.audit import Entry
from app.domain.face import Vector
from app.domain.job import CALIBRATION, REEMBEDDING
from app.inference import calibration
from app.routes.budget import ByteBudget
from app.routes.crew import Crew
from app.routes.desk import Desk
from app.routes.limits import KeyLimits
from app.routes.lockout import LockOut
from app.routes.log import Log
from app.routes.problems import told
from app.routes.remembered import GOOD_KEYS, Remembered
from app.settings import Settings
from app.store.files.batch_file import Limits
from app.store.files.spool import FileSpool

# Templates that a request for duplicates compares at most: their time grows with the square of it, to some two minutes.
MOST_COMPARED = 200_000
# After a cut-over a search elsewhere may be under way among the vectors in clear of the model before.
CLEAR_AFTER_S = 5.0
# Of the largest style jobs, how many may be on their way at once.
MOST_STYLE_BODIES = 4


def make_desk(settings: Settings, parts: Parts, log: Log, shared: Path | None = None) -> Desk:
    """Every action on those parts. shared: as in `create_app`."""
    store, gallery, reader, points = parts.store, parts.gallery, parts.reader, parts.calibration
    clock, ids, floor = parts.clock, parts.identifiers, settings.min_enroll_quality
    wanted = parts.wanted_model_id or reader.model_id
    trail = QueuedTrail(store, clock, log.warning)
    common = (store, gallery, reader, points, clock, ids, floor, log.warning, trail, settings.keep_crops)
    enroll, add_template = Enroll(*common), AddTemplate(*common)
    limits = Limits(settings.max_batch_items, settings.max_image_bytes, settings.max_batch_bytes)
    spool, labelled = FileSpool(settings.home / "batches", limits), FileSpool(settings.home / "calibrations", limits)
    kept = timedelta(hours=settings.batch_kept_hours)
    tidy_batches = TidyBatches(store, spool, clock, kept, log.warning)
    enroll_item = EnrollItem(store, enroll, add_template, told, log.warning)
    tidy_calibrations = TidyBatches(store, labelled, clock, kept, log.warning, CALIBRATION, forget_photos)

    styles, styles_kept = style_files(settings), style_kept(settings)
    submit_style = SubmitStyle(store, styles, parts.renderer, ids, styles_kept, settings.style_queue)

    def measure(faces: Sequence[Vector | None], labels: Sequence[str], name: str, model_id: str) -> dict[str, Any]:
        return asdict(Calibrate(store, model_id, partial(calibration.keep, settings.home), clock)(faces, labels, name))

    def blank_files() -> None:
        tidy_batches.blank_erased()
        tidy_calibrations.blank_erased()

    erase = Erase(store, gallery, clock, ids, log.warning, blank_files, styles)
    return Desk(
        settings=settings,
        trail=trail,
        list_audit=ListAudit(store),
        verify_audit=VerifyAudit(store),
        sign_head=SignHead(store),
        retain=Retain(store, erase, clock, settings.retention_unseen_days, settings.retention_audit_days),
        store=store,
        gallery=gallery,
        reader=reader,
        about=parts.about,
        calibration=points,
        wanted_model_id=wanted,
        authenticate=Authenticate(store, clock),
        detect=Detect(reader),
        enroll=enroll,
        submit_batch=SubmitBatch(store, spool, clock, ids, kept),
        find_batch=FindBatch(store, clock),
        list_items=ListItems(store),
        cancel_batch=CancelBatch(store, spool, clock, kept),
        claim_batch=ClaimJob(store, clock, ids),
        run_batch=RunBatch(store, enroll_item, told, clock, kept, reader.waiting, partial(let_file_go, store, spool)),
        tidy_batches=tidy_batches,
        spool=spool,
        submit_reembedding=SubmitReembedding(store, clock, ids, gallery, wanted, kept, log.warning),
        claim_reembedding=ClaimJob(store, clock, ids, REEMBEDDING),
        run_reembedding=RunReembedding(
            *(store, reader, gallery, clock, kept, told, reader.waiting, log.warning),
            clear_after_s=CLEAR_AFTER_S if settings.search == "pgvector" else 0.0,
        ),
        find_reembedding=FindJob(store, clock, REEMBEDDING),
        cancel_reembedding=CancelJob(store, clock, REEMBEDDING, kept, give_up_next),
        tidy_reembeddings=partial(_tidy_reembeddings, store, clock, kept, log.warning),
        submit_calibration=SubmitBatch(store, labelled, clock, ids, kept, CALIBRATION),
        claim_calibration=ClaimJob(store, clock, ids, CALIBRATION),
        run_calibration=RunCalibration(
            *(store, reader, labelled, clock, kept, told, measure, reader.waiting),
            ended=partial(let_file_go, store, labelled),
        ),
        find_calibration=find_calibration(store, clock),
        cancel_calibration=CancelCalibration(store, labelled, clock, kept),
        tidy_calibrations=tidy_calibrations,
        calibration_spool=labelled,
        submit_style=submit_style,
        find_style=FindStyle(store),
        list_style=ListStyle(store),
        open_style=OpenStyle(store, styles),
        style_events=StyleEventsAfter(store),
        cancel_style=CancelStyle(store, styles_kept),
        resume_style=ResumeStyle(store, styles, submit_style),
        remove_style=RemoveStyle(store, styles),
        count_style=CountStyle(store, styles),
        tidy_styles=TidyStyles(store, styles, styles_kept, log.warning),
        add_template=add_template,
        remove_template=RemoveTemplate(store, gallery, clock, log.warning),
        verify_person=VerifyPerson(store, gallery, reader, points, clock, floor, trail),
        verify_pair=VerifyPair(gallery, reader, points, floor, clock, trail),
        identify=Identify(store, gallery, reader, points, clock, floor, trail),
        find_person=FindPerson(store),
        list_people=ListPeople(store),
        list_templates=ListTemplates(store),
        change_person=ChangePerson(store, gallery, clock, log.warning),
        erase=erase,
        find_receipt=FindReceipt(store),
        make_gallery=MakeGallery(store, gallery, clock, ids, log.warning),
        list_galleries=ListGalleries(store, gallery, points),
        remove_gallery=RemoveGallery(store, gallery, clock, log.warning),
        change_membership=ChangeMembership(store, gallery, clock, log.warning),
        merge=Merge(store, gallery, clock, ids, log.warning),
        split=Split(store, gallery, clock, ids, log.warning),
        undo=Undo(store, gallery, clock, log.warning),
        find_duplicates=FindDuplicates(store, points, MOST_COMPARED),
        export=Export(store, clock),
        once=Once(store, clock, ids),
        make_key=MakeKey(store, clock, ids),
        list_keys=ListKeys(store),
        revoke_key=RevokeKey(store, clock),
        key_limits=KeyLimits(settings.key_rate_per_minute, settings.key_concurrency, workers=settings.workers),
        lock_out=LockOut(
            Remembered(shared and shared / GOOD_KEYS),
            lambda address, seconds: _lock_out(trail, clock, log, address, seconds),
            workers=settings.workers,
        ),
        bodies=ByteBudget.for_bodies(settings.max_body_bytes),
        style_bodies=ByteBudget(MOST_STYLE_BODIES * settings.max_style_body_bytes),
        # More threads than the reader takes pictures: its own bound is the one that answers `busy`.
        pictures=Crew(
            settings.inference_queue + parts.about.lanes * parts.about.batch_faces + 16,
            refusal="Too many pictures are waiting: try again in a second.",
        ),
    )


def _tidy_reembeddings(
    store: ports.Store, clock: ports.Clock, kept: timedelta, report: Callable[[str], object]
) -> None:
    tidy_jobs(store, clock, REEMBEDDING, kept, report)
    tidy_models(store)


def _lock_out(trail: ports.Trail, clock: ports.Clock, log: Log, address: str, seconds: int) -> None:
    log.warning("an address is locked out", address=address, seconds=seconds)
    # Without the address: it may be a person's.
    trail.note(Entry("key.refused", clock.now(), "locked_out", facts={"seconds": seconds}, actor=SERVICE))
