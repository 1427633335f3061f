"""What renders stand on, for those who take them in and for those who make them."""

from datetime import timedelta

from app import ports
from app.inference.renderer import StyleRenderer
from app.settings import Settings
from app.store.files.style_files import FileStyleFiles


def style_files(settings: Settings) -> FileStyleFiles:
    """The files of renders, in the home."""
    return FileStyleFiles(settings.home / "style")


def style_kept(settings: Settings) -> timedelta:
    """How long a render is kept."""
    return timedelta(hours=settings.style_kept_hours)


def style_renderer(settings: Settings) -> ports.Renderer:
    """Whoever looks at what is sent, and renders it; loads nothing before it is asked."""
    processes = max(1, settings.style_workers)
    return StyleRenderer(settings.style_memory_bytes, settings.max_image_pixels, settings.style_threads, processes)
