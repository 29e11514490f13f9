"""A request's JSON, parsed by ourselves before any model sees it: malformed text is named with its position."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from app.domain.errors import InvalidRequest
from app.sync.http.errors import NotJson

MAX_BYTES = 1024 * 1024
MALFORMED = "malformed_json"


def check_content_type(content_type: str, *, empty: bool) -> None:
    """Raises NotJson for anything but application/json in UTF-8. A request without a body needs none, but may not name
    another: a form of another site always does."""
    kind, _, parameters = content_type.lower().partition(";")
    if empty and not kind.strip():
        return
    if kind.strip() != "application/json" or parameters.replace('"', "").strip() not in {"", "charset=utf-8"}:
        raise NotJson


def parse_object(raw: bytes) -> dict[str, Any]:
    """The JSON object in `raw`. Raises InvalidRequest (`malformed_json`) for anything else, also for a name that comes
    twice, NaN, a number that no float holds, text that is no Unicode."""
    try:
        text = raw.decode("utf-8-sig")
        value = json.loads(text, object_pairs_hook=_object, parse_constant=_constant, parse_float=_float)
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except json.JSONDecodeError as exc:
        raise _malformed(f"{exc.msg} at line {exc.lineno}, column {exc.colno}") from None
    except UnicodeDecodeError as exc:
        raise _malformed(f"byte {exc.start} is not UTF-8") from None
    except UnicodeEncodeError:
        raise _malformed("a text has an invalid character in it (half of a surrogate pair)") from None
    except RecursionError:
        raise _malformed("it is nested too deeply") from None
    except ValueError as exc:
        raise _malformed(str(exc)) from None
    if not isinstance(value, dict):
        raise InvalidRequest("The request's body is not a JSON object.", hint="Send an object: {…}.", code=MALFORMED)
    return value


def _malformed(what: str) -> InvalidRequest:
    return InvalidRequest(f"The request's body is not valid JSON: {what}.", code=MALFORMED)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise ValueError(f"the name {name[:80]!r} comes twice in an object")
            seen.add(name)
    return found


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _float(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError("a number is too large")
    return value
