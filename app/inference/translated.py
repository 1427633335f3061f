"""What goes wrong in the library, and the fact that it is to the service."""

from app import errors
from models import errors as library

# Every error of the library that a picture can cause.
TRANSLATED: dict[type[library.LibraryError], type[errors.ImageRefused]] = {
    library.UnreadableImage: errors.UnreadableImage,
    library.UnsupportedMedia: errors.UnsupportedMedia,
    library.TooManyBytes: errors.ImageTooLarge,
    library.TooManyPixels: errors.TooManyPixels,
}


def of_picture(error: library.ImageError) -> errors.ImageRefused:
    """The service's own error, with the words of the library."""
    return TRANSLATED[type(error)](str(error) or None)
