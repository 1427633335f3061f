"""/keys: who may call."""

from fastapi import APIRouter, Request, Response
from typing_extensions import TypedDict

from app.actions.keys import MOST_AT_A_TIME, MOST_GALLERIES, MOST_PER_MINUTE
from app.domain.key import SCOPES, Key
from app.domain.particulars import LONGEST_NAME
from app.routes import body
from app.routes.answers import answer, moment, stamp
from app.routes.described import refusals
from app.routes.desk import desk_of
from app.routes.fields import Field, Fields
from app.routes.kinds import text, texts, time, whole
from app.routes.pages import CURSOR, LIMIT, after, page

LIST = Fields(LIMIT, CURSOR)
MAKE = Fields(
    Field("name", text(LONGEST_NAME), "what the key is for", required=True),
    Field("scopes", texts(len(SCOPES)), f"what it may do: {', '.join(SCOPES)}", required=True),
    Field("expires_at", time(), "when it ends; none: never"),
    Field("galleries", texts(MOST_GALLERIES), "the only ones that it sees and touches; none: it is not bound"),
    Field("rate_per_minute", whole(1, MOST_PER_MINUTE), "requests a minute; none: what the settings say"),
    Field("concurrency", whole(1, MOST_AT_A_TIME), "requests at a time; none: what the settings say"),
)
_SCHEMA = {
    "schema": {
        "type": "object",
        "properties": MAKE.properties(),
        "required": MAKE.required(),
        "additionalProperties": False,
    }
}


class KeyBody(TypedDict):
    """A key, without its secret. galleries: null when it is not bound; limits: null where the settings say."""

    id: str
    name: str
    scopes: list[str]
    created_at: str
    expires_at: str | None
    revoked_at: str | None
    galleries: list[str] | None
    rate_per_minute: int | None
    concurrency: int | None


class NewKeyBody(KeyBody):
    """A key with its secret, which is shown only now."""

    key: str


class KeysBody(TypedDict):
    """One page of keys."""

    items: list[KeyBody]
    next_cursor: str | None


router = APIRouter(tags=["keys"])


@router.post(
    "/keys",
    status_code=201,
    response_model=NewKeyBody,
    responses=refusals("unknown_gallery", body=True),
    openapi_extra={"requestBody": {"required": True, "content": {body.JSON: _SCHEMA}}},
)
async def make_key(request: Request) -> Response:
    """Makes a key. Its text is shown once, and only a digest of it is stored."""
    desk = desk_of(request)
    asked = MAKE.from_object(await body.read_object(request, desk))
    key, secret = await desk.on_writes(desk.make_key, **asked)
    shown: NewKeyBody = {**_key_body(key), "key": secret}
    return answer(shown, 201)


@router.get(
    "/keys",
    response_model=KeysBody,
    responses=refusals("invalid_field"),
    openapi_extra={"parameters": LIST.parameters()},
)
async def list_keys(request: Request) -> Response:
    """Lists keys, revoked ones included."""
    desk = desk_of(request)
    asked = LIST.from_texts(body.query(request))
    found = await desk.on_rows(desk.list_keys, after=after(asked["cursor"]), limit=asked["limit"] + 1)
    return answer(page(found, asked["limit"], lambda key: key.id, _key_body))


@router.delete(
    "/keys/{key_id}",
    response_model=KeyBody,
    responses=refusals("unknown_key", "last_admin_key", "invalid_field"),
)
async def revoke_key(request: Request, key_id: str) -> Response:
    """Ends a key at once."""
    body.no_query(request)
    desk = desk_of(request)
    return answer(_key_body(await desk.on_writes(desk.revoke_key, key_id)))


def _key_body(key: Key) -> KeyBody:
    return {
        "id": key.id,
        "name": key.name,
        "scopes": [scope for scope in SCOPES if scope in key.scopes],
        "created_at": stamp(key.created_at),
        "expires_at": moment(key.expires_at),
        "revoked_at": moment(key.revoked_at),
        "galleries": None if key.galleries is None else sorted(key.galleries),
        "rate_per_minute": key.rate_per_minute,
        "concurrency": key.concurrency,
    }
