"""The model that is served, as this process has it: the reader and the operating points change together."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from app.domain.model import Served
from app.domain.operating_point import Calibration
from app.errors import Misconfigured, NotReady
from app.inference import calibration


class Readers(Protocol):
    """A reader that can go over to another model."""

    def serve(self, served: Served) -> None:
        """From now on that model reads. Raises NotReady where its weights are not here."""
        ...


class Serving:
    """What follows a cut-over, told by the gallery before it searches among the new templates. Thread-safe.

    home: where operating points of its own may lie.
    """

    def __init__(
        self, reader: Readers, first: Calibration, report: Callable[[str], object], home: Path | None = None
    ) -> None:
        self._reader, self._points, self._report, self._home = reader, first, report, home
        #: The points of the model that is served, whichever that is when they are asked for.
        self.points = calibration.following(lambda: self._points)

    def go_over(self, served: Served) -> None:
        """Loads that model and its points where need be, and has them read and decide from now on. Raises NotReady."""
        points = self._points
        if served.model_id != points.model_id:
            try:
                points = calibration.of_model(served.model_id, self._home)
            except Misconfigured as e:
                raise NotReady(f"{served.model_id} is served now, and {e.detail}") from e
        self._reader.serve(served)
        if points is not self._points:
            self._points = points
            self._report(f"{served.model_id} is served from now on")

    def least(self) -> float:
        """The least similarity that any threshold of 1:K lies at."""
        return min(point.threshold for point in self._points.identification)
