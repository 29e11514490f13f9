"""Which nodes of a workflow run: through subgraphs and group nodes, as they are used."""

from __future__ import annotations

from typing import Any

import pytest

from app.workflowfile.errors import TooMuch
from app.workflowfile.forms import Graphs
from app.workflowfile.graph import Workflow, read_workflow

OUTER, INNER = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"


def _node(name: str, mode: int = 0, node_id: int = 1, **hints: str) -> dict[str, Any]:
    return {"id": node_id, "type": name, "mode": mode, "properties": hints}


def _ui(*nodes: dict[str, Any], **rest: Any) -> Workflow:
    return read_workflow(Graphs({"nodes": list(nodes), **rest}, None))


def _subgraph(name: str, *nodes: dict[str, Any]) -> dict[str, Any]:
    return {"id": name, "nodes": list(nodes)}


def test_muted_and_bypassed_nodes_do_not_run_but_have_to_open() -> None:
    workflow = _ui(_node("A"), _node("B", 2), _node("C", 4), _node("A", 4))
    assert set(workflow.classes()) == {"A"}
    assert set(workflow.classes(runs=False)) == {"A", "B", "C"}


def test_subgraphs_count_where_they_are_used_however_deep() -> None:
    inner = _subgraph(INNER, _node("Deep"), _node("Off", 4))
    outer = _subgraph(OUTER, _node(INNER, node_id=7), _node("Middle"))
    unused = _subgraph("33333333-3333-4333-8333-333333333333", _node("Never"))
    workflow = _ui(_node("Top"), _node(OUTER, node_id=5), definitions={"subgraphs": [outer, inner, unused]})
    assert set(workflow.classes()) == {"Top", "Deep", "Middle"}
    assert {node.node_id for node in workflow.nodes if node.class_name == "Deep"} == {"5:7:1"}
    assert "Never" not in workflow.classes(runs=False)


def test_a_bypassed_subgraph_takes_all_in_it_out_of_the_run() -> None:
    definitions = {"subgraphs": [_subgraph(OUTER, _node("Inside"))]}
    assert set(_ui(_node(OUTER, 4), definitions=definitions).classes()) == set()
    assert set(_ui(_node(OUTER, 4), _node(OUTER, 0), definitions=definitions).classes()) == {"Inside"}


@pytest.mark.parametrize("mark", ["workflow>", "workflow/"])
def test_group_nodes_count_only_where_they_are_used(mark: str) -> None:
    extra = {"groupNodes": {"mine": {"nodes": [_node("Grouped")]}, "other": {"nodes": [_node("Unused")]}}}
    assert set(_ui(_node(mark + "mine"), extra=extra).classes()) == {"Grouped"}


def test_components_count_as_classes_with_all_that_is_in_them() -> None:
    name, unused = "## pipe [2c8c61]", "## other [000000]"
    inside = {"nodes": [_node("B"), _node("ComponentInput"), _node(name)]}
    workflow = _ui(_node("A"), _node(name, node_id=7), components={name: inside, unused: {"nodes": [_node("C")]}})
    assert set(workflow.classes()) == {"A", name, "B", "ComponentInput"}
    assert {node.node_id for node in workflow.nodes} == {"1", "7", "7:1"}
    assert set(_ui(_node("A"), components={"A": inside}).classes()) == {"A"}
    assert set(_ui(_node(name), components=5).classes()) == {name}


def test_a_subgraph_within_itself_ends() -> None:
    workflow = _ui(_node(OUTER), definitions={"subgraphs": [_subgraph(OUTER, _node(OUTER), _node("A"))]})
    assert [node.class_name for node in workflow.nodes] == ["A"]


def test_a_thousand_uses_of_one_subgraph_cost_one() -> None:
    names = [f"{number:08d}-0000-4000-8000-000000000000" for number in range(30)]
    chain = [_subgraph(name, *[_node(below)] * 100) for name, below in zip(names, [*names[1:], "Leaf"], strict=True)]
    assert len(_ui(*[_node(names[0])] * 100, definitions={"subgraphs": chain}).nodes) == 100


def test_too_deep_and_too_many_are_refused() -> None:
    names = [f"{number:08d}-0000-4000-8000-000000000000" for number in range(40)]
    chain = [_subgraph(name, _node(below)) for name, below in zip(names, [*names[1:], "Leaf"], strict=True)]
    with pytest.raises(TooMuch):
        _ui(_node(names[0]), definitions={"subgraphs": chain})
    with pytest.raises(TooMuch):
        _ui(*[_node("A")] * 20_001)


def test_hints_are_kept_where_they_can_be_right() -> None:
    workflow = _ui(
        _node("A", cnr_id="ComfyUI_Essentials", ver="1.1.0", aux_id="me/mine"),
        _node("B", cnr_id="x" * 300, ver="\x1b[31m"),
        {"type": "C", "properties": {"cnr_id": 5}},
        {"type": 5},
        {"type": " "},
    )
    hints = [(node.class_name, node.cnr_id, node.aux_id, node.ver) for node in workflow.nodes]
    assert hints == [
        ("A", "ComfyUI_Essentials", "me/mine", "1.1.0"),
        ("B", None, None, None),
        ("C", None, None, None),
    ]


def test_a_graph_of_the_api_runs_as_a_whole() -> None:
    graph = {"1": {"class_type": "A", "inputs": {"x": 1}, "_meta": {"title": "First"}}, "2": {"inputs": {}}, "3": 5}
    (node,) = read_workflow(Graphs(None, graph)).nodes
    assert (node.node_id, node.class_name, node.runs, node.title, node.widgets) == ("1", "A", True, "First", {"x": 1})


def test_nodes_whose_class_cannot_be_a_name_are_counted() -> None:
    workflow = _ui(_node("A"), _node("\x1b[2J"), _node("x" * 201), _node(""), {"id": 4, "type": None})
    assert (set(workflow.classes()), workflow.unreadable) == ({"A"}, 2)
    graph = {"1": {"class_type": "A", "inputs": {}}, "2": {"class_type": "a\nb"}, "3": {"inputs": {}}, "4": 5}
    assert read_workflow(Graphs(None, graph)).unreadable == 1
