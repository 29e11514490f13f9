"""Which packs a workflow needs: each class by the strongest evidence that says anything, and never by a guess."""

from __future__ import annotations

from typing import Any

import pytest

from app.nodemap.answer import Answer, Evidence, Pack
from app.nodemap.core_classes import core_classes
from app.nodemap.manager_map import ManagerMap, read_manager_map
from app.nodemap.patterns import owning
from app.nodemap.resolve import Sources, question_id, resolve
from app.workflowfile.forms import Graphs
from app.workflowfile.graph import read_workflow

_HUB = "https://github.com/"
_CORE = {"KSampler", "SaveImage"}


def _map(packs: dict[str, Any], ids: dict[str, str] | None = None, stars: dict[str, int] | None = None) -> ManagerMap:
    """Manager's files, of packs `owner/name: classes` or `owner/name: (classes, more)`."""
    entries = {
        _HUB + name: [list(each[0]), each[1]] if isinstance(each, tuple) else [list(each), {}]
        for name, each in packs.items()
    }
    listed = [
        {"id": pack_id, "reference": _HUB + name, "install_type": "git-clone"} for pack_id, name in (ids or {}).items()
    ]
    figures = {
        _HUB + name: {"stars": count, "last_update": "2026-05-01 10:00:00"} for name, count in (stars or {}).items()
    }
    return read_manager_map(entries, {"custom_nodes": listed}, figures)


def _resolve(*nodes: tuple[str, dict[str, str]] | str, known: ManagerMap | None = None, **more: Any) -> Answer:
    graph = [
        {
            "id": number,
            "type": node if isinstance(node, str) else node[0],
            "properties": {} if isinstance(node, str) else node[1],
        }
        for number, node in enumerate(nodes)
    ]
    workflow = read_workflow(Graphs({"nodes": graph}, None))
    return resolve(workflow, Sources(core=more.pop("core", _CORE), manager_map=known or ManagerMap(), **more))


def _needed(answer: Answer) -> dict[str, tuple[str, ...]]:
    return {each.pack.repo_url or str(each.pack.registry_id): each.classes for each in answer.needed}


def test_comfyuis_own_classes_and_those_of_its_pages_need_no_pack() -> None:
    answer = _resolve("KSampler", "Note", "Reroute", "PrimitiveNode", known=_map({"a/copy": ["KSampler", "Reroute"]}))
    assert (answer.needed, answer.questions, answer.core) == ((), (), ("KSampler",))


def test_a_class_that_one_pack_lists_needs_that_pack() -> None:
    answer = _resolve("Foo", "Bar", known=_map({"a/foo": ["Foo", "Bar"]}, {"foo-pack": "a/foo"}, {"a/foo": 7}))
    (needed,) = answer.needed
    assert needed.pack == Pack(_HUB + "a/foo", "foo-pack")
    assert (needed.classes, needed.evidence) == (("Foo", "Bar"), (Evidence.MAP,))
    assert (needed.facts.stars, needed.facts.last_update) == (7, "2026-05-01")


def test_a_class_that_two_packs_list_is_a_question_with_what_is_known_of_them() -> None:
    known = _map({"a/foo": ["Foo", "Bar"], "b/foo": ["Foo"], "c/bar": ["Bar"]}, stars={"b/foo": 900})
    answer = _resolve("Foo", "Bar", known=known)
    assert answer.needed == ()
    first = answer.questions[0]
    assert (first.question_id, first.node_ids) == ("pack:Foo", ("0",))
    assert [(each.pack.repo_url, each.also, each.facts.stars) for each in first.candidates] == [
        (_HUB + "a/foo", ("Bar",), None),
        (_HUB + "b/foo", (), 900),
    ]


def test_a_class_that_nobody_lists_is_a_question_without_candidates() -> None:
    (question,) = _resolve("Nowhere").questions
    assert question.candidates == ()


def test_an_answer_decides_its_question() -> None:
    known = _map({"a/foo": ["Foo"], "b/foo": ["Foo"]})
    by_url = _resolve("Foo", known=known, answers={question_id("Foo"): _HUB + "b/foo"})
    assert [each.pack for each in by_url.needed] == [Pack(_HUB + "b/foo")]


def test_the_pack_that_is_needed_anyway_has_what_several_list() -> None:
    answer = _resolve("Foo", "Only", known=_map({"a/foo": ["Foo", "Only"], "b/foo": ["Foo"]}))
    assert _needed(answer) == {_HUB + "a/foo": ("Foo", "Only")}
    assert answer.needed[0].evidence == (Evidence.MAP, Evidence.SAME_WORKFLOW)


def test_a_hint_decides_before_the_map_and_pins_what_it_names() -> None:
    known = _map({"a/foo": ["Foo"]}, {"Foo-Pack": "me/foo"})
    by_id = _resolve(("Foo", {"cnr_id": "foo-PACK", "ver": "1.2.0"}), known=known)
    assert [each.pack for each in by_id.needed] == [Pack(_HUB + "me/foo", "foo-pack", None, "1.2.0")]
    commit = "a" * 40
    fork = _resolve(("Foo", {"cnr_id": "foo-pack", "aux_id": "you/fork", "ver": commit}), known=known)
    assert [each.pack for each in fork.needed] == [Pack(_HUB + "you/fork", "foo-pack", commit)]
    assert fork.needed[0].evidence == (Evidence.HINT,)


def test_an_id_of_the_registry_gets_the_repository_that_has_the_class() -> None:
    """The one of that name; where two others have it, or nobody, that is a question."""
    hint = ("Foo", {"cnr_id": "ComfyUI_foo-pack"})
    named = _map({"a/foo-pack": ["Foo"], "b/text": ["Foo"]})
    assert [each.pack for each in _resolve(hint, known=named).needed] == [Pack(_HUB + "a/foo-pack", "comfyui_foo-pack")]
    for known in (_map({"a/one": ["Foo"], "b/two": ["Foo"]}), ManagerMap()):
        answer = _resolve(hint, known=known)
        assert answer.needed == ()
        assert [(each.registry_id, each.candidates) for each in answer.questions] == [("comfyui_foo-pack", ())]


def test_a_hint_on_one_node_of_a_class_counts_for_all_of_them() -> None:
    answer = _resolve("Foo", ("Foo", {"aux_id": "a/foo"}), known=_map({"b/foo": ["Foo"]}))
    assert _needed(answer) == {_HUB + "a/foo": ("Foo",)}


def test_hints_that_cannot_be_right_are_passed_over() -> None:
    for hints in ({"aux_id": "../../etc"}, {"aux_id": "a/b/c"}, {"cnr_id": "a b; rm"}, {"cnr_id": "-x"}):
        assert _needed(_resolve(("Foo", hints), known=_map({"b/foo": ["Foo"]}))) == {_HUB + "b/foo": ("Foo",)}


def test_two_versions_of_one_pack_pin_none() -> None:
    hints = [{"cnr_id": "p", "ver": version} for version in ("1.0.0", "2.0.0")]
    answer = _resolve(("Foo", hints[0]), ("Bar", hints[1]), known=_map({"a/p": ["Foo", "Bar"]}))
    assert [each.pack for each in answer.needed] == [Pack(_HUB + "a/p", "p")]


def test_the_owner_of_a_name_wins_over_whoever_lists_it() -> None:
    known = _map({"a/rg": ([], {"nodename_pattern": r" \(rg\)$"}), "copies/all": ["Seed (rg)"]})
    answer = _resolve("Seed (rg)", known=known)
    assert _needed(answer) == {_HUB + "a/rg": ("Seed (rg)",)}
    assert answer.needed[0].evidence == (Evidence.NAME_PATTERN,)


def test_a_word_anywhere_in_a_name_owns_nothing() -> None:
    known = _map({"a/hy": (["HyOne"], {"nodename_pattern": "Hunyuan"}), "b/wrapper": ["HunyuanVideoSampler"]})
    assert _needed(_resolve("HunyuanVideoSampler", known=known)) == {_HUB + "b/wrapper": ("HunyuanVideoSampler",)}


def test_only_the_anchored_alternatives_of_a_pattern_own_names() -> None:
    pattern = r"(^(Prompts|Anything) Everywhere|Simple String)"
    known = _map({"a/ue": ([], {"nodename_pattern": pattern}), "b/texts": ["Simple String Combine (B)"]})
    answer = _resolve("Simple String Combine (B)", "Anything Everywhere3", known=known)
    assert _needed(answer) == {
        _HUB + "b/texts": ("Simple String Combine (B)",),
        _HUB + "a/ue": ("Anything Everywhere3",),
    }


@pytest.mark.parametrize(
    ("pattern", "owned"),
    [
        ("^DF_", ["^DF_"]),
        (r" \[Crystools\]$", [r" \[Crystools\]$"]),
        ("(^A|^B)", ["^A", "^B"]),
        ("^A|b|C$", ["^A", "C$"]),
        ("(^A)|(B$)", []),
        ("[|^]x$", ["[|^]x$"]),
        (r"cost\$", []),
        ("Web.*Scraper", []),
        ("(", []),
        (5, []),
    ],
)
def test_which_alternatives_own(pattern: object, owned: list[str]) -> None:
    assert [each.pattern for each in owning(pattern)] == owned


def test_a_pattern_that_could_take_for_ever_is_not_read() -> None:
    known = _map({"a/slow": ([], {"nodename_pattern": r"^(a+)+$"}), "b/slow": ([], {"nodename_pattern": "^.*.*.*x$"})})
    assert known.owners == []


def test_a_preemption_wins_over_a_listing() -> None:
    known = _map({"a/gguf": (["LoaderGGUF"], {"preemptions": ["LoaderGGUF"]}), "b/gguf": ["LoaderGGUF"]})
    answer = _resolve("LoaderGGUF", known=known)
    assert _needed(answer) == {_HUB + "a/gguf": ("LoaderGGUF",)}
    assert answer.needed[0].evidence == (Evidence.PREEMPTION,)


def test_the_registry_wins_over_the_map() -> None:
    known = _map({"b/foo": ["Foo"], "c/foo": ["Foo"]})
    answer = _resolve("Foo", known=known, registry={"Foo": [Pack(_HUB + "a/foo", "foo")]})
    assert _needed(answer) == {_HUB + "a/foo": ("Foo",)}


def test_a_collection_of_copies_loses_against_an_original_and_wins_where_it_is_alone() -> None:
    originals = {f"o/{number}": [f"A{number}", f"B{number}"] for number in range(4)}
    copies = [name for names in originals.values() for name in names] + ["Own"]
    known = _map({"copies/all": copies, **originals})
    assert known.collections == {"github.com/copies/all"}
    assert _needed(_resolve("A1", "Own", known=known)) == {_HUB + "o/1": ("A1",), _HUB + "copies/all": ("Own",)}


def test_a_fork_that_hardly_anybody_knows_loses_against_its_original() -> None:
    classes = ["A", "B", "C", "D"]
    known = _map({"me/original": classes, "you/fork": [*classes, "New"]}, stars={"me/original": 900, "you/fork": 3})
    assert _needed(_resolve("A", known=known)) == {_HUB + "me/original": ("A",)}
    assert _needed(_resolve("New", known=known)) == {_HUB + "you/fork": ("New",)}


def test_a_name_that_two_packs_came_to_by_themselves_stays_a_question() -> None:
    """However well known one of them is: they have nothing else in common."""
    known = _map({"a/text": ["ShowText", "X", "Y"], "b/text": ["ShowText", "P", "Q"]}, stars={"a/text": 9000})
    assert [each.class_name for each in _resolve("ShowText", known=known).questions] == ["ShowText"]


def test_classes_of_a_packs_pages_need_the_pack_and_are_no_question() -> None:
    answer = _resolve("SetNode", "GetNode", "Bookmark (rgthree)")
    assert _needed(answer) == {
        _HUB + "kijai/ComfyUI-KJNodes": ("SetNode", "GetNode"),
        _HUB + "rgthree/rgthree-comfy": ("Bookmark (rgthree)",),
    }
    assert answer.questions == ()


def test_a_class_that_a_hint_calls_comfyuis_own_needs_a_newer_comfyui() -> None:
    """No pack is chosen for it, whatever the map says."""
    hint = {"cnr_id": "comfy-core", "ver": "0.37.0"}
    answer = _resolve(("Brand New", hint), "KSampler", known=_map({"a/copy": ["Brand New"]}))
    assert (answer.needed, answer.questions) == ((), ())
    assert (answer.too_new, answer.comfyui_version) == (("Brand New",), "0.37.0")


def test_what_only_has_to_open_is_told_apart_from_what_runs() -> None:
    graph = [{"id": 1, "type": "Foo", "mode": 4}, {"id": 2, "type": "Bar"}]
    workflow = read_workflow(Graphs({"nodes": graph}, None))
    answer = resolve(workflow, Sources(_CORE, _map({"a/foo": ["Foo"], "a/bar": ["Bar"]})))
    assert {each.classes[0]: each.runs for each in answer.needed} == {"Foo": False, "Bar": True}


def test_the_list_that_comes_with_this_version_knows_comfyui() -> None:
    known = core_classes()
    assert all(name in known for name in ("KSampler", "CheckpointLoaderSimple", "TextEncodeAceStepAudio1.5"))
    assert "Seed (rgthree)" not in known
    assert not known.present & set(known.gone)


def test_a_component_needs_the_pack_that_makes_classes_of_components() -> None:
    """They are made at run time, so no map lists them."""
    answer = _resolve("## my pipe [2c8c61]", "ComponentInput", "## A heading", known=_map({}))
    (needed,) = answer.needed
    assert needed.pack.repo_url == _HUB + "ltdrdata/ComfyUI-Workflow-Component"
    assert needed.classes == ("## my pipe [2c8c61]", "ComponentInput")
    assert [each.class_name for each in answer.questions] == ["## A heading"]


def test_a_pack_that_is_a_single_file_is_none_that_can_be_cloned() -> None:
    raw = "https://raw.githubusercontent.com/a/clip/main/custom_nodes/clip.py"
    known = read_manager_map({raw: [["Clip", "Both"], {}], _HUB + "b/both": [["Both"], {}]})
    answer = _resolve("Clip", "Both", known=known)
    assert _needed(answer) == {_HUB + "b/both": ("Both",)}
    assert [(each.class_name, each.candidates) for each in answer.questions] == [("Clip", ())]


def test_one_id_of_the_registry_is_one_pack_also_for_a_class_that_the_map_lacks() -> None:
    hint = {"cnr_id": "foo-nodes", "ver": "1.2.0"}
    answer = _resolve(("Foo", hint), ("Old", hint), known=_map({"a/foo_nodes": ["Foo"]}))
    (needed,) = answer.needed
    assert needed.pack == Pack(_HUB + "a/foo_nodes", "foo-nodes", None, "1.2.0")
    assert (needed.classes, answer.questions) == (("Foo", "Old"), ())


def test_one_commit_is_of_one_repository_also_under_an_older_id() -> None:
    commit = "26fa2ddf" * 5
    now, before = ({"cnr_id": name, "ver": commit} for name in ("foo-suite", "old-voice"))
    (needed,) = _resolve(("Foo", now), ("Old", before), known=_map({"a/foo-suite": ["Foo", "Old"]})).needed
    assert (needed.pack.repo_url, needed.pack.ref, needed.classes) == (_HUB + "a/foo-suite", commit, ("Foo", "Old"))


def test_the_only_pack_that_lists_a_class_is_not_that_of_an_id_with_another_name() -> None:
    """It may be a fork: the original was never listed."""
    known = _map({"b/mixer-forge": ["Mix", "MixPack"]})
    hints = {"cnr_id": "mixer"}
    assert _resolve(("Mix", hints), known=known).questions[0].registry_id == "mixer"
    answer = _resolve(("Mix", hints), ("MixPack", {**hints, "aux_id": "a/Mixer"}), known=known)
    assert (_needed(answer), answer.questions) == ({_HUB + "a/Mixer": ("Mix", "MixPack")}, ())
    swapped = _map({"a/RTX_Nodes_ComfyUI": ["Up"]})
    assert _needed(_resolve(("Up", {"cnr_id": "comfyui_rtx_nodes"}), known=swapped)) == {
        _HUB + "a/RTX_Nodes_ComfyUI": ("Up",)
    }


def test_a_repository_that_was_renamed_is_not_installed_twice() -> None:
    known = _map({"a/new": ["Foo", "Bar"]})
    old = ("Foo", {"aux_id": "a/old", "ver": "0" * 40})
    (needed,) = _resolve(old, "Bar", known=known).needed
    assert (needed.pack.repo_url, needed.pack.ref, needed.classes) == (_HUB + "a/new", "0" * 40, ("Foo", "Bar"))
    assert set(_needed(_resolve(("Foo", {"aux_id": "b/fork"}), "Bar", known=known))) == {
        _HUB + "b/fork",
        _HUB + "a/new",
    }


def test_files_of_another_shape_are_passed_over() -> None:
    odd: dict[str, Any] = {"not an address": [["A"]], _HUB + "a/b": "x", _HUB + "c/d": [[1, "Good", "x" * 500], 5]}
    known = read_manager_map(odd, {"custom_nodes": [5, {"reference": 5}]}, {_HUB + "c/d": {"stars": "many"}})
    assert known.packs_of == {"Good": ["github.com/c/d"]}
