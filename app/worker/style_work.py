"""What the loop of renders does, of actions alone."""

import threading
from dataclasses import dataclass

from app.actions.style.claim import ClaimStyle
from app.actions.style.run import RunStyle
from app.actions.style.tidy import TidyStyles
from app.domain.style_job import StyleJob


@dataclass(frozen=True, slots=True)
class StyleWork:
    """Fits `worker.loop.Work`. What may be begun is asked of the rows, by the claim itself."""

    claim_style: ClaimStyle
    run_style: RunStyle
    tidy_styles: TidyStyles

    def waits(self) -> list[str]:
        """The place whose renders this process works on."""
        return [self.claim_style.files.home]

    def claim(self, among: list[str]) -> StyleJob | None:
        """Begins an attempt at one of them, if one waits."""
        return self.claim_style()

    def run(self, job: StyleJob, stop: threading.Event) -> None:
        """Works on it until its end, or until `stop` is set."""
        self.run_style(job, stop)

    def sweep(self) -> None:
        """Nothing is left to whoever comes later: an erasure removes the files itself, and what it could not `tidy`."""

    def tidy(self) -> None:
        """Ends, forgets and deletes what is due."""
        self.tidy_styles()
