"""Files of sound and series of numbers, and the waveforms in them: told apart, decoded, checked, and written again."""

from models.errors import UnreadableMedia
from models.style.series import NPY, decode_csv, decode_npy, encode_csv, encode_npy, is_csv, shape_of
from models.style.sounds import MAGIC, Wave, decode_sound, encode_wav

# Form -> (media type, suffix).
MEDIA = {
    "wav": ("audio/wav", ".wav"),
    "csv": ("text/csv", ".csv"),
    "npy": ("application/octet-stream", ".npy"),
}
LARGEST = 1e12
_ENCODERS = {"wav": encode_wav, "csv": encode_csv, "npy": encode_npy}


def looks_like(content: bytes) -> bool:
    """Whether a file is sound (WAV, FLAC, OGG), or a series: npy of one or two dimensions, or CSV of numbers."""
    if content.startswith(MAGIC):
        return content[:2] != b"RI" or content[8:12] == b"WAVE"  # WebP is RIFF as well
    return 1 <= len(shape_of(content)) <= 2 if content.startswith(NPY) else is_csv(content)


def decode(content: bytes, most: int) -> Wave:
    """What a file holds. Raises UnreadableMedia, and TooLarge for more samples than `most`, or too long a sound."""
    if not content:
        raise UnreadableMedia("The file is empty.")
    if content.startswith(NPY):
        return _checked(decode_npy(content))
    return _checked(decode_sound(content, most) if content.startswith(MAGIC) else decode_csv(content))


def encode(wave: Wave) -> bytes:
    """A file in the wave's form."""
    return _ENCODERS[wave.form](wave)


def _checked(wave: Wave) -> Wave:
    if not bool(wave.samples.isfinite().all()):
        raise UnreadableMedia("There are samples that are not finite numbers.")
    if float(wave.samples.abs().max()) > LARGEST:
        raise UnreadableMedia(f"There are numbers beyond {LARGEST:g}.")
    centred = wave.samples if wave.rate else wave.samples - wave.samples.mean(1, keepdim=True)
    if float(centred.abs().max()) < 1e-6 * max(1e-3, float(wave.samples.abs().max())):
        raise UnreadableMedia("There is nothing but silence: nothing could be heard in it.")
    return wave
