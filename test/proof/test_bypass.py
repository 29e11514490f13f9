"""What a bypassed node passes on is what ComfyUI's page would send."""

from __future__ import annotations

from typing import Any

import pytest

from app.proof.bypass import Slot, passed_on
from app.proof.findings import Kind
from app.proof.judge import prove
from app.proof.node_specs import Specs
from app.workflowfile.forms import Graphs
from test.proof.comfyui import OBJECT_INFO, about, graph, node

Json = dict[str, Any]
MASKED = about({"strength": ["FLOAT", {"default": 1.0}], "base": ["IMAGE"]}, {"over": ["IMAGE"]}, ("IMAGE", "MASK"))
KNOWN = {**OBJECT_INFO, "Blend": MASKED, "Any": about({"value": ["*"]}, output_node=True)}


@pytest.mark.parametrize(
    ("types", "output", "number", "wanted", "chosen"),
    [
        (["MODEL", "CLIP"], "CLIP", 1, "CLIP", 1),  # the same place
        (["CLIP", "MODEL"], "MODEL", 0, "MODEL", 1),  # another place, the same type
        (["IMAGE", "IMAGE"], "IMAGE", 0, "IMAGE", 0),  # the first of several
        (["MASK", "IMAGE", "IMAGE"], "IMAGE", 2, "IMAGE", 2),
        (["*", "IMAGE"], "IMAGE", 0, "IMAGE", 0),  # any type, at the same place
        (["*", "IMAGE"], "IMAGE", 3, "IMAGE", 1),  # the exact one before any
        (["INT", "FLOAT"], "INT,FLOAT", 1, "FLOAT", 1),
        (["float", "INT"], "FLOAT", 1, "FLOAT", 0),
        (["MODEL", "LATENT"], "IMAGE", 0, "IMAGE", None),  # nothing fits
        (["MODEL", "LATENT"], "IMAGE", 1, "*", 1),  # whatever is wanted: the same place
        (["MODEL"], "IMAGE", 5, "*", 0),
        ([], "IMAGE", 0, "*", None),
    ],
)
def test_one_input_is_chosen_by_type_and_place(
    types: list[str], output: str, number: int, wanted: str, chosen: int | None
) -> None:
    inputs = [Slot(str(each), name) for each, name in enumerate(types)]
    found = passed_on(inputs, output, number, wanted)
    assert (None if found is None else int(found.name)) == chosen


def _kinds(*nodes: Json, links: list[tuple[int, int, int]], known: Json = KNOWN) -> list[tuple[Kind, str]]:
    found = prove(Graphs(graph(list(nodes), *links), None), Specs(known))
    return [(each.kind, each.input) for each in found.findings]


def _blend(*inputs: tuple[str, str, int | None], class_name: str = "Blend") -> Json:
    listed = [{"name": name, "type": kind, "link": link} for name, kind, link in inputs]
    outputs = [{"name": "IMAGE", "type": "IMAGE"}, {"name": "MASK", "type": "MASK"}]
    return {**node(2, class_name, mode=4, outputs=outputs), "inputs": listed}


LOAD, SAVE = node(1, "LoadImage", "cat.png"), node(3, "SaveImage", "x", inputs={"images": 2})


def test_where_nothing_is_linked_to_the_chosen_input_nothing_comes() -> None:
    """The second picture is not taken in the place of the first."""
    links = [(1, 1, 0), (2, 2, 0)]
    assert _kinds(LOAD, _blend(("base", "IMAGE", 1), ("over", "IMAGE", None)), SAVE, links=links) == []
    lacking = _kinds(LOAD, _blend(("base", "IMAGE", None), ("over", "IMAGE", 1)), SAVE, links=links)
    assert lacking == [(Kind.INPUT, "images")]


def test_the_slots_of_a_known_class_are_those_that_comfyui_says() -> None:
    """Not the order of an old file; a class that is not there has only the file's."""
    links = [(1, 1, 0), (2, 2, 0)]
    turned = [("over", "IMAGE", None), ("base", "IMAGE", 1)]
    assert _kinds(LOAD, _blend(*turned), SAVE, links=links) == []
    unknown = _kinds(LOAD, _blend(*turned, class_name="Gone"), SAVE, links=links)
    assert unknown == [(Kind.INPUT, "images")]


def test_what_the_file_calls_any_type_is_what_comfyui_says_it_is() -> None:
    """A mask is wanted, and no input is one."""
    wants = {**node(3, "Any"), "inputs": [{"name": "value", "type": "*", "link": 2}]}
    links = [(1, 1, 0), (2, 2, 1)]
    assert _kinds(LOAD, _blend(("base", "IMAGE", 1), ("over", "IMAGE", 1)), wants, links=links) == []
    masked = {**KNOWN, "Any": about({"value": ["MASK"]}, output_node=True)}
    found = _kinds(LOAD, _blend(("base", "IMAGE", 1)), wants, links=links, known=masked)
    assert found == [(Kind.INPUT, "value")]


def test_a_reroute_hands_on_what_is_wanted_behind_it() -> None:
    """Its own type is any; the one behind it decides."""
    turn = {**node(4, "Reroute", outputs=[{"type": "*"}]), "inputs": [{"name": "", "type": "*", "link": 2}]}
    saver = node(3, "SaveImage", "x", inputs={"images": 3})
    bypassed = _blend(("model", "MODEL", None), ("base", "IMAGE", 1), class_name="Gone")
    assert _kinds(LOAD, bypassed, turn, saver, links=[(1, 1, 0), (2, 2, 0), (3, 4, 0)]) == []
