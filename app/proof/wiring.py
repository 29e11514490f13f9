"""What fills the inputs of each node that runs: a link to a node that runs, a value, or nothing.

A graph of ComfyUI's page has much that never runs: subgraphs, reroutes, primitives, muted and bypassed nodes.
Links are followed through all of it as the page does when it sends the graph. A graph of the API is taken as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from app.nodemap.virtual import is_virtual
from app.proof.bypass import Slot, inputs_of, output_of, passed_on, type_of
from app.proof.limits import MAX_DEPTH, MAX_NODES, MAX_TEXT
from app.proof.node_specs import Specs
from app.workflowfile.errors import TooMuch

_MUTED, _BYPASSED = 2, 4
_INSIDE_INPUT, _INSIDE_OUTPUT = -10, -20
_GROUP_MARKS = ("workflow>", "workflow/")
_PASSING = frozenset({"Reroute", "Reroute (rgthree)"})


@dataclass(frozen=True)
class FromNode:
    """An output of a node that runs."""

    node_id: str
    slot: int


@dataclass(frozen=True)
class FromValue:
    """A value that another node or a subgraph's node gives."""

    value: Any


@dataclass(frozen=True)
class NotFollowed:
    """Something that cannot be followed without the page."""

    why: str


Source = FromNode | FromValue | NotFollowed


@dataclass(frozen=True)
class RunNode:
    """A node that the page would send. `links`: what its inputs are linked to; None for a link that leads to nothing.
    `widgets` as the file has them; `exact`: they are inputs by name. `marked`: its inputs with a widget."""

    node_id: str
    class_name: str
    title: str
    links: Mapping[str, Source | None]
    widgets: Any
    exact: bool = False
    marked: frozenset[str] = frozenset()
    is_linked: bool = True
    """Whether any link begins or ends at it."""


def api_nodes(graph: Mapping[str, Any]) -> dict[str, RunNode]:
    """The nodes of a graph of the API."""
    found = {}
    for node_id, raw in list(graph.items())[: MAX_NODES + 1]:
        name = raw.get("class_type") if isinstance(raw, dict) else None
        if not isinstance(name, str):
            continue
        inputs = _mapping(raw.get("inputs"))
        links = {key: _api_link(value, graph) for key, value in inputs.items() if isinstance(value, list)}
        values = {key: _unwrapped(value) for key, value in inputs.items() if key not in links}
        title = _text(_mapping(raw.get("_meta")).get("title"))
        found[str(node_id)] = RunNode(str(node_id)[:MAX_TEXT], name, title, links, values, exact=True)
    return _bounded(found)


def _api_link(value: list[Any], graph: Mapping[str, Any]) -> Source | None:
    if len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], int) and value[0] in graph:
        return FromNode(value[0], value[1])
    return None


def _unwrapped(value: Any) -> Any:
    return value["__value__"] if isinstance(value, dict) and "__value__" in value else value


def ui_nodes(graph: Mapping[str, Any], specs: Specs) -> dict[str, RunNode]:
    """The nodes that the page of a ComfyUI with these classes would send of its graph. Raises TooMuch."""
    subgraphs = _mapping(graph.get("definitions")).get("subgraphs")
    definitions = _Definitions({str(each.get("id")): each for each in _dicts(subgraphs)}, specs)
    found: dict[str, RunNode] = {}
    for node in _Scope(graph, definitions).running():
        found[node.node_id] = node
        if len(found) > MAX_NODES:
            raise TooMuch(f"The workflow has more than {MAX_NODES} nodes.")
    return found


def _bounded(found: dict[str, RunNode]) -> dict[str, RunNode]:
    if len(found) > MAX_NODES:
        raise TooMuch(f"The workflow has more than {MAX_NODES} nodes.")
    return found


@dataclass
class _Definitions:
    """The subgraphs by their ids, how many uses of them were looked into, and the classes that there are."""

    by_id: Mapping[str, Mapping[str, Any]]
    specs: Specs
    uses: int = 0

    def used(self, name: object) -> Mapping[str, Any] | None:
        """The subgraph of this name. Raises TooMuch."""
        found = self.by_id.get(str(name))
        self.uses += found is not None
        if self.uses > MAX_NODES:
            raise TooMuch(f"The workflow uses more than {MAX_NODES} subgraphs.")
        return found


@dataclass
class _Scope:
    """A graph, or one use of a subgraph: `node` is the node that it is used as, in the scope `outer`."""

    graph: Mapping[str, Any]
    definitions: _Definitions
    prefix: str = ""
    outer: _Scope | None = None
    node: Mapping[str, Any] = field(default_factory=dict)
    depth: int = 0

    def __post_init__(self) -> None:
        self.nodes = {str(each.get("id")): each for each in _dicts(self.graph.get("nodes"))}
        self.links = dict(_links(self.graph.get("links")))
        self._origins = {node_id for node_id, _ in self.links.values()}
        self._targets = dict(_targets(self.graph.get("links")))
        self._variables = dict(_variables(self.nodes.values()))
        inputs = (each for raw in self.nodes.values() for each in _dicts(raw.get("inputs")))
        self._widget_links = {str(each.get("link")) for each in inputs if each.get("widget")}
        self._passed: dict[tuple[str, int, str], Slot | None] = {}
        self._inner: dict[str, _Scope | None] = {}
        self._promoted_names: list[str] | None = None

    def running(self) -> Iterator[RunNode]:
        """The nodes of this scope and of those within that the page would send."""
        for node_id, raw in self.nodes.items():
            name = _text(raw.get("type"))
            if not name or raw.get("mode") in (_MUTED, _BYPASSED) or is_virtual(name):
                continue
            inner = self.inner(node_id)
            if inner is not None:
                yield from inner.running()
            elif not name.startswith(_GROUP_MARKS):
                yield self._run_node(node_id, raw, name)

    def inner(self, node_id: str) -> _Scope | None:
        """The subgraph that a node is a use of. Raises TooMuch."""
        if node_id not in self._inner:
            raw = self.nodes[node_id]
            definition = self.definitions.used(raw.get("type"))
            if definition is not None and self.depth >= MAX_DEPTH:
                raise TooMuch(f"The workflow has more than {MAX_DEPTH} subgraphs within each other.")
            inner = definition and _Scope(
                definition, self.definitions, f"{self.prefix}{node_id}:"[-MAX_TEXT:], self, raw, self.depth + 1
            )
            self._inner[node_id] = inner or None
        return self._inner[node_id]

    def _run_node(self, node_id: str, raw: Mapping[str, Any], name: str) -> RunNode:
        inputs, links = _dicts(raw.get("inputs")), {}
        spec = self.definitions.specs.get(name)
        for each in inputs:
            if each.get("link") is None or not isinstance(each.get("name"), str):
                continue
            source = self.source(each["link"], MAX_DEPTH, type_of(each, spec))
            if source is not _OWN:
                links[each["name"]] = source
        outputs = [link for each in _dicts(raw.get("outputs")) for link in _list(each.get("links"))]
        marked = frozenset(str(_mapping(each.get("widget")).get("name")) for each in inputs if each.get("widget"))
        return RunNode(
            (self.prefix + node_id)[:MAX_TEXT],
            name,
            _text(raw.get("title")),
            links,  # type: ignore[arg-type]
            raw.get("widgets_values"),
            marked=marked,
            is_linked=bool(links or outputs or node_id in self._origins),
        )

    def source(self, link_id: Any, left: int, wanted: Any) -> Source | _Own | None:
        """What a link of this scope comes from; `left`: how many stations it may still have; `wanted`: the type of the
        input that it goes to."""
        if left <= 0:
            return NotFollowed("its link leads through too many nodes")
        origin = self.links.get(str(link_id))
        if origin is None:
            return None
        node_id, slot = origin
        if node_id == str(_INSIDE_INPUT):
            return self._outside(slot, left)
        raw = self.nodes.get(node_id)
        return None if raw is None else self._of_node(raw, slot, left, wanted)

    def _of_node(self, raw: Mapping[str, Any], slot: int, left: int, wanted: Any) -> Source | _Own | None:
        node_id, name, values = str(raw.get("id")), _text(raw.get("type")), raw.get("widgets_values")
        if raw.get("mode") == _MUTED:
            return None
        if raw.get("mode") == _BYPASSED:
            return self._through(raw, slot, left, wanted)
        if name in _PASSING:
            return self.first(raw, left, wanted)
        if name == "PrimitiveNode":
            return FromValue(values[0]) if isinstance(values, list) and values else NotFollowed("it is a primitive")
        if name == "GetNode":
            return self._variable(values, left, wanted)
        inner = self.inner(node_id)
        if inner is not None:
            return inner.output(slot, left - 1, wanted)
        if is_virtual(name) or name.startswith(_GROUP_MARKS):
            return self.first(raw, left, wanted) if name == "SetNode" else NotFollowed(f"it is linked to {name}")
        return FromNode((self.prefix + node_id)[:MAX_TEXT], slot)

    def first(self, raw: Mapping[str, Any], left: int, wanted: Any) -> Source | _Own | None:
        """What the first input of a node comes from."""
        link = next((each.get("link") for each in _dicts(raw.get("inputs"))), None)
        return None if link is None else self.source(link, left - 1, wanted)

    def _through(self, raw: Mapping[str, Any], slot: int, left: int, wanted: Any) -> Source | _Own | None:
        """What a bypassed node passes on."""
        key = (str(raw.get("id")), slot, str(wanted))
        if key not in self._passed:
            spec = self.definitions.specs.get(_text(raw.get("type")))
            output = output_of(raw, spec, slot)
            self._passed[key] = output and passed_on(inputs_of(raw, spec), output.type, slot, wanted)
        found = self._passed[key]
        return None if found is None or found.link is None else self.source(found.link, left - 1, found.type)

    def _variable(self, values: Any, left: int, wanted: Any) -> Source | _Own | None:
        """A GetNode of the pack KJNodes has what the SetNode of the same name is given."""
        name = values[0] if isinstance(values, list) and values else None
        scope: _Scope | None = self
        while scope is not None:
            raw = scope.setter(name)
            if raw is not None:
                return scope.first(raw, left, wanted)
            scope = scope.outer
        return None

    def setter(self, name: object) -> Mapping[str, Any] | None:
        """The node of this scope that sets a variable."""
        return self._variables.get(name) if isinstance(name, str) else None

    def _outside(self, slot: int, left: int) -> Source | _Own | None:
        """What comes into this use of the subgraph at an input of the subgraph."""
        declared = _dicts(self.graph.get("inputs"))
        if self.outer is None or slot >= len(declared):
            return None
        name = declared[slot].get("name")
        given = _dicts(self.node.get("inputs"))
        each = next((each for each in given if each.get("name") == name), None)
        if each is not None and each.get("link") is not None:
            return self.outer.source(each["link"], left - 1, each.get("type"))
        values = self.node.get("widgets_values")
        if not isinstance(values, list) or not values:
            return _OWN if each is None or each.get("widget") else None
        marked = [str(one.get("name")) for one in given if one.get("widget")]
        for names in (_own_proxies(self.node), self._promoted(), marked):
            if len(names) == len(values) and name in names:
                return FromValue(values[names.index(str(name))])
        return NotFollowed("its value stands at the subgraph's node") if self._is_promoted(declared[slot]) else None

    def _promoted(self) -> list[str]:
        """The inputs of the subgraph that a widget within fills: their values stand at the subgraph's node."""
        if self._promoted_names is None:
            declared = _dicts(self.graph.get("inputs"))
            self._promoted_names = [str(each.get("name")) for each in declared if self._is_promoted(each)]
        return self._promoted_names

    def _is_promoted(self, declared: Mapping[str, Any]) -> bool:
        return any(str(link) in self._widget_links for link in _list(declared.get("linkIds"))[:MAX_TEXT])

    def output(self, slot: int, left: int, wanted: Any) -> Source | _Own | None:
        """What an output of this use of the subgraph gives."""
        if left <= 0:
            return NotFollowed("its link leads through too many nodes")
        link = self._targets.get(slot)
        return None if link is None else self.source(link, left - 1, wanted)


class _Own:
    """The node's own widget has the value."""


_OWN = _Own()


def _links(raw: Any) -> Iterator[tuple[str, tuple[str, int]]]:
    """The origin of each link by its id: a list in a graph, an object in a subgraph."""
    for each in _list(raw):
        if isinstance(each, list) and len(each) >= 5:
            link_id, node_id, slot = each[0], each[1], each[2]
        elif isinstance(each, dict):
            link_id, node_id, slot = each.get("id"), each.get("origin_id"), each.get("origin_slot")
        else:
            continue
        if isinstance(slot, int) and slot >= 0:
            yield str(link_id), (str(node_id), slot)


def _own_proxies(node: Mapping[str, Any]) -> list[str]:
    """The order of the values at a subgraph's node, where it says that itself."""
    listed = _list(_mapping(node.get("properties")).get("proxyWidgets"))
    return [str(each[1]) for each in listed if isinstance(each, list) and len(each) > 1 and str(each[0]) == "-1"]


def _targets(raw: Any) -> Iterator[tuple[int, str]]:
    """The links that lead to an output of the subgraph, by the number of the output."""
    for each in _dicts(raw):
        slot = each.get("target_slot")
        if each.get("target_id") == _INSIDE_OUTPUT and isinstance(slot, int):
            yield slot, str(each.get("id"))


def _variables(nodes: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The nodes that set a variable, by its name."""
    for raw in nodes:
        given = raw.get("widgets_values")
        if raw.get("type") == "SetNode" and isinstance(given, list) and given and isinstance(given[0], str):
            yield given[0], raw


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _dicts(value: Any) -> list[Mapping[str, Any]]:
    """Objects of a list; very old files have them in an object."""
    listed = list(value.values()) if isinstance(value, dict) else _list(value)
    return [each for each in listed if isinstance(each, dict)]


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else ""  # as it is: ComfyUI compares letter by letter
    return text if len(text) <= MAX_TEXT and text.isprintable() else ""
