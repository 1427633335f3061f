"""The fields of a request, declared once: parsed from form, query or JSON, and described in OpenAPI."""

from collections.abc import Mapping, Sequence
from typing import Any

from app.errors import InvalidField
from app.routes.kinds import Kind

LONGEST_ECHO = 60


class Field:
    """One field. nullable: null is a value of its own there, and means that there shall be none."""

    def __init__(
        self, name: str, kind: Kind, about: str, *, required: bool = False, default: Any = None, nullable: bool = False
    ) -> None:
        self.name = name
        self.kind = kind
        self.about = about
        self.required = required
        self.default = default
        self.nullable = nullable

    def from_texts(self, texts: Sequence[str]) -> Any:
        """The value from what a form or a query says, once or several times. Raises InvalidField."""
        try:
            if self.kind.repeated:
                return self.kind.from_json(list(texts))
            if len(texts) != 1:
                raise ValueError("It was sent more than once.")
            return self.kind.from_text(texts[0])
        except ValueError as e:
            raise InvalidField(self.name, str(e)) from None

    def from_json(self, value: Any) -> Any:
        """The value from a JSON value other than null. Raises InvalidField."""
        try:
            return self.kind.from_json(value)
        except ValueError as e:
            raise InvalidField(self.name, str(e)) from None

    def schema(self) -> dict[str, Any]:
        """The JSON schema of its value in a JSON body."""
        schema = {**self.kind.schema, "description": self.about}
        if self.default is not None and not isinstance(self.default, tuple | dict):
            schema["default"] = self.default
        if self.nullable:
            schema["type"] = [schema["type"], "null"]
        return schema


class Fields:
    """The fields that a request may have; any other is refused."""

    def __init__(self, *fields: Field) -> None:
        self.by_name = {one.name: one for one in fields}

    def from_texts(self, texts: Mapping[str, Sequence[str]]) -> dict[str, Any]:
        """Every field by name, defaults included, from a form or a query. Raises InvalidField."""
        return self._complete({name: self._known(name).from_texts(values) for name, values in texts.items()})

    def from_object(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Every field by name, defaults included, from a JSON object; null: left out. Raises InvalidField."""
        known = {name: (self._known(name), value) for name, value in body.items()}
        return self._complete({name: f.from_json(value) for name, (f, value) in known.items() if value is not None})

    def changes(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Only the fields that were sent, None for null where that is allowed. Raises InvalidField."""
        changed: dict[str, Any] = {}
        for name, value in body.items():
            one = self._known(name)
            if value is None and not one.nullable:
                raise InvalidField(name, "It cannot be null.")
            changed[name] = None if value is None else one.from_json(value)
        return changed

    def properties(self) -> dict[str, Any]:
        """JSON schema of each field."""
        return {name: one.schema() for name, one in self.by_name.items()}

    def required(self) -> list[str]:
        """Names of those that must be sent."""
        return [name for name, one in self.by_name.items() if one.required]

    def parameters(self, *, optional: bool = False) -> list[dict[str, Any]]:
        """OpenAPI's query parameters; optional: none is marked as required."""
        return [
            {
                "name": name,
                "in": "query",
                "required": one.required and not optional,
                "description": one.about,
                "schema": one.kind.schema,
            }
            for name, one in self.by_name.items()
        ]

    def _known(self, name: str) -> Field:
        if name not in self.by_name:
            known = ", ".join(self.by_name) or "none"
            raise InvalidField(name[:LONGEST_ECHO], f"There is no such field here; there are: {known}.")
        return self.by_name[name]

    def _complete(self, values: dict[str, Any]) -> dict[str, Any]:
        for name, one in self.by_name.items():
            if name not in values:
                if one.required:
                    raise InvalidField(name, "It is missing.")
                values[name] = one.default
        return values
