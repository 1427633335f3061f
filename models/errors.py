"""The library's errors, one class a fact.

    LibraryError
    ├── ImageError                 the bytes are not a picture that may be read
    │   ├── UnreadableImage        damaged, cut short, or not what it says it is
    │   ├── UnsupportedMedia       no format that we read
    │   ├── TooManyBytes           more bytes than the limit
    │   └── TooManyPixels          more pixels or frames than the limit
    ├── WeightsError               the weights are missing, changed, or of another network
    │   └── EngineMissing          the weights run on a package that only an optional extra installs
    ├── StyleError                 a render that cannot be made as it was asked for
    │   ├── InvalidOption(option)  an option has a value that it cannot have
    │   ├── UnreadableMedia        the sound, volume or point cloud is damaged, empty, or not what it says it is
    │   ├── TooLarge(fits)         it would need more memory than it may have
    │   └── OtherRender            the state to go on from is of other input
    ├── SampleTooSmall(needed)     too few people to calibrate on
    └── ExtraMissing               a package that only an optional extra installs

A picture without a face is no error here: it is an empty list.
"""


class LibraryError(Exception):
    """Something that the library cannot do; the text says what to do about it."""


class ImageError(LibraryError):
    """The bytes are not a picture that may be read."""


class UnreadableImage(ImageError):
    """The picture is damaged or cut short: send the file again as the camera wrote it."""


class UnsupportedMedia(ImageError):
    """The file is none of JPEG, PNG, WebP, HEIC, BMP, GIF and TIFF: convert it to one of them."""


class TooManyBytes(ImageError):
    """The file has more bytes than the limit: send a smaller or more compressed picture."""


class TooManyPixels(ImageError):
    """The picture has more pixels than the limit: scale it down before sending it."""


class WeightsError(LibraryError):
    """The weights are missing, changed or of another network: install the distribution again."""


class EngineMissing(WeightsError):
    """The weights run on a package that only an optional extra installs, and it is not there."""


class ExtraMissing(LibraryError):
    """A package that only an optional extra installs is not there."""


class SampleTooSmall(LibraryError):
    """Too few people, or too few with two photos, to calibrate on."""

    def __init__(self, detail: str, needed: int) -> None:
        super().__init__(detail)
        self.needed = needed


class StyleError(LibraryError):
    """A render that cannot be made as it was asked for."""


class InvalidOption(StyleError):
    """An option has a value that it cannot have: the text says which ones it can."""

    def __init__(self, option: str, detail: str) -> None:
        super().__init__(detail)
        self.option = option


class UnreadableMedia(StyleError):
    """The sound, volume or point cloud is damaged, empty, or not what it says it is: send the file again."""


class TooLarge(StyleError):
    """The render would need more memory than it may have. fits: the size that would do; 0: none would."""

    def __init__(self, detail: str, fits: int) -> None:
        super().__init__(detail)
        self.fits = fits


class OtherRender(StyleError):
    """The state to go on from belongs to other files, options, or another version: begin the render anew."""
