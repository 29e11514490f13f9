"""Words for JSON schemas: https://json-schema.org/draft/2020-12. Objects are closed unless they say otherwise."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from enum import Enum
from typing import Any, get_type_hints

from pydantic import TypeAdapter

Schema = Mapping[str, Any]

TEXT: Schema = {"type": "string"}
FLAG: Schema = {"type": "boolean"}
COUNT: Schema = {"type": "integer", "minimum": 0}
WHOLE: Schema = {"type": "integer"}
NUMBER: Schema = {"type": "number"}
SECONDS: Schema = {"type": "number", "minimum": 0, "description": "Seconds."}
PERCENT: Schema = {"type": "number", "minimum": 0, "maximum": 100}
UUID: Schema = {
    "type": "string",
    "format": "uuid",
    "pattern": "^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$",
}
TIME: Schema = {
    "type": "string",
    "format": "date-time",
    "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?(Z|\+00:00)$",
}
ANY_OBJECT: Schema = {"type": "object"}
YES: Schema = {"const": True}
NO: Schema = {"const": False}


def ref(name: str) -> Schema:
    """The component of this name."""
    return {"$ref": f"#/components/schemas/{name}"}


def nullable(schema: Schema) -> Schema:
    """`schema`, or null."""
    kind = schema.get("type")
    if isinstance(kind, str) and "enum" not in schema:
        return {**schema, "type": [kind, "null"]}
    return {"anyOf": [schema, {"type": "null"}]}


def array(items: Schema) -> Schema:
    """A list of `items`."""
    return {"type": "array", "items": items}


def words(*known: Iterable[Enum] | str) -> Schema:
    """One of the members of an enum, or of the words."""
    found = [word for each in known for word in ([each] if isinstance(each, str) else [one.value for one in each])]
    return {"type": "string", "enum": found}


def mapping(values: Schema) -> Schema:
    """An object with any names."""
    return {"type": "object", "additionalProperties": values}


def record(
    needed: Mapping[str, Schema], optional: Mapping[str, Schema] | None = None, *, closed: bool = True, about: str = ""
) -> Schema:
    """An object. `closed`: it has no other fields; an object that another version may have made is not."""
    made: dict[str, Any] = {
        "type": "object",
        "properties": {**needed, **(optional or {})},
        "required": list(needed),
        "additionalProperties": not closed,
    }
    return {**made, "description": about} if about else made


def of_dataclass(kind: type, **otherwise: Schema | None) -> dict[str, Schema]:
    """The fields of a dataclass as its JSON has them. `otherwise`: those that it has in another way, or (None) not at
    all."""
    hints = get_type_hints(kind)
    own = {each.name: hints[each.name] for each in fields(kind) if each.name not in otherwise}
    told = {name: _inlined(TypeAdapter(hint).json_schema()) for name, hint in own.items()}
    return {**told, **{name: schema for name, schema in otherwise.items() if schema is not None}}


def _inlined(schema: dict[str, Any]) -> Schema:
    """Without references: what a field refers to stands in it, closed and with all of its fields."""
    known = schema.pop("$defs", {})

    def resolved(found: Any) -> Any:
        if isinstance(found, list):
            return [resolved(each) for each in found]
        if not isinstance(found, dict):
            return found
        if "$ref" in found:
            return resolved(known[found["$ref"].rpartition("/")[2]])
        kept = {name: resolved(each) for name, each in found.items() if name not in {"title", "default"}}
        if "properties" in kept:
            kept |= {"required": list(kept["properties"]), "additionalProperties": False}
        return kept

    found: Schema = resolved(schema)
    return found
