"""The verdict on a workflow: each node that runs is held against what the ComfyUI says of its class."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from app.nodemap.virtual import is_virtual
from app.proof import values
from app.proof.findings import Finding, Kind, Proof
from app.proof.limits import MAX_COUNTED
from app.proof.node_specs import Input, Spec, Specs
from app.proof.widget_values import by_name, match
from app.proof.wiring import FromNode, FromValue, NotFollowed, RunNode, api_nodes, ui_nodes
from app.workflowfile.forms import Graphs
from app.workflowfile.graph import read_workflow
from app.workflowfile.models import Model, models_of


def classes_of(graphs: Graphs) -> frozenset[str]:
    """The classes that a ComfyUI has to be asked for; of bypassed nodes it says what they pass on. Raises TooMuch."""
    return frozenset(read_workflow(graphs).classes(runs=False))


def prove(graphs: Graphs, specs: Specs) -> Proof:
    """Whether ComfyUI would run this. Raises TooMuch."""
    workflow = read_workflow(graphs)
    known = {each.name: each for each in models_of(workflow)}
    nodes = ui_nodes(graphs.ui, specs) if graphs.ui is not None else api_nodes(graphs.api or {})
    found = _Judge(nodes, specs, known)
    groups = [node for node in workflow.nodes if node.runs and node.node_id not in nodes and not _is_known(node, specs)]
    return found.proof(groups)


def _is_known(node: Any, specs: Specs) -> bool:
    return is_virtual(node.class_name) or node.class_name in specs


class _Judge:
    """One proof."""

    def __init__(self, nodes: Mapping[str, RunNode], specs: Specs, models: Mapping[str, Model]) -> None:
        self._nodes = nodes
        self._specs = specs
        self._models = models

    def proof(self, only_in_groups: list[Any]) -> Proof:
        """Everything, once. ComfyUI looks at nodes that an output needs; at the class of all."""
        findings = [each for node in self._nodes.values() if (each := self._class(node))]
        findings += [_missing(node.node_id, node.class_name) for node in only_in_groups]
        needed = self._needed()
        if not needed and not findings:
            findings.append(_nothing())
        for node in needed:
            findings += self._node(node) if len(findings) < MAX_COUNTED else ()
        classes = {node.class_name for node in self._nodes.values()}
        return Proof(tuple(findings), {"nodes": len(needed), "classes": len(classes), "models": len(self._models)})

    def _class(self, node: RunNode) -> Finding | None:
        if node.class_name in self._specs:
            return None
        if not node.is_linked:
            what = f"This ComfyUI has no class {node.class_name}. Nothing is linked to the node."
            hint = "Where it is only a part of the page, as labels and switches are, nothing is missing."
            return Finding(Kind.UNSURE, node.node_id, node.class_name, "", what, hint)
        return _missing(node.node_id, node.class_name)

    def _needed(self) -> list[RunNode]:
        """The nodes that ComfyUI's outputs need, each once."""
        specs = self._specs
        waiting = [node for node in self._nodes.values() if (spec := specs.get(node.class_name)) and spec.is_output]
        found: dict[str, RunNode] = {}
        while waiting:
            node = waiting.pop()
            if node.node_id in found:
                continue
            found[node.node_id] = node
            sources = (self._nodes.get(each.node_id) for each in node.links.values() if isinstance(each, FromNode))
            waiting += [each for each in sources if each is not None]
        return [node for node_id, node in self._nodes.items() if node_id in found]

    def _node(self, node: RunNode) -> Iterator[Finding]:
        spec = self._specs.get(node.class_name)
        if spec is None:
            return
        given, inputs, doubt = _given(node, spec)
        if doubt:
            what = f"Which value of {node.class_name} belongs to which input is not certain: {doubt}."
            yield Finding(Kind.UNSURE, node.node_id, node.class_name, "", what, "Look at this node in ComfyUI.")
        for each in inputs:
            found = self._input(node, each, given, doubt)
            if found is not None:
                yield found

    def _input(self, node: RunNode, each: Input, given: Mapping[str, Any], doubt: str) -> Finding | None:
        if each.name in node.links:
            source = node.links[each.name]
            if isinstance(source, FromNode):
                return self._link(node, each, source)
            if isinstance(source, NotFollowed):
                what = f"What {each.name} gets could not be followed: {source.why}."
                return Finding(Kind.UNSURE, node.node_id, node.class_name, each.name, what, "Look at it in ComfyUI.")
            if isinstance(source, FromValue):
                return values.judge(node, each, source.value, self._models)
        if each.name in given:
            return None if doubt else values.judge(node, each, given[each.name], self._models)
        return _empty(node, each) if each.required and not values.is_optional(each) else None

    def _link(self, node: RunNode, each: Input, source: FromNode) -> Finding | None:
        """ComfyUI refuses what an output of another type is linked to."""
        origin = self._nodes.get(source.node_id)
        spec = self._specs.get(origin.class_name) if origin else None
        if origin is None or spec is None:
            return None  # said of that node
        if source.slot >= len(spec.outputs):
            what = f"{each.name} is linked to output {source.slot + 1} of {spec.name}, which has {len(spec.outputs)}."
            hint = "The node has changed since the workflow was made. Link it again in ComfyUI."
            kind = Kind.LINK if spec.is_core else Kind.UNSURE
            return Finding(kind, node.node_id, node.class_name, each.name, what, hint)
        if values.types_fit(spec.outputs[source.slot], each.type):
            return None
        what = f"{each.name} takes {each.type}, and {spec.name} gives {spec.outputs[source.slot]}."
        kind = Kind.LINK if spec.is_core else Kind.UNSURE
        return Finding(kind, node.node_id, node.class_name, each.name, what[:300], "Link it again in ComfyUI.")


def _given(node: RunNode, spec: Spec) -> tuple[Mapping[str, Any], tuple[Input, ...], str]:
    """The values of a node by input, its inputs, and why they are not certain."""
    if node.exact:
        return node.widgets, by_name(spec, node.widgets), ""
    matched = match(spec, node.widgets, node.links, node.marked)
    return matched.values, matched.inputs, matched.doubt


def _missing(node_id: str, class_name: str) -> Finding:
    what = f"This ComfyUI has no class {class_name}."
    hint = "Its node pack is not installed or did not load; the log of the import check says why."
    return Finding(Kind.CLASS, node_id, class_name, "", what, hint)


def _empty(node: RunNode, each: Input) -> Finding:
    what = f"{node.class_name} needs {each.name}, and nothing is linked to it."
    return Finding(Kind.INPUT, node.node_id, node.class_name, each.name, what, f"Link a {each.type} to it in ComfyUI.")


def _nothing() -> Finding:
    what = "No node of this workflow saves or shows anything, so that ComfyUI has nothing to run."
    return Finding(Kind.NOTHING, "", "", "", what, "Add a node such as SaveImage, or enable the one that is muted.")
