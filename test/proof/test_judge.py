"""Whether a workflow is ready to run, as ComfyUI itself would decide when it is sent."""

from __future__ import annotations

import json
from typing import Any

import pytest

from app.proof.findings import Finding, Kind, Proof, Verdict
from app.proof.judge import classes_of, prove
from app.proof.node_specs import Specs
from app.workflowfile.forms import Graphs
from test.proof.comfyui import OBJECT_INFO, Json, graph, node, sampled

SPECS = Specs(OBJECT_INFO)


def proof(workflow: Json) -> Proof:
    """Of a page's graph."""
    return prove(Graphs(workflow, None), SPECS)


def the_one(workflow: Json) -> Finding:
    """What is found, which is one thing."""
    [finding] = proof(workflow).findings
    return finding


def test_a_workflow_that_has_everything_is_ready() -> None:
    found = proof(sampled())
    assert (found.verdict, found.sentence()) == (Verdict.READY, "This workflow is ready to run here.")
    assert found.checked == {"nodes": 4, "classes": 4, "models": 1}


def test_a_class_that_is_not_there_is_named() -> None:
    found = the_one(sampled(text=node(2, "Missing", inputs={"clip": 1})))
    assert (found.kind, found.node_id, found.class_name) == (Kind.CLASS, "2", "Missing")


def test_a_node_that_nothing_is_linked_to_may_be_a_label() -> None:
    workflow = sampled()
    workflow["nodes"].append({"id": 9, "type": "Fancy Label"})
    assert proof(workflow).verdict is Verdict.UNKNOWN


def test_a_node_that_only_the_table_of_links_knows_as_linked_is_missing() -> None:
    """Tools write graphs whose outputs do not list their links."""
    workflow = sampled()
    loader = next(each for each in workflow["nodes"] if each["id"] == 1)
    loader |= {"type": "Missing", "outputs": [{"name": "MODEL", "links": None}]}
    assert [(each.kind, each.node_id) for each in proof(workflow).findings] == [(Kind.CLASS, "1")]


def test_what_only_opens_is_not_looked_at() -> None:
    workflow = sampled()
    workflow["nodes"] += [{"id": 9, "type": "Missing", "mode": 2, "inputs": [{"name": "a", "link": 2}]}]
    workflow["nodes"] += [{"id": 10, "type": "Note", "widgets_values": ["hello"]}]
    workflow["nodes"] += [node(11, "CheckpointLoaderSimple", "unused.safetensors")]  # leads to no output
    assert proof(workflow).verdict is Verdict.READY


def test_a_missing_model_says_where_it_belongs_and_comes_from() -> None:
    declared = {"name": "new.safetensors", "url": "https://example.org/new.safetensors", "directory": "checkpoints"}
    loader = node(1, "CheckpointLoaderSimple", "new.safetensors", properties={"models": [declared]})
    found = the_one(sampled(loader=loader))
    assert (found.kind, found.input, found.folder, found.url) == (
        Kind.MODEL,
        "ckpt_name",
        "checkpoints",
        "https://example.org/new.safetensors",
    )


@pytest.mark.parametrize(
    ("named", "hint"),
    [
        ("sdxl\\base.safetensors", "Choose sdxl/base.safetensors in ComfyUI."),
        ("base.safetensors", "Choose sdxl/base.safetensors in ComfyUI if it is the same."),
        ("other.safetensors", "Put it into models/checkpoints."),
    ],
)
def test_a_model_of_another_spelling_is_told(named: str, hint: str) -> None:
    """ComfyUI compares letter by letter."""
    assert the_one(sampled(loader=node(1, "CheckpointLoaderSimple", named))).hint == hint


def test_a_picture_that_has_to_be_brought_is_no_model() -> None:
    workflow = graph(
        [node(1, "LoadImage", "dog.png", "image"), node(2, "SaveImage", "x", inputs={"images": 1})], (1, 1, 0)
    )
    found = the_one(workflow)
    assert (found.kind, found.name, found.folder) == (Kind.FILE, "dog.png", "input")


@pytest.mark.parametrize(
    ("values", "kinds"),
    [
        ((7, "randomize", 20, 8, "euler"), []),
        ((7, 20, 8, "euler"), []),  # from before there was a control
        ((7, True, 20, 8, "euler"), []),  # as it was in 2023
        ((7, "fixed", 20, 8), []),  # the page fills in what is missing
        ((7, "fixed", 0, 8, "euler"), [Kind.VALUE]),
        ((7, "fixed", 20, 8, "gone"), [Kind.CHOICE]),
        ((7, "fixed", "euler", 20, 8), [Kind.UNSURE]),
        ((), []),
    ],
)
def test_widget_values_are_matched_in_the_order_of_the_inputs(values: tuple[Any, ...], kinds: list[Kind]) -> None:
    sampler = node(3, "KSampler", *values, inputs={"model": 2, "positive": 3})
    assert [each.kind for each in proof(sampled(sampler=sampler)).findings] == kinds


@pytest.mark.parametrize(
    ("values", "kinds"),
    [
        (("scale", 2.0, "area"), []),
        (("exact", 64, 64, "lanczos"), []),
        (("exact", 64, 64, "gone"), [Kind.CHOICE]),
        (("exact", 0, 64, "area"), [Kind.VALUE]),
        (("other", 64, "area"), [Kind.UNSURE]),
    ],
)
def test_a_choice_may_bring_inputs_of_its_own(values: tuple[Any, ...], kinds: list[Kind]) -> None:
    nodes = [
        node(1, "LoadImage", "cat.png", "image"),
        node(2, "Resize", *values, inputs={"image": 1}),
        node(3, "SaveImage", "x", inputs={"images": 2}),
    ]
    assert [each.kind for each in proof(graph(nodes, (1, 1, 0), (2, 2, 0))).findings] == kinds


@pytest.mark.parametrize(
    ("values", "kinds"),
    [(("b",), []), ((5, "b"), []), (("b", 1, "c"), [Kind.UNSURE]), (("gone",), [Kind.CHOICE])],
)
def test_older_files_have_values_for_inputs_that_are_only_connected(values: tuple[Any, ...], kinds: list[Kind]) -> None:
    amount = node(5, "PrimitiveNode", 3)
    old = node(2, "Old", *values, inputs={"image": 1, "amount": 3})
    nodes = [node(1, "LoadImage", "cat.png", "image"), old, node(3, "SaveImage", "x", inputs={"images": 2}), amount]
    assert [each.kind for each in proof(graph(nodes, (1, 1, 0), (2, 2, 0), (3, 5, 0))).findings] == kinds


def test_an_input_that_nothing_fills_is_named() -> None:
    found = the_one(sampled(text=node(2, "CLIPTextEncode", "a cat")))
    assert (found.kind, found.input, found.hint) == (Kind.INPUT, "clip", "Link a CLIP to it in ComfyUI.")


def test_a_link_of_another_type_is_refused() -> None:
    workflow = sampled()
    workflow["links"][0][2] = 2  # the VAE
    assert the_one(workflow).kind is Kind.LINK


def test_without_an_output_there_is_nothing_to_run() -> None:
    assert the_one(sampled(saver={"id": 4, "type": "Note"})).kind is Kind.NOTHING


def test_links_lead_through_what_never_runs() -> None:
    """A reroute, a variable, a bypassed node and a use of a subgraph; the value that stands at its node counts."""
    inner = {
        "id": "sub",
        "inputs": [{"name": "clip", "linkIds": [1]}, {"name": "text", "linkIds": [3]}],
        "outputs": [{"name": "CONDITIONING", "linkIds": [2]}],
        "nodes": [
            {
                **node(7, "CLIPTextEncode", "inside"),
                "inputs": [
                    {"name": "clip", "type": "CLIP", "link": 1},
                    {"name": "text", "type": "STRING", "link": 3, "widget": {"name": "text"}},
                ],
            }
        ],
        "links": [
            {"id": 1, "origin_id": -10, "origin_slot": 0, "target_id": 7, "target_slot": 0},
            {"id": 3, "origin_id": -10, "origin_slot": 1, "target_id": 7, "target_slot": 1},
            {"id": 2, "origin_id": 7, "origin_slot": 0, "target_id": -20, "target_slot": 0},
        ],
    }
    nodes = [
        node(1, "CheckpointLoaderSimple", "sd15.safetensors"),
        node(8, "SetNode", "model", inputs={"MODEL": 1}),
        node(9, "GetNode", "model"),
        {
            **node(10, "LoraLoader", "gone.safetensors", mode=4, outputs=[{"type": "MODEL"}]),
            "inputs": [{"name": "model", "type": "MODEL", "link": 2}],
        },
        node(11, "Reroute", inputs={"": 3}),
        node(5, "sub", "outside", inputs={"clip": 4}),
        node(3, "KSampler", 7, "fixed", 20, 8, "euler", inputs={"model": 5, "positive": 6}),
        node(4, "SaveLatent", "x", inputs={"samples": 7}),
    ]
    links = ((1, 1, 0), (2, 9, 0), (3, 10, 0), (4, 1, 1), (5, 11, 0), (6, 5, 0), (7, 3, 0))
    workflow = graph(nodes, *links, definitions={"subgraphs": [inner]})
    assert proof(workflow).findings == ()
    workflow["nodes"][0]["mode"] = 2  # muted: nothing comes out of it
    assert {(each.kind, each.input) for each in proof(workflow).findings} == {
        (Kind.INPUT, "model"),
        (Kind.INPUT, "clip"),
    }


def test_each_use_of_a_subgraph_has_its_own_nodes() -> None:
    inner = {"id": "sub", "nodes": [node(7, "SaveImage", "x")], "links": []}
    found = proof(graph([node(1, "sub"), node(2, "sub")], definitions={"subgraphs": [inner]}))
    assert [each.node_id for each in found.findings] == ["1:7", "2:7"]


def test_a_subgraph_that_holds_itself_is_refused() -> None:
    inner = {"id": "sub", "nodes": [node(7, "sub")], "links": []}
    with pytest.raises(ValueError, match="subgraphs within each other"):
        proof(graph([node(1, "sub")], definitions={"subgraphs": [inner]}))


def test_a_hundred_subgraphs_within_each_other_a_hundred_times_are_refused() -> None:
    subgraphs = [
        {"id": f"s{depth}", "nodes": [node(number, f"s{depth + 1}") for number in range(100)], "links": []}
        for depth in range(20)
    ]
    subgraphs.append({"id": "s20", "nodes": [], "links": []})
    with pytest.raises(ValueError, match="uses more than"):
        proof(graph([node(1, "s0")], definitions={"subgraphs": subgraphs}))


def test_a_link_in_a_circle_ends() -> None:
    circle = [node(1, "Reroute", inputs={"": 1}), node(2, "Reroute", inputs={"": 2})]
    workflow = graph([*circle, node(3, "SaveImage", "x", inputs={"images": 1})], (1, 2, 0), (2, 1, 0))
    assert the_one(workflow).kind is Kind.UNSURE


def test_a_graph_of_the_api_has_its_values_by_name() -> None:
    api: Json = {
        "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "sd15.safetensors"}},
        "2": {"class_type": "CLIPTextEncode", "inputs": {"text": "a", "clip": ["1", 1]}},
        "3": {
            "class_type": "KSampler",
            "inputs": {"model": ["1", 0], "seed": 1, "steps": "20", "cfg": 8, "sampler_name": "euler"},
        },
        "4": {"class_type": "SaveLatent", "inputs": {"samples": ["3", 0]}},
    }
    found = prove(Graphs(None, api), SPECS)
    assert [(each.kind, each.node_id, each.input) for each in found.findings] == [
        (Kind.INPUT, "3", "positive"),
        (Kind.INPUT, "4", "filename_prefix"),
    ]
    assert classes_of(Graphs(None, api)) == {"CheckpointLoaderSimple", "CLIPTextEncode", "KSampler", "SaveLatent"}


@pytest.mark.parametrize("value", [None, 1, "x", [], {}, [[]], {"required": 1}, [None], {"a": {"b": []}}])
@pytest.mark.parametrize("place", ["input", "input_order", "output", "python_module"])
def test_whatever_a_comfyui_says_is_read(place: str, value: object) -> None:
    about = {**OBJECT_INFO["KSampler"], place: value}
    prove(Graphs(sampled(), None), Specs({**OBJECT_INFO, "KSampler": about}))
    for part in ("required", "optional"):
        odd = {**OBJECT_INFO["KSampler"], "input": {part: {"seed": value, "steps": [value, value], "": [[value]]}}}
        json.dumps(prove(Graphs(sampled(), None), Specs({**OBJECT_INFO, "KSampler": odd})).to_json())


@pytest.mark.parametrize("value", [None, 1, "x", [], {}, [[]], [None], {"a": 1}, [{}], [1, 2, 3, 4, 5]])
@pytest.mark.parametrize("place", ["inputs", "outputs", "widgets_values", "mode", "id", "properties", "title"])
def test_whatever_a_file_has_is_read(place: str, value: object) -> None:
    workflow = sampled()
    for each in workflow["nodes"]:
        each[place] = value
    json.dumps(proof(workflow).to_json())
    json.dumps(proof({**sampled(), "links": value, "definitions": {"subgraphs": value}}).to_json())


def test_findings_are_bounded_and_counted() -> None:
    nodes = [node(number, "SaveImage", "x") for number in range(300)]
    found = proof(graph(nodes)).to_json()
    assert (len(found["findings"]), found["counts"], found["verdict"]) == (100, {"input_missing": 300}, "not_ready")
    assert found["sentence"] == "This workflow is not ready to run here: 300 inputs are empty."
