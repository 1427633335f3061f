"""The service's errors, one class a fact that a caller may treat differently. No HTTP in it: see routes/problems.py.

    OnelookError
    ├── Refused                      the request can be understood, and cannot be done
    │   ├── ImageRefused             UnreadableImage · UnsupportedMedia · ImageTooLarge · TooManyPixels
    │   │                            UnreadableEntry
    │   ├── BatchRefused             UnreadableBatch · BatchTooLarge
    │   ├── FaceRefused              NoFace · SeveralFaces(boxes) · PoorQuality(reasons)
    │   ├── RenderRefused            InvalidOption(option) · UnreadableMedia · TooLarge(fits)
    │   ├── InvalidField(field)      a value outside what the field allows
    │   ├── UnsupportedTarget(least) an error rate that the calibration does not support
    │   ├── SampleTooSmall(needed)   too few people to calibrate on
    │   ├── Conflict                 PersonExists · GalleryExists · DuplicatePerson(lookalikes) · NotSamePerson
    │   │                            IdempotencyConflict · InProgress · CannotUndo(obstacles) · LastAdminKey
    │   │                            AlreadyServed · LeavesBehind(persons, first)
    │   └── Stale                    the row changed since it was read
    ├── Unknown                      UnknownPerson (Erased, Merged)
    │                                UnknownGallery, -Template, -Key, -Job, -Erasure, -IdentityChange
    ├── Denied                       NoKey · BadKey (RevokedKey) · ExpiredKey · OutOfScope
    ├── Unavailable                  Busy · NotReady · ShuttingDown · RateLimited · LockedOut · QueueFull
    │                                StoreAway · NotAcknowledged: try again later
    ├── Corrupt                      SealBroken (KeyGone): what is stored is not what was written
    └── Misconfigured                the settings cannot be served; only at start

"Not recognized" and "no match" are answers, not errors. Each docstring is the default text; an instance may say more.
"""

from dataclasses import dataclass


class OnelookError(Exception):
    """Something that the service cannot do; the text says what to do about it."""

    def __init__(self, detail: str | None = None) -> None:
        self.detail = detail or (type(self).__doc__ or "").strip()
        super().__init__(self.detail)


class Refused(OnelookError):
    """The request can be understood, and cannot be done."""


class ImageRefused(Refused):
    """The image cannot be read."""


class UnreadableImage(ImageRefused):
    """The image is damaged or cut short: send the file again as the camera wrote it."""


class UnsupportedMedia(ImageRefused):
    """The file is none of JPEG, PNG, WebP, HEIC, BMP, GIF and TIFF: convert it to one of them."""


class ImageTooLarge(ImageRefused):
    """The image has more bytes than the limit: send a smaller or more compressed one."""


class TooManyPixels(ImageRefused):
    """The image has more pixels than the limit: scale it down before sending it."""


class UnreadableEntry(ImageRefused):
    """The photo cannot be unpacked: its entry in the file that was sent is damaged."""


class BatchRefused(Refused):
    """The batch cannot be taken."""


class UnreadableBatch(BatchRefused):
    """The file is not what its Content-Type says, or it is cut short."""


class BatchTooLarge(BatchRefused):
    """The batch holds more than the limit: send it in parts."""


class FaceRefused(Refused):
    """The image shows no face that can be used."""


class NoFace(FaceRefused):
    """No face was found: the whole face must be in the picture, upright, lit and at least 32 pixels wide."""


class SeveralFaces(FaceRefused):
    """Several faces were found where one is needed: send a picture of one person, or crop it to that person."""

    def __init__(self, boxes: tuple[tuple[float, float, float, float], ...], detail: str | None = None) -> None:
        super().__init__(detail)
        self.boxes = boxes


@dataclass(frozen=True, slots=True)
class QualityReason:
    """One reason against a face, and what helps."""

    reason: str
    advice: str


class PoorQuality(FaceRefused):
    """The face is not good enough to enrol: follow the advice beside each reason and take another picture."""

    def __init__(self, reasons: tuple[QualityReason, ...], detail: str | None = None) -> None:
        super().__init__(detail)
        self.reasons = reasons


class RenderRefused(Refused):
    """The render cannot be made as it was asked for."""


class InvalidOption(RenderRefused):
    """An option has a value that it cannot have."""

    def __init__(self, option: str, detail: str) -> None:
        super().__init__(detail)
        self.option = option


class UnreadableMedia(RenderRefused):
    """The sound, volume or point cloud is damaged, empty, or not what it says it is: send the file again."""


class TooLarge(RenderRefused):
    """The render would need more memory than it may have: ask for the `size` that fits."""

    def __init__(self, fits: int, detail: str | None = None) -> None:
        super().__init__(detail)
        self.fits = fits


class InvalidField(Refused):
    """A field has a value that it does not allow."""

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(detail)
        self.field = field


class UnsupportedTarget(Refused):
    """The calibration does not support that error rate."""

    def __init__(self, kind: str, least: float | None, detail: str | None = None) -> None:
        super().__init__(detail)
        self.kind = kind
        self.least = least


class SampleTooSmall(Refused):
    """Too few people to calibrate on."""

    def __init__(self, needed: int, detail: str | None = None) -> None:
        super().__init__(detail)
        self.needed = needed


class Conflict(Refused):
    """The request contradicts what is stored."""


class PersonExists(Conflict):
    """That person_id is taken, or was erased and stays taken: choose another, or leave it out."""


class GalleryExists(Conflict):
    """That gallery id is taken: choose another."""


class IdempotencyConflict(Conflict):
    """Another request was sent with that Idempotency-Key: choose a fresh key for each request that is not a repeat."""


class InProgress(Conflict):
    """The same request is still running: send it again in a second, with the same Idempotency-Key."""

    retry_after_s = 1


class NotEnded(Conflict):
    """The render has not come that far: wait for its end, or cancel it first."""


@dataclass(frozen=True, slots=True)
class Lookalike:
    """Somebody enrolled who looks like the face at hand."""

    person_id: str
    name: str
    similarity: float


class DuplicatePerson(Conflict):
    """The face looks like somebody already enrolled: add a template to that person, or send on_duplicate=allow."""

    def __init__(self, lookalikes: tuple[Lookalike, ...], detail: str | None = None) -> None:
        super().__init__(detail)
        self.lookalikes = lookalikes


class NotSamePerson(Conflict):
    """The face does not look like that person at the 1:1 threshold: check the id, or enrol somebody new."""


class LastAdminKey(Conflict):
    """The key is the last valid one that holds `admin`: make another one before you revoke it."""


class AlreadyServed(Conflict):
    """The model that the settings name is served already: set ONELOOK_MODEL to another one, and start again."""


class LeavesBehind(Conflict):
    """Persons without a kept crop would be recognized no more: enrol them anew, or send without_them=true."""

    def __init__(self, persons: int, first: tuple[str, ...], detail: str | None = None) -> None:
        super().__init__(detail)
        self.persons = persons
        self.first = first


@dataclass(frozen=True, slots=True)
class Obstacle:
    """What stands in the way of undoing a merge or a split. kind: change, person, template or gallery, of that id."""

    kind: str
    id: str
    why: str


class CannotUndo(Conflict):
    """What happened since contradicts it: nothing was changed; `in_the_way` says what."""

    def __init__(self, obstacles: tuple[Obstacle, ...], detail: str | None = None) -> None:
        super().__init__(detail)
        self.obstacles = obstacles


class Stale(Refused):
    """The row changed since it was read: GET it again and repeat the change with the new ETag."""


class Unknown(OnelookError):
    """There is no such thing."""


class UnknownPerson(Unknown):
    """There is no such person."""


class Erased(UnknownPerson):
    """That person was erased: the receipt tells when and what."""

    def __init__(self, person_id: str, detail: str | None = None) -> None:
        super().__init__(detail)
        self.person_id = person_id


class Merged(UnknownPerson):
    """That person is part of another now: `merged_into` says of whom."""

    def __init__(self, into: str, detail: str | None = None) -> None:
        super().__init__(detail)
        self.into = into


class UnknownGallery(Unknown):
    """There is no such gallery."""


class UnknownTemplate(Unknown):
    """That person has no such template."""


class UnknownKey(Unknown):
    """There is no such key."""


class UnknownJob(Unknown):
    """There is no such job, or it is another key's."""


class UnknownIdentityChange(Unknown):
    """There is no such merge or split."""


class UnknownErasure(Unknown):
    """There is no such erasure."""


class Denied(OnelookError):
    """The key does not allow that."""


class NoKey(Denied):
    """No key was sent: add the header `Authorization: Bearer <key>`."""


class BadKey(Denied):
    """The key is not known or was revoked: ask the administrator for a new one."""


class RevokedKey(BadKey):
    """The key was revoked: ask the administrator for a new one."""

    def __init__(self) -> None:
        # To the caller it is a bad key like any other.
        super().__init__(BadKey.__doc__)


class ExpiredKey(Denied):
    """The key has expired: ask the administrator for a new one."""


class OutOfScope(Denied):
    """The key lacks the scope for this."""

    def __init__(self, scope: str, detail: str | None = None) -> None:
        super().__init__(detail or f"The key lacks the scope `{scope}`: ask the administrator for a key that holds it.")
        self.scope = scope


class Unavailable(OnelookError):
    """The service cannot do it now: try again later."""

    retry_after_s = 1


class Busy(Unavailable):
    """Too many pictures are waiting: try again in a second."""


class NotReady(Unavailable):
    """The service is still starting: try again in a few seconds."""

    retry_after_s = 3


class ShuttingDown(Unavailable):
    """The service is stopping: try again once it is back."""

    retry_after_s = 5


class StoreAway(Unavailable):
    """The database cannot be reached, or will not take changes now: try again in a few seconds."""

    retry_after_s = 3


class NotAcknowledged(Unavailable):
    """The change was sent, and nobody can say whether it is kept: look whether it is there before you send it again.

    Raised by `commit()` when the connection ends in the middle of it, or when the database keeps the change itself but
    its standby did not confirm that it has it too. A caller must not count on the change, nor on its absence.
    """

    retry_after_s = 3

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(detail or (NotAcknowledged.__doc__ or "").partition("\n")[0])


class RateLimited(Unavailable):
    """The key has made more requests than it may: wait as long as Retry-After says."""

    def __init__(self, retry_after_s: int, detail: str | None = None) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class LockedOut(Unavailable):
    """Too many bad keys came from this address: wait as long as Retry-After says, and check the key."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__()
        self.retry_after_s = retry_after_s


class QueueFull(Unavailable):
    """Too many renders wait: send it again as late as Retry-After says."""

    def __init__(self, retry_after_s: int = 30, detail: str | None = None) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class Corrupt(OnelookError):
    """What is stored is not what was written: restore it from a backup."""


class SealBroken(Corrupt):
    """A stored template cannot be opened: it was altered, or sealed with another master key than the one at hand."""


class KeyGone(SealBroken):
    """What was sealed cannot be opened any more: its person was erased, and the person's key with it."""


class Misconfigured(OnelookError):
    """The settings cannot be served."""
