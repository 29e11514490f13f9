"""The kinds of values that settings have, and how a person is told what was expected."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_settings import NoDecode

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


def _words(value: Any) -> Any:
    """Words with commas between them, or a list of them."""
    parts = value.split(",") if isinstance(value, str) else value
    return [str(part).strip() for part in parts if str(part).strip()] if isinstance(parts, (list, tuple)) else value


def _addresses(value: Any) -> Any:
    """An address may have commas in it."""
    if not isinstance(value, str):
        return _words(value)
    return [part for part in re.split(r"[,\s]+(?=[a-z0-9+]+://)", value.strip(" ,\n")) if part]


def _folder(path: Path) -> Path:
    return path.expanduser().absolute()


def _level(text: Any) -> Any:
    return text.upper() if isinstance(text, str) else text


Words = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_words)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]
Level = Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], BeforeValidator(_level)]
Policy = Literal["allow", "ask", "refuse"]
Addresses = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_addresses)]
Folder = Annotated[Path, AfterValidator(_folder)]
Port = Annotated[int, Field(ge=0, le=65535)]
LogFormat = Literal["text", "json"]
Role = Literal["all", "web", "worker"]

_EXPECTED = {
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "int_type": "a whole number",
    "float_parsing": "a number from 0 on",
    "float_type": "a number from 0 on",
    "finite_number": "a number from 0 on",
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "tuple_type": "a list of words",
    "string_type": "a text",
}


def expected(error: Mapping[str, Any]) -> str:
    """What a setting may be, of one of pydantic's errors."""
    kind, about = str(error["type"]), error.get("ctx") or {}
    if kind == "greater_than_equal":
        return f"a number from {about.get('ge')} on"
    if kind == "less_than_equal":
        return f"a number up to {about.get('le')}"
    if kind == "literal_error":
        return str(about.get("expected")).replace("'", "")
    return _EXPECTED.get(kind) or str(error["msg"])
