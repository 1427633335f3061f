"""A render that has ended -> another one that goes on from where it was."""

from dataclasses import dataclass

from app.actions.style.find import found_style
from app.actions.style.submit import Also, Submission, SubmitStyle, nothing, with_masks
from app.domain.gallery import Within
from app.domain.key import Key
from app.domain.style_job import StyleJob
from app.errors import InvalidOption, NotEnded, UnknownJob
from app.ports import Store, StyleFiles


@dataclass(frozen=True, slots=True)
class ResumeStyle:
    """Makes a new job of one that has ended: the same files and options, more steps, from its last checkpoint.

    Raises UnknownJob, NotEnded, and what SubmitStyle raises. One that was cancelled or failed goes on to its own end
    and then further; without a checkpoint it begins anew. The first job stays as it is.
    """

    store: Store
    files: StyleFiles
    submit: SubmitStyle

    def __call__(self, job_id: str, key: Key, steps: int, *, within: Within = None, also: Also = nothing) -> StyleJob:
        """The new job, of the caller. steps: how many more; 0 is allowed where the first one was cut short."""
        with self.store.read() as uow:
            job = found_style(uow, job_id, key)
        if not job.ended:
            raise NotEnded
        if steps < (1 if job.status == "succeeded" else 0):
            raise InvalidOption("steps", "steps is how many more are wanted: at least 1.")
        try:
            options = with_masks(self.files, job)
            styles = [self.files.get(job_id, f"style-{number}") for number in range(1, 1 + len(job.input["styles"]))]
            content = self.files.get(job_id, "content")
            more = {**options, "extra": int(options.get("extra", 0)) + steps}
            submission = Submission(content, styles, more, job.person_id)
            return self.submit(submission, key.id, within=within, also=also, after=(job_id, job.checkpoint))
        except FileNotFoundError:
            raise UnknownJob("The files of the render are not here any more.") from None
        except InvalidOption as e:
            raise InvalidOption("steps" if e.option == "extra" else e.option, e.detail) from None
