"""Official templates by name: listed, searched and installed from the optional package, or a clear word without it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from test.api.client import START, Api, closed_address, content, service_in

PACKAGE = "comfyui_workflow_templates_json"
_LIST = [
    {
        "title": "Image",
        "templates": [
            {"name": "small", "title": "A small picture", "size": 5, "usage": 1, "tags": ["Text to Image"]},
            {"name": "big", "title": "A big picture", "size": 7_000_000_000, "usage": 9, "minComfyUIVersion": "9.2.0"},
        ],
    },
    {"title": "Video", "templates": [{"name": "film", "openSource": False}, {"name": "../evil"}, {"title": "x"}, 5]},
]


def put_templates(folder: Path) -> None:
    """A package as the real one is."""
    inside = folder / PACKAGE / "templates"
    inside.mkdir(parents=True)
    (folder / PACKAGE / "__init__.py").write_text("", "utf-8")
    (inside / "index.json").write_text(json.dumps(_LIST), "utf-8")
    nodes = [{"id": 1, "type": "Mine", "properties": {"aux_id": "me/mine"}}, {"id": 2, "type": "KSampler"}]
    (inside / "big.json").write_text(json.dumps({"nodes": nodes, "links": []}), "utf-8")


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    put_templates(tmp_path / "site")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    with service_in(tmp_path / "data", node_map_url="", stats_url="", registry_url="") as found:
        yield found


def _listed(api: Api, **asked: Any) -> dict[str, Any]:
    answer = api.get(f"/templates?{urlencode(asked)}")
    assert answer.status_code == 200, answer.text
    return content(answer)


def test_the_most_used_come_first_with_their_sizes_and_versions(api: Api) -> None:
    found = _listed(api)
    assert [each["name"] for each in found["templates"]] == ["big", "small", "film"]
    assert (found["templates"][0]["size"], found["templates"][0]["min_comfyui_version"]) == (7_000_000_000, "9.2.0")
    assert [each["hosted"] for each in found["templates"]] == [False, False, True]
    assert found["categories"] == [{"name": "Image", "count": 2}, {"name": "Video", "count": 1}]


def test_they_are_searched_by_words_and_category_and_come_in_pages(api: Api) -> None:
    assert [each["name"] for each in _listed(api, q="PICTURE small")["templates"]] == ["small"]
    assert [each["name"] for each in _listed(api, q="text to image")["templates"]] == ["small"]
    assert [each["name"] for each in _listed(api, category="Video")["templates"]] == ["film"]
    page = _listed(api, limit=1, offset=1)
    assert (page["total"], [each["name"] for each in page["templates"]]) == (3, ["small"])


def test_a_template_is_a_manifest_and_says_which_comfyui_it_needs(api: Api) -> None:
    found = content(api.post("/manifests/check", {"manifest": {"template": "big"}}))
    assert [node["name"] for node in found["nodes"]] == ["mine"]
    assert found["workflow"]["core"]["needs"] == "9.2.0"
    asked = {"manifest": {"template": "big"}, "comfyui_version": "0.33.0"}
    [verdict] = content(api.post("/manifests/check", asked))["workflow"]["core"]["verdicts"]
    assert (verdict["code"], verdict["certain"]) == ("comfyui_too_old", False)
    assert "asks for 9.2.0 or newer for this one; this ComfyUI is 0.33.0" in verdict["message"]
    assert found["workflow"]["files"] == [{"name": "A big picture", "models_size": 7_000_000_000}]
    assert api.start(closed_address(), manifest={"template": "big"}, options={"wait_seconds": 0})


@pytest.mark.parametrize("name", ["nobody", "../evil", 5, None])
def test_a_name_that_nobody_has_is_not_found(api: Api, name: Any) -> None:
    answer = api.post("/manifests/check", {"manifest": {"template": name}})
    assert (answer.status_code, content(answer)["error"]) == (404, "template_not_found"), answer.text


def test_without_the_package_the_command_that_brings_it_is_told(tmp_path: Path) -> None:
    with service_in(tmp_path, node_map_url="", stats_url="", registry_url="") as api:
        found = _listed(api)
        assert (found["total"], found["problem"]["code"]) == (0, "templates_missing")
        refused = api.post(START, {"ssh_connection": closed_address(), "manifest": {"template": "big"}})
    assert (refused.status_code, content(refused)["error"]) == (409, "templates_missing")
    for hint in (found["problem"]["hint"], content(refused)["hint"]):
        assert "pip install comfyui-workflow-templates-json" in hint
