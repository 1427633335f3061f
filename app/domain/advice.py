"""A reason against a face -> what helps, in words for the person before the camera."""

from app.errors import QualityReason

_ADVICE = {
    "too_small": "Come closer, or send a picture in which the face is at least 60 pixels wide.",
    "turned": "Look straight into the camera; the face is turned too far to one side.",
    "tilted": "Hold the camera at the height of the eyes; the face looks too far up or down.",
    "rolled": "Hold the head, or the camera, upright.",
    "blurred": "Hold still and let the camera focus; the face is blurred.",
    "too_dark": "Put more light on the face.",
    "too_bright": "Take light from the face, or turn away from the lamp or the sun.",
    "cut_off": "Move so that the whole face is in the picture.",
    "unclear": "Take away what covers the face: a mask, a hand, hair, strong reflections.",
}
_GENERAL = "Take another picture: the face upright, near, sharp and evenly lit."


def advise(reasons: tuple[str, ...]) -> tuple[QualityReason, ...]:
    """Each reason with a sentence on how to do better; one general sentence where no reason stands out."""
    return tuple(QualityReason(reason, _ADVICE.get(reason, _GENERAL)) for reason in reasons or ("unclear_overall",))
