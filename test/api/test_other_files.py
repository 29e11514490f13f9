"""Files of other tools over HTTP: read as manifests, and written from a task's lock."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from app.domain.request import check_manifest
from test.api.client import Api, closed_address, content, service_in
from test.lock.test_lock_route import LOCK, TASK_ID, record
from test.lock.test_other_files import AE, BUILD, DESKTOP, ONE, PROVISIONING


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    folder = tmp_path_factory.mktemp("files") / "service"
    record(folder)
    with service_in(folder) as running:
        yield running


def check(api: Api, file: object) -> Any:
    return api.post("/manifests/check", {"manifest": {"file": file}})


def test_a_file_is_checked_with_its_packs_models_and_what_it_leaves_out(api: Api) -> None:
    found = content(check(api, yaml.safe_dump(PROVISIONING)))
    assert [(node["name"], node["ref"]) for node in found["nodes"]] == [("mine", "main")]
    assert found["file"]["kind"] == "provisioning"
    assert found["file"]["models"] == [{**AE, "runs": True, "node_ids": [], "files": []}]
    assert "apt_packages: ffmpeg" in [each["name"] for each in found["left_out"]]
    again = content(api.post("/manifests/check", {"manifest": found["manifest"]}))
    assert (again["manifest"], again["left_out"]) == (found["manifest"], found["left_out"])


def test_models_alone_are_no_list_and_a_start_says_so(api: Api) -> None:
    file = {"version": 1, "downloads": PROVISIONING["downloads"]}
    found = content(check(api, file))
    assert (found["manifest"], found["nodes"], len(found["file"]["models"])) == (None, [], 1)
    assert found["file"]["problem"].endswith("It names 1 model files, which are not fetched.")
    answer = api.post("/ssh/install-custom-nodes", {"ssh_connection": "root@host", "manifest": {"file": file}})
    assert (answer.status_code, content(answer)["error"], content(answer)["field"]) == (
        400,
        "invalid_manifest",
        "manifest.file",
    )


def test_a_half_broken_file_is_refused_with_its_field_and_line(api: Api) -> None:
    answer = check(api, "version: 1\ngit_repos:\n- url: x\n- 3\n")
    assert (answer.status_code, content(answer)["field"]) == (400, "manifest.file.git_repos[1]")
    assert content(answer)["message"] == "Line 4: An entry of git_repos is not an object."


def test_a_start_keeps_the_list_and_what_it_leaves_out(api: Api) -> None:
    started = api.start(closed_address(), manifest={"file": PROVISIONING})
    kept = content(api.get(f"/tasks/{started}"))["request"]["manifest"]
    assert [node["name"] for node in kept["nodes"]] == ["mine"]
    assert "It is cloned to /workspace/Two" in json.dumps(kept["left_out"])


def test_exact_needs_a_file_that_says_everything(api: Api) -> None:
    build = {**BUILD, "definition": {**BUILD["definition"], "customNodes": BUILD["definition"]["customNodes"][:1]}}
    for file, status in ((DESKTOP, 400), (PROVISIONING, 400), (build, 202)):
        body = {
            "ssh_connection": closed_address(),
            "manifest": {"file": file},
            "options": {"exact": True, "wait_seconds": 0},
        }
        answer = api.post("/ssh/install-custom-nodes", body)
        assert (answer.status_code, content(answer).get("field")) == (
            status,
            None if status == 202 else "options.exact",
        )


@pytest.mark.parametrize("form", ["comfy-build", "provisioning", "on-start"])
def test_what_is_written_is_read_back(api: Api, form: str) -> None:
    """The packs at their commits, the packages, and for a script of ours the whole lock."""
    found = content(api.get(f"/tasks/{TASK_ID}/lock?format={form}"))
    read = check_manifest({"file": found["text"]}, ["https", "ssh"], "list.csv")
    assert read is not None
    if form != "comfy-build":
        assert read == {"lock": LOCK}
        assert "ADDRESS" in found["line"]
        return
    assert [(pack["repo_url"], pack["commit"]) for pack in read["lock"]["node_packs"]] == [
        (ONE, LOCK["node_packs"][0]["commit"])
    ]
    assert (read["lock"]["packages"], read["lock"]["sources"]) == ({"numpy": "2.1.0"}, LOCK["sources"])
    assert found["told"] == ["mine is not in it: no other machine can fetch it."]


def test_comfy_build_yaml_has_the_fields_that_comfy_cli_wants(api: Api) -> None:
    """As its own validation asks for them: known fields in order, texts as texts, no anchors."""
    text = content(api.get(f"/tasks/{TASK_ID}/lock?format=comfy-build"))["text"]
    found = yaml.safe_load(text)
    assert list(found) == ["schema", "id", "name", "description", "syncedRevision", "definition"]
    assert found["schema"] == "comfy-build/1"
    assert found["definition"]["customNodes"] == [
        {"name": "One", "repository": ONE, "gitRef": LOCK["node_packs"][0]["commit"]}
    ]
    assert found["definition"]["models"] == []


def test_a_written_script_has_no_variable_that_vast_fills_in(api: Api) -> None:
    found = content(api.get(f"/tasks/{TASK_ID}/lock?format=on-start"))
    assert found["text"].startswith("#!/bin/bash\n")
    assert "${" not in found["text"]
    assert found["told"] == ["No other machine can fetch mine; it is left out there."]
