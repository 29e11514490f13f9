"""Which classes are ComfyUI's own depends on its version: its own, too new for it, or gone from it."""

from __future__ import annotations

from typing import Any

from app.nodemap.answer import Answer
from app.nodemap.core_classes import core_classes
from app.nodemap.core_versions import core_versions
from app.nodemap.manager_map import ManagerMap, read_manager_map
from app.nodemap.resolve import Sources, resolve
from app.protocol.core_needs import GONE, TOO_OLD, CoreNeeds, lacks, too_old_text
from app.workflowfile.forms import Graphs
from app.workflowfile.graph import read_workflow

NEWER, GONE_CLASS, UNKNOWN = "QwenImage21Cache", "SaveSVG", "ClassOfTomorrow"
"""A class of pages that are newer than 0.37, one that was there until 0.3.33, and one that nobody knows."""


def _resolve(*nodes: tuple[str, dict[str, str]], version: str | None = None, **more: Any) -> Answer:
    graph = [{"id": number, "type": name, "properties": hints} for number, (name, hints) in enumerate(nodes)]
    workflow = read_workflow(Graphs({"nodes": graph}, None))
    sources = Sources(core_classes(), core_versions=core_versions(), comfyui_version=version, **more)
    return resolve(workflow, sources)


def _core(ver: str) -> dict[str, str]:
    return {"cnr_id": "comfy-core", "ver": ver}


def _listed(name: str) -> ManagerMap:
    return read_manager_map({"https://github.com/a/pack": [[name], {}]}, {"custom_nodes": []}, {})


def _needs(answer: Answer) -> CoreNeeds:
    assert answer.core_needs is not None
    return answer.core_needs


def test_the_history_says_in_which_versions_a_class_is() -> None:
    known = core_versions()
    assert known.known_to == "0.33.0" and len(known.classes) > 900
    assert known.has("KSampler", "0.3.40") and known.has("KSampler", "99.0")
    assert known.has(GONE_CLASS, "0.3.33") and not known.has(GONE_CLASS, "0.3.34")
    assert not known.has("AddLayer", "0.30.0") and known.has("AddLayer", "0.31.0")
    assert not known.has(UNKNOWN, "99.0")


def test_a_class_that_came_later_is_too_new_for_an_older_comfyui() -> None:
    answer = _resolve(("KSampler", {}), ("AddLayer", {}), version="v0.30.0")
    assert (answer.core, answer.too_new, answer.questions) == (("KSampler",), ("AddLayer",), ())
    (lack,) = lacks(_needs(answer), "0.30.0")
    assert (lack.core_class.name, lack.core_class.since, lack.code, lack.certain) == (
        "AddLayer",
        "0.31.0",
        TOO_OLD,
        True,
    )
    assert _needs(answer).version == "0.31.0"
    text = too_old_text(_needs(answer), [lack], "0.30.0")
    assert text == "The workflow needs ComfyUI 0.31.0 or newer; this one is 0.30.0 and lacks AddLayer."


def test_without_a_version_the_newest_comfyui_counts_and_nothing_is_too_new() -> None:
    answer = _resolve(("AddLayer", {}), (NEWER, {}))
    assert (answer.core, answer.too_new, answer.questions) == (("AddLayer", NEWER), (), ())
    assert lacks(_needs(answer), None) == []
    assert (_needs(answer).version, _needs(answer).is_newer_than_known) == ("0.31.0", True)


def test_a_class_that_is_newer_than_all_that_is_known_is_too_new_for_what_is_known() -> None:
    answer = _resolve(("StartLoop", {}), version="0.36.0")
    (lack,) = lacks(_needs(answer), "0.36.0")
    assert lack.code == TOO_OLD and not lack.certain and _needs(answer).is_newer_than_known
    text = too_old_text(_needs(answer), [lack], "0.36.0")
    assert text == "The workflow needs a newer ComfyUI than 0.37.0; this one is 0.36.0 and may lack StartLoop."
    assert _resolve(("StartLoop", {}), version="0.50.0").too_new == ()


def test_a_hint_says_which_comfyui_made_a_class_that_nobody_knows() -> None:
    nodes = (UNKNOWN, _core("0.44.1"))
    assert _resolve(nodes, version="0.33.0").too_new == (UNKNOWN,)
    assert _needs(_resolve(nodes, version="0.33.0")).version == "0.44.1"
    assert _resolve(nodes, version="0.44.1").core == (UNKNOWN,)
    assert _resolve(nodes).too_new == (UNKNOWN,)


def test_what_was_made_for_a_comfyui_that_nobody_knows_has_its_classes_from_it() -> None:
    assert _resolve((UNKNOWN, {}), version="0.33.0", made_for="0.43.0").too_new == (UNKNOWN,)
    assert [each.class_name for each in _resolve((UNKNOWN, {}), made_for="0.30.0").questions] == [UNKNOWN]
    known = _listed(UNKNOWN)
    assert [each.classes for each in _resolve((UNKNOWN, {}), made_for="0.43.0", manager_map=known).needed] == [
        (UNKNOWN,)
    ]


def test_a_class_that_comfyui_no_longer_has_is_gone() -> None:
    for version in (None, "0.33.0", "0.50.0"):
        answer = _resolve((GONE_CLASS, _core("0.3.32")), version=version)
        assert (answer.gone, answer.needed, answer.questions) == ((GONE_CLASS,), (), ())
        assert [(each.code, each.core_class.until) for each in lacks(_needs(answer), version)] == [(GONE, "0.3.33")]
    assert _resolve((GONE_CLASS, {}), version="0.3.33").core == (GONE_CLASS,)


def test_a_pack_that_lists_a_class_which_this_comfyui_lacks_is_asked_for_and_not_taken() -> None:
    known = _listed("AddLayer")
    (question,) = _resolve(("AddLayer", {}), version="0.30.0", manager_map=known).questions
    assert [each.pack.repo_url for each in question.candidates] == ["https://github.com/a/pack"]
    assert question.core is not None and question.core.since == "0.31.0"
    hinted = _resolve(("AddLayer", {"aux_id": "b/layers"}), version="0.30.0", manager_map=known)
    assert [each.pack.repo_url for each in hinted.needed] == ["https://github.com/b/layers"]
    assert _resolve(("AddLayer", {}), version="0.31.0", manager_map=known).questions == ()


def test_what_runs_says_more_than_any_version() -> None:
    needs = _needs(_resolve(("AddLayer", {}), ("KSampler", {}), version="0.30.0"))
    assert lacks(needs, "0.30.0", present={"AddLayer", "KSampler"}) == []
