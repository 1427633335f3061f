"""What renders stand on, for those who take them in and for those who make them."""

from collections.abc import Callable
from datetime import timedelta

from app import ports
from app.actions.style.claim import LEASE_S, ClaimStyle
from app.actions.style.run import RunStyle
from app.actions.style.tidy import TidyStyles
from app.domain.style_job import StyleJob
from app.inference.rendering import RendererOnDemand
from app.routes.log import Log, describe_fault
from app.routes.problems import told
from app.settings import Settings
from app.store.files.style_files import FileStyleFiles
from app.worker.loop import JobLoop
from app.worker.style_work import StyleWork

# Looking costs one read, and somebody waits in front of a screen.
POLL_S = 0.5


def style_files(settings: Settings) -> FileStyleFiles:
    """The files of renders, in the home."""
    return FileStyleFiles(settings.home / "style")


def style_kept(settings: Settings) -> timedelta:
    """How long a render is kept."""
    return timedelta(hours=settings.style_kept_hours)


def style_renderer(settings: Settings) -> ports.Renderer:
    """Whoever looks at what is sent, and renders it; loads nothing before it is asked."""
    processes = max(1, settings.style_workers)
    return RendererOnDemand(settings.style_memory_bytes, settings.max_image_pixels, settings.style_threads, processes)


def style_loop(
    settings: Settings,
    store: ports.Store,
    renderer: ports.Renderer,
    log: Log,
    *,
    lease_s: float = LEASE_S,
    may_begin: Callable[[], bool] = lambda: True,
) -> JobLoop[StyleJob]:
    """The loop that renders what waits in this home, not yet started."""
    files, kept = style_files(settings), style_kept(settings)
    work = StyleWork(
        ClaimStyle(store, files, lease_s),
        RunStyle(store, files, renderer, told, kept, log.warning, lease_s),
        TidyStyles(store, files, kept, log.warning),
    )
    return JobLoop(
        work,
        name="style",
        may_begin=may_begin,
        report=lambda e: log.error("a render was interrupted", fault=describe_fault(e)),
        poll_s=POLL_S,
    )
