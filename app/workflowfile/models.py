"""The models of a workflow: those that it declares with a URL and a folder, and those that only a widget names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from app.protocol.model_names import model_url
from app.workflowfile.graph import Node, Workflow
from app.workflowfile.limits import MAX_NAME

EXTENSIONS = (".safetensors", ".sft", ".ckpt", ".pt", ".pt2", ".pth", ".bin", ".pkl", ".gguf", ".onnx")
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")


@dataclass(frozen=True)
class Model:
    """A model file. `name` is as its loader has it, with forward slashes: `sdxl/base.safetensors`. What is not known is
    None. `node_ids` are the nodes that name it."""

    name: str
    folder: str | None
    url: str | None
    sha256: str | None
    runs: bool
    node_ids: tuple[str, ...]

    @property
    def file_name(self) -> str:
        """The last part of the name."""
        return self.name.rpartition("/")[2]


def models_of(workflow: Workflow) -> list[Model]:
    """Each model once, in the order in which they come. A declaration gives the folder and the URL of a name that a
    widget has too."""
    declared: dict[str, Model] = {}
    named: dict[str, Model] = {}
    for raw in workflow.models:
        _declare(declared, raw, None)
    for node in workflow.nodes:
        for raw in node.models:
            _declare(declared, raw, node)
        for name in _names(node.widgets):
            found = Model(name, None, None, None, node.runs, (node.node_id,))
            named[name] = _both(named[name], found) if name in named else found
    return _merged(declared, named)


def _merged(declared: dict[str, Model], named: dict[str, Model]) -> list[Model]:
    """Names of widgets first; a declaration that no widget has is what its node loads anyway."""
    by_file = {model.file_name: key for key, model in declared.items()}
    found, used = [], set()
    for name, model in named.items():
        key = name if name in declared else by_file.get(model.file_name)
        if key is not None:
            used.add(key)
            found.append(_both(replace(declared[key], name=name, runs=False), model))
        else:
            found.append(model)
    return found + [model for key, model in declared.items() if key not in used]


def _declare(declared: dict[str, Model], raw: Mapping[str, Any], node: Node | None) -> None:
    name = _path(raw.get("name"))
    if name is None:
        return
    runs = node.runs if node else True
    digest = raw.get("hash") if str(raw.get("hash_type", "")).upper().replace("-", "") == "SHA256" else None
    sha256 = digest.lower() if isinstance(digest, str) and _SHA256.fullmatch(digest) else None
    model = Model(
        name, _path(raw.get("directory")), model_url(raw.get("url")), sha256, runs, (node.node_id,) if node else ()
    )
    declared[name] = _both(declared[name], model) if name in declared else model


def _both(one: Model, other: Model) -> Model:
    return replace(
        one,
        folder=one.folder or other.folder,
        url=one.url or other.url,
        sha256=one.sha256 or other.sha256,
        runs=one.runs or other.runs,
        node_ids=one.node_ids + tuple(each for each in other.node_ids if each not in one.node_ids),
    )


def _names(widgets: Any, depth: int = 0) -> Iterator[str]:
    """The texts that name a model's file, in a node's widgets."""
    if isinstance(widgets, str):
        name = _path(widgets) if widgets.lower().endswith(EXTENSIONS) and "\n" not in widgets else None
        if name is not None and "://" not in widgets:
            yield name
    elif isinstance(widgets, (list, dict)) and depth < 4:
        for value in widgets if isinstance(widgets, list) else widgets.values():
            yield from _names(value, depth + 1)


def _path(value: Any) -> str | None:
    """A relative path with forward slashes; None for what would leave its folder, or is none."""
    if not isinstance(value, str) or not value.strip() or len(value) > MAX_NAME or not value.isprintable():
        return None
    parts = value.strip().replace("\\", "/").strip("/").split("/")
    if value.startswith(("/", "~")) or ":" in parts[0] or any(part in ("", ".", "..") for part in parts):
        return None
    return "/".join(parts)
