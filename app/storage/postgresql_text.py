"""Texts that SQLite takes and PostgreSQL refuses: U+0000, and in JSON also halves of surrogate pairs.

Packs print such, and a client may send it. Each is stored as a mark and its number, and read back as it was. PostgreSQL
takes U+0000 in a JSON document, but then no field of that document can be asked for.
"""

from __future__ import annotations

import re
from typing import Any

_MARK = "\ue000"
"""Of Unicode's private use. In a text it stands as itself and `e000`."""
_ODD = re.compile("[\x00\ue000]")
_STORED = re.compile("\ue000([0-9a-f]{4})")
_TOKEN = re.compile(r"\\(?:u(d[89ab][0-9a-f]{2})\\u(d[c-f][0-9a-f]{2})|u(0000|e000|d[89a-f][0-9a-f]{2})|.)", re.DOTALL)
"""An escape in JSON of ASCII letters: a whole pair, one that PostgreSQL refuses, any other."""
_JSON_STORED = re.compile(r"\\ue000([0-9a-f]{4})|\\.", re.DOTALL)


def storable(text: str) -> str:
    """`text` as PostgreSQL takes it."""
    if "\x00" not in text and _MARK not in text:
        return text
    return _ODD.sub(lambda found: f"{_MARK}{ord(found[0]):04x}", text)


def as_it_was(text: str) -> str:
    """What was stored as `text`."""
    return _STORED.sub(lambda found: chr(int(found[1], 16)), text) if _MARK in text else text


def storable_json(text: str) -> str:
    """The same for JSON of ASCII letters, as `json.dumps` writes it."""
    if "\\u0000" not in text and "\\ud" not in text and "\\ue000" not in text:
        return text
    return _TOKEN.sub(lambda found: f"\\ue000{found[3]}" if found[3] else found[0], text)


def json_as_it_was(text: str) -> str:
    """The JSON that was stored as `text`."""
    if "\\ue000" not in text:
        return text
    return _JSON_STORED.sub(lambda found: f"\\u{found[1]}" if found[1] else found[0], text)


def adapt(connection: Any) -> None:
    """Has a connection of psycopg write and read every text so."""
    from psycopg.types.string import StrDumperUnknown, TextLoader

    class Dumper(StrDumperUnknown):
        def dump(self, obj: str) -> Any:
            return super().dump(storable(obj))

    class Loader(TextLoader):
        def load(self, data: Any) -> Any:
            found = super().load(data)
            return as_it_was(found) if isinstance(found, str) else found

    connection.adapters.register_dumper(str, Dumper)
    for name in ("text", "varchar"):
        connection.adapters.register_loader(name, Loader)
