"""Types of the requests' models whose meaning the domain checks, and how the specification tells them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, GetJsonSchemaHandler, WithJsonSchema

from app.domain.request import MAX_PATH
from app.domain.run_summary import Kind, Tone
from app.protocol.states import Word

NEEDED = "needed"
"""Marks a field that must be there, although the model lets it be missing: the domain says that in words of its own."""


class Told(BaseModel):
    """A model that is told as JSON schema with what is needed."""

    @classmethod
    def __get_pydantic_json_schema__(cls, core: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        schema = handler.resolve_ref_schema(handler(core))
        needed = [name for name, known in cls.model_fields.items() if NEEDED in known.metadata]
        if needed:
            schema["required"] = list(dict.fromkeys([*schema.get("required", ()), *needed]))
            for name in needed:
                schema["properties"][name].pop("default", None)
        return schema


_ADDRESS = {
    "type": "string",
    "format": "ssh-address",
    "minLength": 1,
    "description": "What people paste, e.g. `ssh -p 123 root@host`.",
}
SshConnection = Annotated[Any, WithJsonSchema(_ADDRESS)]
ID = {"type": "string", "format": "uuid"}
Id = Annotated[Any, WithJsonSchema(ID)]
RemotePath = Annotated[str, WithJsonSchema({"type": "string", "pattern": "^/", "maxLength": MAX_PATH})]
IdempotencyKey = Annotated[str, WithJsonSchema({"type": "string", "minLength": 1, "maxLength": 200})]
_ANSWERS = {"type": ["object", "null"], "additionalProperties": {"type": "string"}}
_OF_WORKFLOW = {
    "answers": _ANSWERS,
    "remember": {"type": "boolean"},
    "needed": {"enum": ["run", "open"]},
    "without": {"type": "array", "items": {"type": "string"}},
}
_FORMS: Mapping[str, Any] = {
    "csv": {"csv": {"type": "string"}},
    "nodes": {"nodes": {"type": "array", "items": {"type": "object"}, "minItems": 1}},
    "urls": {"urls": {"type": "array", "items": {"type": "string"}, "minItems": 1}},
    "repo": {
        "repo": {"type": "string"},
        "path": {"type": ["string", "null"]},
        "ref": {"type": ["string", "null"]},
    },
    "lock": {"lock": {"type": "object"}},
    "manager_snapshot": {"manager_snapshot": {"type": ["object", "string"]}},
    "workflow": {"workflow": {"type": "object"}, **_OF_WORKFLOW},
    "workflow_file": {
        "workflow_file": {"anyOf": [ID, {"type": "array", "items": ID, "minItems": 1, "maxItems": 50}]},
        **_OF_WORKFLOW,
    },
    "template": {"template": {"type": "string"}, **_OF_WORKFLOW},
}
"""The forms of a manifest, by the field that tells them apart."""
Manifest = Annotated[
    dict[str, Any],
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "object", "properties": fields, "required": [name], "additionalProperties": False}
                for name, fields in _FORMS.items()
            ]
        }
    ),
]


def _with_commas(words: type[Word]) -> WithJsonSchema:
    one = "|".join(each.value for each in words)
    return WithJsonSchema({"type": "string", "pattern": f"^({one})(,({one}))*$"})


_SPLIT = BeforeValidator(lambda text: tuple(str(text).split(",")))
Kinds = Annotated[tuple[Kind, ...], _SPLIT, _with_commas(Kind)]
Tones = Annotated[tuple[Tone, ...], _SPLIT, _with_commas(Tone)]
