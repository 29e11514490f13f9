"""Every word that people read on the pages and on the command line: one table a language, keys by area.

A file `LANGUAGE/AREA.json` holds `{"key": "text with {name}"}`; a text that depends on a number `n` is an object of the
plural forms, `{"one": "{n} node pack", "other": "{n} node packs"}`. Messages of errors are the reasons' (app.protocol).
Another language is another folder with the same keys; what it lacks is read in English.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final

Text = str | Mapping[str, str]
LANGUAGE: Final = "en"
_PLACE = re.compile(r"\{(\w+)\}")
_FOLDER = Path(__file__).parent


@cache
def table(language: str = LANGUAGE) -> Mapping[str, Text]:
    """All texts of a language; the key is `AREA.KEY`."""
    found: dict[str, Text] = {} if language == LANGUAGE else dict(table())
    for path in sorted((_FOLDER / language).glob("*.json")):
        found.update({f"{path.stem}.{key}": text for key, text in json.loads(path.read_text("utf-8")).items()})
    return found


def word(key: str, **values: object) -> str:
    """The text of a key with its values in it; `n` chooses the plural form. Raises KeyError for an unknown key."""
    text = table()[key]
    if not isinstance(text, str):
        text = text["one" if values["n"] == 1 else "other"]
    return _PLACE.sub(lambda found: str(values.get(found[1], found[0])), text)
