"""What people read on the pages stands in the table of words, in one language as in the next."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from app import words
from app.words import LANGUAGE, Text, table
from test.house.sources import ROOT

TEMPLATES = sorted((ROOT / "app" / "webui" / "templates").glob("*.html"))
FOLDER = Path(words.__file__).parent
LANGUAGES = sorted(path.name for path in FOLDER.iterdir() if list(path.glob("*.json")))
JINJA = re.compile(r"\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}", re.DOTALL)
WORD = re.compile(r"""\bword\(\s*["']([\w.]+)["']""")
READ_ALOUD = re.compile(r"""\b(?:aria-label|title|placeholder|alt)="([^"]*[A-Za-z]{2}[^"]*)\"""")
PLACE = re.compile(r"\{(\w+)\}")
NAMES = re.compile(r"Nodeferry|openapi\.json")
EXAMPLES = re.compile(r"(?:ssh -p |https://).*")


def _forms(text: Text) -> list[str]:
    return [text] if isinstance(text, str) else list(text.values())


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_a_template_has_no_words_of_its_own(path: Path) -> None:
    """Neither between its tags nor in what is read aloud."""
    source = JINJA.sub("", path.read_text("utf-8"))
    said = READ_ALOUD.findall(source)
    shown = re.sub(r"<[^>]*>", " ", source)
    found = [*said, *re.findall(r"[A-Za-z][A-Za-z’' ]{2,}", NAMES.sub("", shown))]
    assert [text for text in found if not EXAMPLES.fullmatch(text)] == []


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_the_words_that_a_template_asks_for_are_known(path: Path) -> None:
    asked = set(WORD.findall(path.read_text("utf-8")))
    assert {key for key in asked if not key.endswith(("_", "."))} <= set(table())


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_language_has_known_keys_with_the_same_places(language: str) -> None:
    """What is not translated is read in English; what is has every value in it."""
    english = table(LANGUAGE)
    for path in sorted((FOLDER / language).glob("*.json")):
        for key, text in json.loads(path.read_text("utf-8")).items():
            known = english[f"{path.stem}.{key}"]
            places = {name for form in _forms(known) for name in PLACE.findall(form)}
            assert {name for form in _forms(text) for name in PLACE.findall(form)} <= places, f"{path.stem}.{key}"
            assert isinstance(text, str) or {"one", "other"} <= set(text), f"{path.stem}.{key}"


def test_no_word_of_the_shell_is_out_of_use() -> None:
    """Those that begin alike may be asked for by their beginning: `shell.notify_${state}`."""
    places = [*(ROOT / "app").rglob("*.py"), *(ROOT / "app" / "webui").rglob("*.js"), *TEMPLATES]
    asked = "\n".join(path.read_text("utf-8") for path in places)
    begun = re.findall(r"[\"'`]((?:shell|common)\.\w*?_?)(?:\$\{|[\"'] ~|\{)", asked)
    own = [key for key in table() if key.startswith(("shell.", "common."))]
    unused = [key for key in own if key not in asked and not key.startswith(tuple(each for each in begun if each))]
    assert unused == []
