"""Which form a JSON value is: a graph of ComfyUI's pages (UI), of its API, or one of the envelopes around them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.protocol.left_out import readable
from app.workflowfile.errors import NoWorkflow
from app.workflowfile.json_text import BadText, Budget, load_text

_ENVELOPES = ("workflow", "prompt", "input", "extra_pnginfo", "extra_data", "comment")
_MOST_WRAPPED = 6


@dataclass(frozen=True)
class Graphs:
    """The graphs of one file, raw: `ui` has nodes, hints and subgraphs, `api` what was sent to be run. One may be
    None."""

    ui: Mapping[str, Any] | None
    api: Mapping[str, Any] | None


def graphs_of(values: Mapping[str, Any], what: str, budget: Budget | None = None) -> Graphs:
    """The first graph of each form in values by their names. Raises NoWorkflow, which says what the value is if that is
    known."""
    found: dict[str, Mapping[str, Any]] = {}
    budget = budget or Budget()
    for value in values.values():
        _look_for(value, found, _MOST_WRAPPED, budget)
    if not found:
        raise NoWorkflow(f"{what} is no workflow of ComfyUI: {_name_of(next(iter(values.values())))}.")
    return Graphs(found.get("ui"), found.get("api"))


def is_ui(value: Any) -> bool:
    """Whether a value is a graph as ComfyUI's pages save it."""
    nodes = value.get("nodes") if isinstance(value, dict) else None
    return isinstance(nodes, list) and all(isinstance(node, dict) and "type" in node for node in nodes[:5])


def is_api(value: Any) -> bool:
    """Whether a value is a graph as ComfyUI's API takes it: nodes by their ids."""
    if not isinstance(value, dict) or not value:
        return False
    nodes = [node for node in value.values() if isinstance(node, dict)]
    classes = [node for node in nodes if isinstance(node.get("class_type"), str)]
    return bool(classes) and 2 * len(classes) >= len(value)


def _look_for(value: Any, found: dict[str, Mapping[str, Any]], deeper: int, budget: Budget) -> None:
    """Puts the graphs in a value into `found`, also those in envelopes and in texts within texts."""
    if isinstance(value, str) and deeper and value.lstrip()[:1] in ("{", "[", '"'):
        try:
            value = load_text(value, budget)
        except BadText:
            return
        _look_for(value, found, deeper - 1, budget)
    elif is_ui(value):
        found.setdefault("ui", value)
    elif is_api(value):
        found.setdefault("api", value)
    elif isinstance(value, dict) and deeper:
        for name in _ENVELOPES:
            if name in value:
                _look_for(value[name], found, deeper - 1, budget)


def _name_of(value: Any) -> str:
    """What a value is instead, for the person who chose the file."""
    if isinstance(value, dict):
        if "git_custom_nodes" in value or "cnr_custom_nodes" in value:
            return "it is a snapshot of ComfyUI-Manager; choose it as a list of node packs"
        if "node_packs" in value:
            return "it is a lock of Nodeferry; choose it as a list of node packs"
        keys = ", ".join(readable(key)[:30] for key in list(value)[:4])
        return "it has neither nodes nor classes%s" % (f", only {keys}" if keys else "")
    return "it is a list" if isinstance(value, list) else "it is a single value"
