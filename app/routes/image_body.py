"""A picture and its fields, in any of three forms: multipart, JSON with base64, or the raw picture with a query."""

import base64
import binascii
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request

from app.errors import ImageTooLarge, InvalidField, UnreadableImage, UnsupportedMedia
from app.routes import body, multipart
from app.routes.desk import Desk
from app.routes.fields import Field, Fields

# Above that, decoding would keep the event loop from others.
LARGE = 512 * 1024
FORM = "multipart/form-data"
RAW = ("application/octet-stream",)


@dataclass(frozen=True, slots=True)
class Sent:
    """What was sent: pictures by the name of their field, and every other field with defaults filled in."""

    images: dict[str, bytes]
    fields: dict[str, Any]


class ImageForm:
    """Declares the pictures and fields of one route. The first picture must be sent; `also` may be."""

    def __init__(self, *fields: Field, also: Sequence[str] = ()) -> None:
        self.fields = Fields(*fields)
        self.images = ("image", *also)

    async def read(self, request: Request, desk: Desk) -> Sent:
        """What was sent. Raises what app/routes/body.py raises, InvalidField, UnreadableImage, ImageTooLarge."""
        kind = body.media_type(request)
        if kind not in (body.JSON, FORM, *RAW) and not kind.startswith("image/"):
            raise UnsupportedMedia(f"Send the image as {FORM}, as {body.JSON}, or as image/jpeg and the like.")
        query = body.query(request)
        content = await body.read(request, desk)
        header = request.headers["content-type"]
        if len(content) > LARGE:
            return await desk.on_parses(self._parse, content, kind, header, query, desk.settings.max_image_bytes)
        return self._parse(content, kind, header, query, desk.settings.max_image_bytes)

    def from_object(self, given: Mapping[str, Any], most_bytes: int) -> Sent:
        """What a JSON object says. Raises InvalidField, UnreadableImage, ImageTooLarge."""
        images = {name: _decoded(name, given[name]) for name in self.images if given.get(name) is not None}
        others = {name: value for name, value in given.items() if name not in self.images}
        return self._checked(Sent(images, self.fields.from_object(others)), most_bytes)

    def openapi(self, *headers: dict[str, Any]) -> dict[str, Any]:
        """The parts of an OpenAPI operation that describe the three forms, and those headers."""
        required = ["image", *self.fields.required()]

        def schema(picture: dict[str, Any]) -> dict[str, Any]:
            properties = dict.fromkeys(self.images, picture) | self.fields.properties()
            return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}

        binary = {"type": "string", "format": "binary", "description": "JPEG, PNG, WebP, HEIC, BMP, GIF or TIFF"}
        base_64 = {"type": "string", "contentEncoding": "base64", "description": "the same in base64"}
        raw = {"schema": {"type": "string", "format": "binary"}}
        content = {FORM: {"schema": schema(binary)}, body.JSON: {"schema": schema(base_64)}, "image/*": raw}
        about = "The fields; in the query only for a raw image body."
        return {
            "parameters": [*self.fields.parameters(optional=True), *headers],
            "requestBody": {"required": True, "description": about, "content": content},
        }

    def _parse(self, content: bytes, kind: str, header: str, query: dict[str, list[str]], most_bytes: int) -> Sent:
        if kind == body.JSON:
            sent = self._from_json(content, query)
        elif kind == FORM:
            sent = self._from_form(content, header, query)
        else:
            sent = Sent({"image": content}, self.fields.from_texts(query))
        return self._checked(sent, most_bytes)

    def _checked(self, sent: Sent, most_bytes: int) -> Sent:
        for name, image in sent.images.items():
            if not image:
                raise UnreadableImage(f"{name}: The image is empty.")
            if len(image) > most_bytes:
                raise ImageTooLarge(f"{name}: The image has more than {most_bytes} bytes: send a smaller one.")
        if "image" not in sent.images:
            raise InvalidField("image", "It is missing.")
        return sent

    def _from_json(self, content: bytes, query: dict[str, list[str]]) -> Sent:
        given = body.parse_object(content)
        images = {name: _decoded(name, given.pop(name)) for name in self.images if given.get(name) is not None}
        for name in self.images:
            given.pop(name, None)
        _refuse_query(query)
        return Sent(images, self.fields.from_object(given))

    def _from_form(self, content: bytes, header: str, query: dict[str, list[str]]) -> Sent:
        images: dict[str, bytes] = {}
        texts: defaultdict[str, list[str]] = defaultdict(list)
        for part in multipart.parse(content, header):
            if part.name not in self.images:
                texts[part.name].append(_text(part))
            elif part.name in images:
                raise InvalidField(part.name, "It was sent more than once.")
            else:
                images[part.name] = part.data
        _refuse_query(query)
        return Sent(images, self.fields.from_texts(texts))


def _refuse_query(query: dict[str, list[str]]) -> None:
    for name in query:
        raise InvalidField(name[:60], "In this form the fields stand in the body, and none in the query.")


def _decoded(name: str, value: Any) -> bytes:
    if not isinstance(value, str):
        raise InvalidField(name, "It must be the image in base64.")
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidField(name, "It is not base64 (RFC 4648, with padding, without a `data:` prefix).") from None


def _text(part: multipart.Part) -> str:
    try:
        return part.data.decode()
    except UnicodeDecodeError:
        raise InvalidField(part.name[:60], "It is not UTF-8.") from None
