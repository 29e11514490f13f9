"""The nodes of a workflow: which ones run, and which only have to open without red boxes.

A node does not run if it is muted or bypassed, or stands in a subgraph or group node that is. Subgraphs and group nodes
count where they are used, not where they are defined; each definition is visited once for what runs and once for what
does not, so that a hundred uses of one cost nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from app.workflowfile.errors import TooMuch
from app.workflowfile.forms import Graphs
from app.workflowfile.limits import MAX_DEFINITIONS, MAX_DEPTH, MAX_NAME, MAX_NODES

_MUTED, _BYPASSED = 2, 4
_GROUP_MARKS = ("workflow>", "workflow/")
_COMPONENT_MARK = "## "
"""Of the classes that ComfyUI-Workflow-Component makes of the graphs in `components`."""
CORE_IDS = frozenset({"comfy-core", "comfyui-core", "comfyui"})
"""What hints call ComfyUI itself."""


@dataclass(frozen=True)
class Node:
    """A node. `node_id` is its id, behind those of the subgraphs around it, with colons: `12:3`. `widgets` are a list
    in a UI graph, by input name in an API graph. The hints are what ComfyUI wrote when the node was made: they may be
    missing, old or a fork's."""

    node_id: str
    class_name: str
    runs: bool
    title: str | None = None
    widgets: Any = None
    models: tuple[Mapping[str, Any], ...] = ()
    cnr_id: str | None = None
    aux_id: str | None = None
    ver: str | None = None


@dataclass(frozen=True)
class Workflow:
    """What a file holds: all nodes that are reached, and what it says of itself. `unreadable`: how many nodes have a
    class that cannot be a name; they are none of `nodes`."""

    form: str
    nodes: tuple[Node, ...]
    models: tuple[Mapping[str, Any], ...] = ()
    frontend_version: str | None = None
    node_versions: Mapping[str, str] = field(default_factory=dict)
    unreadable: int = 0

    def classes(self, runs: bool = True) -> dict[str, list[Node]]:
        """The nodes by their class: of those that run, or of all."""
        found: dict[str, list[Node]] = {}
        for node in self.nodes:
            if node.runs or not runs:
                found.setdefault(node.class_name, []).append(node)
        return found


def read_workflow(graphs: Graphs) -> Workflow:
    """The workflow of a file's graphs: of the UI form where there is one, since it alone has hints. Raises TooMuch."""
    if graphs.ui is not None:
        return _Reached(graphs.ui).workflow()
    graph = graphs.api or {}
    unreadable = sum(isinstance(raw, dict) and _is_unreadable(raw.get("class_type")) for raw in graph.values())
    return Workflow("api", tuple(_api_nodes(graph)), unreadable=unreadable)


def _api_nodes(graph: Mapping[str, Any]) -> Iterator[Node]:
    if len(graph) > MAX_NODES:
        raise TooMuch(f"The workflow has more than {MAX_NODES} nodes.")
    for node_id, raw in graph.items():
        if not isinstance(raw, dict):
            continue
        name, meta = _text(raw.get("class_type")), raw.get("_meta")
        if name:
            inputs = raw.get("inputs")
            title = _text(meta.get("title")) if isinstance(meta, dict) else None
            yield Node(node_id[:MAX_NAME], name, True, title, inputs if isinstance(inputs, dict) else {})


class _Reached:
    """Walks a UI graph from its top level through the subgraphs and group nodes that are used."""

    def __init__(self, graph: Mapping[str, Any]) -> None:
        self._graph = graph
        self._subgraphs = _by_id(_inside(graph, "definitions", "subgraphs"))
        self._groups = _inside(graph, "extra", "groupNodes")
        components = graph.get("components")
        self._components = components if isinstance(components, dict) else {}
        self._visited: set[tuple[str, bool]] = set()
        self._nodes: list[Node] = []
        self._unreadable = 0

    def workflow(self) -> Workflow:
        extra = self._graph.get("extra")
        extra = extra if isinstance(extra, dict) else {}
        self._visit(self._graph.get("nodes"), "", True, 0)
        versions = extra.get("node_versions")
        return Workflow(
            "ui",
            tuple(self._nodes),
            _models(self._graph.get("models")),
            _text(extra.get("frontendVersion")),
            {str(name): str(ver) for name, ver in versions.items()} if isinstance(versions, dict) else {},
            self._unreadable,
        )

    def _visit(self, nodes: Any, path: str, runs: bool, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise TooMuch(f"The workflow has more than {MAX_DEPTH} subgraphs within each other.")
        for index, raw in enumerate(nodes if isinstance(nodes, list) else ()):
            if not isinstance(raw, dict):
                continue
            name = _text(raw.get("type"))
            if name is None:
                self._unreadable += _is_unreadable(raw.get("type"))
                continue
            on = runs and raw.get("mode") not in (_MUTED, _BYPASSED)
            node_id = (path + str(raw.get("id", index)))[:MAX_NAME]
            definition = self._definition(name)
            if definition is None or name.startswith(_COMPONENT_MARK):
                self._add(_ui_node(raw, name, node_id, on))
            if definition is not None and (name, on) not in self._visited:
                self._visited.add((name, on))
                self._visit(definition.get("nodes"), node_id + ":", on, depth + 1)

    def _definition(self, name: str) -> Mapping[str, Any] | None:
        """What a node that is a subgraph or a group node is made of; None for any other."""
        if name in self._subgraphs:
            return self._subgraphs[name]
        mark = next((mark for mark in _GROUP_MARKS if name.startswith(mark)), None)
        groups = self._groups if mark else self._components if name.startswith(_COMPONENT_MARK) else {}
        group = groups.get(name.removeprefix(mark or "")) if isinstance(groups, dict) else None
        return group if isinstance(group, dict) else None

    def _add(self, node: Node) -> None:
        self._nodes.append(node)
        if len(self._nodes) > MAX_NODES:
            raise TooMuch(f"The workflow has more than {MAX_NODES} nodes.")


def _ui_node(raw: Mapping[str, Any], name: str, node_id: str, runs: bool) -> Node:
    properties = raw.get("properties")
    hints = properties if isinstance(properties, dict) else {}
    widgets = raw.get("widgets_values")
    return Node(
        node_id,
        name,
        runs,
        _text(raw.get("title")),
        widgets if isinstance(widgets, (list, dict)) else [],
        _models(hints.get("models")),
        _text(hints.get("cnr_id")),
        _text(hints.get("aux_id")),
        _text(hints.get("ver")),
    )


def _inside(graph: Mapping[str, Any], outer: str, inner: str) -> Any:
    value = graph.get(outer)
    return value.get(inner) if isinstance(value, dict) else None


def _by_id(definitions: Any) -> dict[str, Mapping[str, Any]]:
    found: dict[str, Mapping[str, Any]] = {}
    entries = definitions if isinstance(definitions, list) else []
    if len(entries) > MAX_DEFINITIONS:
        raise TooMuch(f"The workflow has more than {MAX_DEFINITIONS} subgraphs.")
    for each in entries:
        if isinstance(each, dict) and _text(each.get("id")):
            found[each["id"]] = each
    return found


def _models(raw: Any) -> tuple[Mapping[str, Any], ...]:
    return tuple(each for each in raw if isinstance(each, dict)) if isinstance(raw, list) else ()


def _text(value: Any) -> str | None:
    """A name or a version; None for anything that cannot be one."""
    text = value.strip() if isinstance(value, str) else ""
    return text if text and len(text) <= MAX_NAME and text.isprintable() else None


def _is_unreadable(class_name: Any) -> bool:
    """Whether a node says of what class it is, and that is no name."""
    return class_name not in (None, "") and _text(class_name) is None
