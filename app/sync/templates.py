"""ComfyUI's official workflow templates, by name: from the package `comfyui-workflow-templates-json`, where somebody
has installed it. It is another project's (MIT), and optional: nothing of it is part of Nodeferry."""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from app.domain.errors import AppError, InvalidRequest
from app.workflowfile.errors import WorkflowFileError
from app.workflowfile.forms import Graphs, graphs_of
from app.workflowfile.json_text import BadText, load_text

PACKAGE = "comfyui_workflow_templates_json"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._()+-]{0,199}")
_MOST_BYTES = 32 * 1024 * 1024
_MOST_TEXT = 500
_MOST_LISTED = 5000


class TemplatesMissing(AppError):
    """The package of the templates is not installed where this service runs."""

    code = "templates_missing"

    def __init__(self) -> None:
        super().__init__(
            "ComfyUI's official templates are not installed where this service runs.", field="manifest.template"
        )


class TemplateNotFound(AppError):
    """There is no template of this name."""

    code = "template_not_found"


@dataclass(frozen=True, slots=True)
class Template:
    """What the list says of one. `size`: of its models, in bytes, None where it is not said; `hosted`: it calls paid
    services on the web; `min_comfyui_version`: the oldest ComfyUI for it."""

    name: str
    title: str
    description: str
    category: str
    tags: tuple[str, ...]
    models: tuple[str, ...]
    size: int | None
    min_comfyui_version: str | None
    hosted: bool
    usage: int = 0

    def has(self, words: Sequence[str]) -> bool:
        """Whether each of these words, in lower case, is in what is said of it."""
        said = " ".join((self.name, self.title, self.description, *self.tags, *self.models)).lower()
        return all(each in said for each in words)

    def to_json(self) -> dict[str, Any]:
        """As the API has it."""
        found = {**asdict(self), "tags": list(self.tags), "models": list(self.models)}
        del found["usage"]
        return found


def listed() -> tuple[Template, ...]:
    """All templates, those first that are used most. Raises TemplatesMissing."""
    folder = _folder()
    try:
        return _read_index(folder, (folder / "index.json").stat().st_mtime_ns)
    except (OSError, ValueError) as exc:
        raise TemplatesMissing from exc


def found(words: str = "", category: str = "") -> list[Template]:
    """Those with all of these words, of a category. Raises TemplatesMissing."""
    each_word = words.lower().split()
    return [each for each in listed() if each.has(each_word) and (not category or each.category == category)]


def categories() -> list[dict[str, Any]]:
    """The categories with how many templates they have, by name. Raises TemplatesMissing."""
    names = [each.category for each in listed()]
    return [{"name": name, "count": names.count(name)} for name in sorted(set(names))]


def find(name: object) -> tuple[Template, Graphs]:
    """A template and its graph. Raises TemplatesMissing, TemplateNotFound, InvalidRequest."""
    known = next((each for each in listed() if each.name == name), None)
    if known is None:
        raise TemplateNotFound(f"No official template is called {str(name)[:80]!r}.", field="manifest.template")
    try:
        with (_folder() / f"{known.name}.json").open("rb") as file:
            value = load_text(file.read(_MOST_BYTES).decode("utf-8"))
        return known, graphs_of({"": value}, f"The template {known.name}")
    except (OSError, ValueError, BadText, WorkflowFileError) as exc:
        raise InvalidRequest(f"The template {known.name} cannot be read: {exc}"[:300], field="template") from exc


def _folder() -> Path:
    """Raises TemplatesMissing."""
    importlib.invalidate_caches()  # it may have been installed since
    spec = importlib.util.find_spec(PACKAGE)
    places = list(spec.submodule_search_locations or ()) if spec else []
    folder = next((Path(place) / "templates" for place in places if (Path(place) / "templates").is_dir()), None)
    if folder is None:
        raise TemplatesMissing
    return folder


@lru_cache(maxsize=2)
def _read_index(folder: Path, _changed: int) -> tuple[Template, ...]:
    """Raises ValueError, OSError."""
    groups = json.loads((folder / "index.json").read_text("utf-8"))
    entries = [(group, raw) for group in _records(groups) for raw in _records(group.get("templates"))]
    read = [_template(group, raw) for group, raw in entries[:_MOST_LISTED] if _is_named(raw.get("name"))]
    return tuple(sorted({each.name: each for each in read}.values(), key=lambda each: -each.usage))


def _records(value: Any) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _is_named(name: Any) -> bool:
    return isinstance(name, str) and _NAME.fullmatch(name) is not None and ".." not in name


def _template(group: dict[str, Any], raw: dict[str, Any]) -> Template:
    return Template(
        raw["name"],
        _text(raw.get("title")) or raw["name"],
        _text(raw.get("description")),
        _text(group.get("title")),
        _texts(raw.get("tags")),
        _texts(raw.get("models")),
        _count(raw.get("size")),
        _text(raw.get("minComfyUIVersion")) or None,
        raw.get("openSource") is False,
        _count(raw.get("usage")) or 0,
    )


def _text(value: Any) -> str:
    return " ".join(value.split())[:_MOST_TEXT] if isinstance(value, str) else ""


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(filter(None, map(_text, value[:20]))) if isinstance(value, list) else ()


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53 else None
