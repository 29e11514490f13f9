"""`id@version` in a list: found in the registry before an instance is touched, told with its version, or refused with
the registry's reason."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.protocol.registry_ref import RegistryRef, read_registry_ref
from test.api.client import START, Api, closed_address, content, service_in
from test.support.registry_api import RegistryApi, cuts_off, refuses, registry_api, says

IMPACT = "comfyui-impact-pack"
_HUB = "https://github.com/"


@pytest.fixture
def registry() -> Iterator[RegistryApi]:
    with registry_api() as found:
        found.add(IMPACT, "8.0.0", "8.1.0", repository=_HUB + "l/Impact")
        found.add("Odd_Case.Pack", "0.1", "1.0.0-beta+5")
        yield found


@pytest.fixture
def api(tmp_path: Path, registry: RegistryApi) -> Iterator[Api]:
    with service_in(tmp_path, registry_url=registry.url, allowed_git_schemes=("https", "ssh", "http")) as found:
        yield found


def check(api: Api, manifest: dict[str, Any]) -> dict[str, Any]:
    answer = api.post("/manifests/check", {"manifest": manifest})
    assert answer.status_code == 200, answer.text
    return content(answer)


def refused(api: Api, manifest: dict[str, Any]) -> dict[str, Any]:
    """The same refusal by the check and by an install."""
    checked = api.post("/manifests/check", {"manifest": manifest})
    started = api.post(START, {"ssh_connection": closed_address(), "manifest": manifest})
    assert checked.status_code == started.status_code == 400, checked.text
    assert checked.text == started.text
    return content(checked)


def test_an_id_gets_its_newest_version_and_a_version_is_kept(api: Api, registry: RegistryApi) -> None:
    found = check(api, {"urls": ["ComfyUI-Impact-Pack", "odd_case.pack@0.1", "a/plain"]})
    assert found["manifest"]["nodes"][:2] == [
        {
            "registry_id": IMPACT,
            "version": "8.1.0",
            "repo_url": _HUB + "l/Impact",
            "archive_url": f"{registry.url}/files/{IMPACT}-8.1.0.zip",
        },
        {
            "registry_id": "Odd_Case.Pack",
            "version": "0.1",
            "repo_url": _HUB + "packs/Odd_Case.Pack",
            "archive_url": f"{registry.url}/files/Odd_Case.Pack-0.1.zip",
        },
    ]
    assert [(node["name"], node["version"]) for node in found["nodes"]] == [
        (IMPACT, "8.1.0"),
        ("Odd_Case.Pack", "0.1"),
        ("plain", ""),
    ]
    assert [(each["asked"], each["version"], each["status"]) for each in found["registry"]["packs"]] == [
        ("ComfyUI-Impact-Pack", "8.1.0", "active"),
        ("odd_case.pack@0.1", "0.1", "active"),
    ]
    assert found["registry"]["problem"] is None


def test_a_list_without_such_packs_asks_nobody(api: Api, registry: RegistryApi) -> None:
    found = check(api, {"urls": ["https://github.com/a/b", "owner/name", "git@github.com:c/d.git", "owner/other@v1.0"]})
    assert (len(found["nodes"]), found["registry"], registry.asked) == (4, None, [])


@pytest.mark.parametrize(
    "written",
    [
        "comfyui-impact-pack@8.0.0",
        "ComfyUI-IMPACT-Pack@v8.0.0",
        '- "comfyui-impact-pack@8.0.0",',
        "comfy node registry-install comfyui-impact-pack --version 8.0.0",
        "$ comfy node install comfyui-impact-pack@8.0.0",
    ],
)
def test_a_version_is_understood_as_people_write_it(api: Api, written: str) -> None:
    (node,) = check(api, {"urls": [written]})["manifest"]["nodes"]
    assert (node["registry_id"], node["version"]) == (IMPACT, "8.0.0")


@pytest.mark.parametrize(
    ("written", "version"),
    [
        ("comfyui-impact-pack@latest", "8.1.0"),
        ("https://registry.comfy.org/publishers/somebody/nodes/comfyui-impact-pack", "8.1.0"),
        ("odd_case.pack@latest", "1.0.0-beta+5"),
        ("odd_case.pack@1.0.0-beta+5", "1.0.0-beta+5"),
    ],
)
def test_words_for_the_newest_and_odd_versions(api: Api, written: str, version: str) -> None:
    (node,) = check(api, {"urls": [written]})["manifest"]["nodes"]
    assert node["version"] == version


def test_nightly_is_the_repository(api: Api) -> None:
    """As ComfyUI-Manager means it: a clone of what the registry names."""
    (node,) = check(api, {"urls": [f"{IMPACT}@nightly"]})["nodes"]
    assert (node["name"], node["repo_url"], node["registry_id"]) == ("Impact", _HUB + "l/Impact", "")


@pytest.mark.parametrize(
    "text",
    [
        "owner/name",
        "owner/name@1.0.0",
        "github.com",
        "root@1.2.3.4",
        "root@ssh6.vast.ai",
        "git@github.com:a/b.git",
        "https://github.com/a/b",
        "https://registry.comfy.org/publishers/somebody",
        "list.csv",
        "1.2.3.4",
        "12345",
        "numpy==1.26",
        "d" * 40,
        "x" * 101,
        "--upload-pack=x",
        "pack@main",
        "pack@unknown",
        "pack@",
        "pip install pack",
        "two words",
        "",
    ],
)
def test_what_is_something_else_is_no_pack_of_the_registry(text: str) -> None:
    assert read_registry_ref(text) is None


def test_what_a_workflow_needs_is_said_of_the_pack_as_the_registry_spells_it(api: Api) -> None:
    graph = {"nodes": [{"id": 1, "type": "A", "properties": {"cnr_id": "odd_case.pack", "ver": "0.1"}}], "links": []}
    task_id = api.start(closed_address(), manifest={"workflow": graph}, options={"wait_seconds": 0})
    manifest = content(api.get(f"/tasks/{task_id}"))["request"]["manifest"]
    assert [node["registry_id"] for node in manifest["nodes"]] == ["Odd_Case.Pack"]
    assert [(pack["name"], pack["classes"]) for pack in manifest["needs"]["packs"]] == [("Odd_Case.Pack", ["A"])]


def test_an_entry_of_a_list_may_name_a_pack(api: Api) -> None:
    found = check(
        api, {"nodes": [{"registry_id": IMPACT, "version": "8.0.0"}, {"name": "b", "repo_url": _HUB + "a/b"}]}
    )
    assert [(node["name"], node["version"]) for node in found["nodes"]] == [(IMPACT, "8.0.0"), ("b", "")]


@pytest.mark.parametrize("status", ["Flagged", "Banned", "Deleted", "Pending"])
def test_what_the_registry_does_not_give_away_is_refused_with_its_reason(
    api: Api, registry: RegistryApi, status: str
) -> None:
    registry.set_status(IMPACT, "8.0.0", status, "It mines coins.")
    error = refused(api, {"urls": [f"{IMPACT}@8.0.0"]})
    assert error["error"] == "registry_version_refused"
    assert status.lower() in error["message"]
    assert "It mines coins." in error["message"]
    found = check(api, {"urls": [f"{IMPACT}@8.0.0", "odd_case.pack@0.1", "a/plain"]})
    told = found["registry"]["packs"][0]
    assert (told["status"], told["refused"]["code"]) == (status.lower(), "registry_version_refused")
    assert found["manifest"]["nodes"][0] == {"registry_id": IMPACT, "version": "8.0.0"}, "its row fails in the run"
    assert len(found["nodes"]) == 3, "the others go on"
    assert [(each["name"], each["version"]) for each in found["left_out"]] == [(IMPACT, "8.0.0")]


def test_a_banned_pack_a_missing_pack_and_a_missing_version(api: Api, registry: RegistryApi) -> None:
    registry.nodes["odd_case.pack"]["status"] = "NodeStatusBanned"
    assert refused(api, {"urls": ["odd_case.pack@0.1"]})["error"] == "registry_version_refused"
    missing = refused(api, {"urls": ["nobody-has-this"]})
    assert (missing["error"], "registry.comfy.org" in missing["hint"]) == ("registry_pack_not_found", True)
    version = refused(api, {"urls": [f"{IMPACT}@9.9.9"]})
    assert version["error"] == "registry_version_not_found"
    assert "newest version is 8.1.0" in version["message"]


def test_a_deprecated_version_is_told(api: Api, registry: RegistryApi) -> None:
    registry.versions[IMPACT]["8.0.0"]["deprecated"] = True
    assert check(api, {"urls": [f"{IMPACT}@8.0.0"]})["registry"]["packs"][0]["deprecated"] is True


@pytest.mark.parametrize(
    ("fault", "why"),
    [(refuses(500), "500"), (refuses(429, Retry_After="600"), "429"), (cuts_off, "cut off"), (says(b"[]"), "pack")],
)
def test_where_the_registry_does_not_answer_the_instance_asks_it(
    api: Api, registry: RegistryApi, fault: Any, why: str
) -> None:
    registry.always = fault
    found = check(api, {"urls": [f"{IMPACT}@8.0.0"]})
    assert found["manifest"]["nodes"] == [{"registry_id": IMPACT, "version": "8.0.0"}]
    assert why in found["registry"]["problem"]
    told = found["registry"]["packs"][0]
    assert (told["version"], told["status"], told["refused"]) == (None, None, None)


def test_what_was_asked_before_is_known_when_the_registry_is_gone(api: Api, registry: RegistryApi) -> None:
    first = check(api, {"urls": [IMPACT]})
    registry.always = refuses(503)
    assert check(api, {"urls": [IMPACT]})["manifest"] == first["manifest"]


def test_with_the_registry_switched_off_an_id_is_refused_with_the_setting(tmp_path: Path) -> None:
    with service_in(tmp_path) as api:
        error = refused(api, {"urls": [f"{IMPACT}@8.0.0", "a/b"]})
    assert "switched off" in error["message"]
    assert "NODEFERRY_REGISTRY_URL" in error["hint"]


def test_an_archive_or_repository_of_a_hostile_answer_is_not_passed_on(api: Api, registry: RegistryApi) -> None:
    registry.nodes[IMPACT] |= {"repository": "ext::sh -c x/y", "latest_version": None}
    registry.versions[IMPACT]["8.0.0"]["downloadUrl"] = "file:///etc/passwd"
    (node,) = check(api, {"urls": [f"{IMPACT}@8.0.0"]})["manifest"]["nodes"]
    assert node == {"registry_id": IMPACT, "version": "8.0.0"}


def test_an_install_is_started_with_what_was_found(api: Api, registry: RegistryApi) -> None:
    task_id = api.start(closed_address(), manifest={"urls": [f"{IMPACT}@8.0.0"]}, options={"wait_seconds": 0})
    assert task_id
    assert registry.calls(f"/nodes/{IMPACT}/versions/8.0.0")
    assert not registry.calls("/install"), "what counts as an install is asked by who installs"


def test_a_reference_is_written_as_it_is_read() -> None:
    assert str(RegistryRef("a", "1.0")) == "a@1.0"
    assert str(RegistryRef("a")) == "a"
