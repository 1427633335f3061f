"""What POST /style-jobs takes: files and options, bounded in bytes, time and number while they come."""

import json
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request

from app.errors import InvalidField, UnsupportedMedia
from app.routes import body, multipart
from app.routes.desk import Desk
from app.routes.fields import LONGEST_ECHO
from app.routes.image_body import FORM, Sent
from app.routes.problems import Malformed

MOST_STYLES = 4
# Masks lie in it as base64.
FILES = ("content", "style")
PARTS = (*FILES, "options")


@dataclass(frozen=True, slots=True)
class StyleSent:
    """The files, the options as they were sent, and whose picture it is."""

    content: bytes
    styles: tuple[bytes, ...]
    options: dict[str, Any]
    person_id: str | None

    def as_sent(self) -> Sent:
        """What an Idempotency-Key goes by."""
        files = {f"style{number}": style for number, style in enumerate(self.styles, 1)}
        options = json.dumps(self.options, sort_keys=True)
        return Sent({"content": self.content, **files}, {"options": options, "person_id": self.person_id})


async def receive(request: Request, desk: Desk) -> StyleSent:
    """The job that was sent. Raises what body.read_within raises, Malformed, InvalidField, UnsupportedMedia."""
    if body.media_type(request) != FORM:
        raise UnsupportedMedia(f"Send the job as {FORM}: content, style once to {MOST_STYLES} times, and options.")
    body.no_query(request)
    settings = desk.settings
    # As slow as any body may come.
    timeout_s = settings.body_timeout_s * max(1.0, settings.max_style_body_bytes / settings.max_body_bytes)
    sent = await body.read_within(request, settings.max_style_body_bytes, timeout_s, desk.style_bodies)
    return await desk.on_parses(_parse, sent, request.headers["content-type"])


def openapi() -> dict[str, Any]:
    """The body as OpenAPI describes it."""
    file = {"type": "string", "format": "binary"}
    properties = {
        "content": {**file, "description": "what is rendered: a picture, a sound, a volume, points"},
        "style": {
            "type": "array",
            "items": file,
            "minItems": 1,
            "maxItems": MOST_STYLES,
            "description": "in which style",
        },
        "options": {"type": "string", "contentMediaType": "application/json", "description": "an object, all optional"},
    }
    schema = {
        "type": "object",
        "properties": properties,
        "required": list(FILES),
        "additionalProperties": False,
    }
    return {"required": True, "content": {FORM: {"schema": schema}}}


def _parse(sent: bytes, content_type: str) -> StyleSent:
    found: defaultdict[str, list[bytes]] = defaultdict(list)
    for part in multipart.parse(sent, content_type):
        if part.name not in PARTS:
            raise InvalidField(part.name[:LONGEST_ECHO], f"There is no such field here; there are: {', '.join(PARTS)}.")
        found[part.name].append(part.data)
    for name in FILES:
        if not found[name]:
            raise InvalidField(name, "It is missing.")
    for name in ("content", "options"):
        if len(found[name]) > 1:
            raise InvalidField(name, "It was sent more than once.")
    if len(found["style"]) > MOST_STYLES:
        raise InvalidField("style", f"At most {MOST_STYLES} are allowed.")
    options = _options(found["options"][0]) if found["options"] else {}
    person_id = options.pop("person_id", None)
    if person_id is not None and not isinstance(person_id, str):
        raise InvalidField("person_id", "It must be text.")
    return StyleSent(found["content"][0], tuple(found["style"]), options, person_id)


def _options(text: bytes) -> dict[str, Any]:
    try:
        options = body.parse_object(text)
    except Malformed:
        raise InvalidField("options", "It must be the text of a JSON object.") from None
    return options
