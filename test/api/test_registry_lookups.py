"""Workflows and the registry: what hints alone decide costs no network, what only the registry knows is asked there,
and what a person has answered once is not asked again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.standin.instance import StandIn
from test.api.client import START, Api, closed_address, content, service_in
from test.support.registry_api import RegistryApi, refuses, registry_api

IMPACT = "comfyui-impact-pack"
_HUB = "https://github.com/"


@pytest.fixture
def registry() -> Iterator[RegistryApi]:
    with registry_api() as found:
        found.add(IMPACT, "8.0.0", "8.1.0", classes=("FaceDetailer", "Shared"), repository=_HUB + "l/Impact", stars=40)
        found.add("other-pack", "2.0.0", classes=("Shared", "Other"))
        yield found


@pytest.fixture
def api(tmp_path: Path, registry: RegistryApi) -> Iterator[Api]:
    with service_in(tmp_path, registry_url=registry.url) as found:
        yield found


def graph(*nodes: tuple[str, dict[str, str]]) -> dict[str, Any]:
    """A workflow of these classes, each with its hints."""
    found = [{"id": number, "type": name, "properties": hints} for number, (name, hints) in enumerate(nodes)]
    return {"nodes": found, "links": [], "version": 0.4}


def check(api: Api, *nodes: tuple[str, dict[str, str]], **more: Any) -> dict[str, Any]:
    ssh = {"ssh_connection": more.pop("ssh_connection")} if "ssh_connection" in more else {}
    answer = api.post("/manifests/check", {"manifest": {"workflow": graph(*nodes), **more}, **ssh})
    assert answer.status_code == 200, answer.text
    return dict(content(answer)["workflow"])


def packs(found: dict[str, Any]) -> list[tuple[Any, ...]]:
    return [
        (each["registry_id"], each["version"], each["ref"], each["repo_url"], each["evidence"])
        for each in found["evidence"]
    ]


def test_hints_alone_decide_without_any_network(api: Api, registry: RegistryApi) -> None:
    commit = "a" * 40
    found = check(
        api,
        ("KSampler", {"cnr_id": "comfy-core", "ver": "0.3.60"}),
        ("FaceDetailer", {"cnr_id": "ComfyUI-Impact-Pack", "ver": "8.0.0"}),
        ("Newest", {"cnr_id": "rgthree-comfy"}),
        ("Nightly", {"cnr_id": "some-pack", "ver": "nightly"}),
        ("Forked", {"cnr_id": "original", "aux_id": "me/fork", "ver": commit}),
    )
    assert packs(found) == [
        (IMPACT, "8.0.0", None, None, ["hint"]),
        ("rgthree-comfy", None, None, None, ["hint"]),
        ("some-pack", None, None, None, ["hint"]),
        ("original", None, commit, _HUB + "me/fork", ["hint"]),
    ]
    assert [each["from_registry"] for each in found["evidence"]] == [True, True, True, False]
    assert (found["questions"], registry.asked) == ([], [])
    assert found["registry"] == {"on": True, "read_at": None, "problem": None}


def test_a_commit_in_place_of_a_version_is_of_the_packs_repository(api: Api, registry: RegistryApi) -> None:
    """As ComfyUI-Manager writes it for a pack of the registry that was cloned."""
    found = check(api, ("FaceDetailer", {"cnr_id": IMPACT, "ver": "b" * 40}))
    assert packs(found) == [(IMPACT, None, "b" * 40, _HUB + "l/Impact", ["hint"])]
    assert not found["evidence"][0]["from_registry"]
    assert registry.calls(f"/nodes/{IMPACT}")


def test_one_pack_that_is_hinted_by_its_id_and_by_its_repository_is_one(api: Api) -> None:
    """The repository decides: it may be a fork, which keeps its original's id."""
    found = check(api, ("A", {"cnr_id": "x", "ver": "1.0.0"}), ("B", {"cnr_id": "x", "aux_id": "me/x-fork"}))
    assert packs(found) == [("x", "1.0.0", None, _HUB + "me/x-fork", ["hint"])]
    assert not found["evidence"][0]["from_registry"]


def test_versions_that_disagree_are_the_newest(api: Api) -> None:
    found = check(api, ("A", {"cnr_id": "x", "ver": "1.0.0"}), ("B", {"cnr_id": "X", "ver": "2.0.0"}))
    assert packs(found) == [("x", None, None, None, ["hint"])]


def test_a_class_without_hints_is_asked_for_and_the_version_is_told(api: Api, registry: RegistryApi) -> None:
    found = check(api, ("FaceDetailer", {}), ("KSampler", {}), ("Note", {}))
    assert packs(found) == [(IMPACT, "8.1.0", None, _HUB + "l/Impact", ["registry"])]
    assert found["evidence"][0]["stars"] == 40
    assert found["registry"]["read_at"] is not None
    assert not registry.calls("KSampler"), "ComfyUI's own classes are nobody's business"


def test_several_packs_are_a_question_with_facts_or_are_decided_by_the_others(api: Api) -> None:
    (question,) = check(api, ("Shared", {}))["questions"]
    assert [
        (each["answer"], each["registry_id"], each["version"], each["stars"]) for each in question["candidates"]
    ] == [
        (f"{IMPACT}@8.1.0", IMPACT, "8.1.0", 40),
        ("other-pack@2.0.0", "other-pack", "2.0.0", 7),
    ]
    found = check(api, ("Shared", {}), ("Other", {}))
    assert [(each[0], each[4]) for each in packs(found)] == [("other-pack", ["registry", "same_workflow"])]


def test_an_answer_may_be_a_pack_of_the_registry(api: Api) -> None:
    found = check(api, ("Shared", {}), answers={"pack:Shared": f"{IMPACT}@8.0.0"})
    assert packs(found) == [(IMPACT, "8.0.0", None, None, ["answer"])]


def test_what_the_registry_took_away_is_no_candidate(api: Api, registry: RegistryApi) -> None:
    registry.nodes["other-pack"]["status"] = "NodeStatusBanned"
    assert packs(check(api, ("Shared", {})))[0][0] == IMPACT
    (question,) = check(api, ("Other", {}))["questions"]
    assert question["candidates"] == []


def test_a_registry_that_does_not_answer_leaves_a_question_and_says_why(api: Api, registry: RegistryApi) -> None:
    registry.always = refuses(503)
    found = check(api, ("FaceDetailer", {}), ("Known", {"cnr_id": "x", "ver": "1.0.0"}))
    assert [each["class"] for each in found["questions"]] == ["FaceDetailer"]
    assert packs(found)[0][:2] == ("x", "1.0.0")
    assert "503" in found["registry"]["problem"]


def test_with_the_registry_switched_off_an_id_is_a_question(tmp_path: Path) -> None:
    with service_in(tmp_path) as api:
        found = check(api, ("FaceDetailer", {"cnr_id": IMPACT, "ver": "8.0.0"}))
    (question,) = found["questions"]
    assert (question["registry_id"], question["candidates"]) == (IMPACT, [])
    assert found["registry"]["on"] is False


def test_an_answer_is_remembered_where_that_is_asked_for(api: Api) -> None:
    answers = {"pack:Shared": _HUB + "me/mine", "pack:Nowhere": "skip", "pack:NotInIt": _HUB + "a/b"}
    check(api, ("Shared", {}), ("Nowhere", {}), answers=answers)
    assert content(api.get("/workflow-answers"))["answers"] == []
    check(api, ("Shared", {}), ("Nowhere", {}), answers=answers, remember=True)
    found = check(api, ("Shared", {}), ("Nowhere", {}))
    assert packs(found) == [(None, None, None, _HUB + "me/mine", ["remembered"])]
    kept = content(api.get("/workflow-answers"))["answers"]
    assert [(each["question_id"], each["answer"]) for each in kept] == [
        ("pack:Nowhere", "skip"),
        ("pack:Shared", _HUB + "me/mine"),
    ]
    assert found["evidence"][0]["answered_at"] == kept[1]["answered_at"]
    assert found["skipped"] == [{"question_id": "pack:Nowhere", "answered_at": kept[0]["answered_at"]}]
    assert found["questions"] == []


def test_a_remembered_answer_is_forgotten_alone_or_with_all(api: Api) -> None:
    check(api, ("A", {}), ("B", {}), ("C", {}), answers={f"pack:{name}": "skip" for name in "ABC"}, remember=True)
    forget = "/workflow-answers"
    assert content(api.send("DELETE", forget, json={"question_id": "pack:B"}))["forgotten"] == 1
    assert content(api.send("DELETE", forget, json={"question_id": "pack:B"}))["forgotten"] == 0
    assert [each["question_id"] for each in check(api, ("A", {}), ("B", {}))["questions"]] == ["pack:B"]
    assert content(api.send("DELETE", forget, json={}))["forgotten"] == 2


def test_a_hint_and_a_new_answer_go_before_what_is_remembered(api: Api) -> None:
    check(api, ("Shared", {}), answers={"pack:Shared": _HUB + "me/old"}, remember=True)
    hinted = check(api, ("Shared", {"cnr_id": "other-pack", "ver": "2.0.0"}))
    assert packs(hinted)[0][0] == "other-pack"
    answered = check(api, ("Shared", {}), answers={"pack:Shared": _HUB + "me/new"})
    assert packs(answered)[0][3:] == (_HUB + "me/new", ["answer"])


def test_what_cannot_be_installed_is_not_remembered(api: Api) -> None:
    for answer in ("file:///etc/passwd", "https://user:secret@host/a/b", "ext::sh -c x/y"):
        manifest = {"workflow": graph(("Shared", {})), "answers": {"pack:Shared": answer}, "remember": True}
        for route, body in (("/manifests/check", {}), (START, {"ssh_connection": closed_address()})):
            assert api.post(route, {"manifest": manifest, **body}).status_code == 400
    manifest = {"workflow": graph(("Shared", {})), "remember": "yes"}
    assert api.post("/manifests/check", {"manifest": manifest}).status_code == 400
    assert content(api.get("/workflow-answers"))["answers"] == []


@pytest.mark.sshd
def test_a_service_without_network_asks_through_the_instance(
    registry: RegistryApi, standin: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What comes through it without TLS is used, and not kept for others."""
    monkeypatch.setenv("HOME", str(tmp_path))
    registry.faults = [refuses(503)]
    with service_in(tmp_path / "service", registry_url=registry.url) as api:
        api.post("/host-keys/accept", {"ssh_connection": standin.ssh_command, "sha256": standin.host_key_sha256})
        found = check(api, ("FaceDetailer", {}), ssh_connection=standin.ssh_command)
        assert packs(found) == [(IMPACT, "8.1.0", None, _HUB + "l/Impact", ["registry"])]
        assert not list((tmp_path / "service" / "registry").glob("*.z"))
        nowhere = check(api, ("FaceDetailer", {}), ssh_connection=closed_address())
        assert [each["class"] for each in nowhere["questions"]] == ["FaceDetailer"]


@pytest.mark.sshd
def test_the_map_of_packs_comes_through_the_instance_too(
    standin: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without TLS it is for whoever asked alone: the next one reads it by the service's own network."""
    monkeypatch.setenv("HOME", str(tmp_path))
    with registry_api() as web:
        web.raw["/map/extension-node-map.json"] = {_HUB + "a/foo": [["Foo"], {}]}
        web.faults = [refuses(503)]
        with service_in(tmp_path / "service", node_map_url=f"{web.url}/map", stats_url="") as api:
            api.post("/host-keys/accept", {"ssh_connection": standin.ssh_command, "sha256": standin.host_key_sha256})
            found = check(api, ("Foo", {}), ssh_connection=standin.ssh_command)
            assert packs(found) == [(None, None, None, _HUB + "a/foo", ["map"])]
            assert found["node_map"]["problem"] is None
            assert not (tmp_path / "service/node-map/extension-node-map.json").exists()
            assert check(api, ("Foo", {}))["questions"], "nothing was kept of it"
