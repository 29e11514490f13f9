"""The pages' modules are written so that they can be joined, and the joined script is what they are."""

from __future__ import annotations

import re

import pytest

from app.webui.assets import modules
from app.webui.bundle import EXPORT, IMPORT, joined
from app.words import table

SOURCES = modules()
PAGES = [name for name in SOURCES if name.startswith("js/pages/")]
WORD = re.compile(r'\bword\("([\w.]+)"')


@pytest.mark.parametrize("name", SOURCES)
def test_a_module_has_only_imports_and_exports_that_are_understood(name: str) -> None:
    source = SOURCES[name]
    assert len(re.findall(r"^import\b", source, re.MULTILINE)) == len(IMPORT.findall(source))
    assert len(re.findall(r"^export\b", source, re.MULTILINE)) == len(EXPORT.findall(source))
    assert name in PAGES or not re.search(r"^(?:const [^=]*= )?await\b", source, re.MULTILINE)


@pytest.mark.parametrize("page", PAGES)
def test_no_import_or_export_is_left_in_a_page_s_script(page: str) -> None:
    assert not re.search(r"^(?:import|export)\b", joined(page, SOURCES), re.MULTILINE)


@pytest.mark.parametrize("name", SOURCES)
def test_what_a_module_imports_is_exported(name: str) -> None:
    for names, path in IMPORT.findall(SOURCES[name]):
        folder = name.rsplit("/", 1)[0]
        target = f"{folder}/{path}".replace("/./", "/")
        while "/../" in target:
            target = re.sub(r"[^/]+/\.\./", "", target, count=1)
        wanted = {part.split(" as ")[0].strip() for part in names.split(",") if part.strip()}
        assert wanted <= set(EXPORT.findall(SOURCES[target])), f"{name}: {target}"


def test_every_word_that_a_module_asks_for_is_in_the_table() -> None:
    asked = {key for source in SOURCES.values() for key in WORD.findall(source)}
    assert asked <= set(table())
