"""Workflows as lists: a file is sent, what it needs is told with its evidence, and an install takes it."""

from __future__ import annotations

import http.server
import json
import os
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from test.api.client import START, Api, closed_address, content, service_in
from test.support.chosen_engine import documents_in

SAMPLES = Path(__file__).parents[1] / "workflowfile/samples"
_HUB = "https://github.com/"
_FILES: dict[str, Any] = {
    "/extension-node-map.json": {
        _HUB + "cubiq/ComfyUI_essentials": [["ImageResize+", "MaskBlur+"], {"title_aux": "Essentials"}],
        _HUB + "a/text": [["ShowText", "A"], {}],
        _HUB + "b/text": [["ShowText", "B"], {}],
    },
    "/custom-node-list.json": {"custom_nodes": []},
    "/stats.json": {_HUB + "a/text": {"stars": 12, "last_update": "2026-05-01 10:00:00"}},
}


class Web:
    """Manager's files on a web server, with ETags. `asked`: what was asked for and how it was answered."""

    def __init__(self) -> None:
        self.files = dict(_FILES)
        self.asked: list[tuple[str, int]] = []
        self.url = ""

    def answer(self, handler: http.server.BaseHTTPRequestHandler) -> None:
        value = self.files.get(handler.path)
        body = b"" if value is None else json.dumps(value).encode()
        etag = f'"{len(body)}"'
        status = 404 if value is None else 304 if handler.headers.get("If-None-Match") == etag else 200
        self.asked.append((handler.path, status))
        handler.send_response(status)
        handler.send_header("ETag", etag)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        if status == 200:
            handler.wfile.write(body)


@pytest.fixture
def web() -> Iterator[Web]:
    found = Web()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.answer(self)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        found.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield found
        server.shutdown()


def _settings(web: Web) -> dict[str, str]:
    return {"node_map_url": web.url, "stats_url": f"{web.url}/stats.json"}


@pytest.fixture
def api(tmp_path: Path, web: Web) -> Iterator[Api]:
    with service_in(tmp_path, **_settings(web)) as found:
        yield found


def _sent(api: Api, data: bytes, content_type: str | None = "application/octet-stream") -> Any:
    return api.post_text("/workflow-files", data, content_type)


def _graph(*classes: str, **hints: str) -> dict[str, Any]:
    nodes = [{"id": number, "type": name, "properties": hints} for number, name in enumerate(classes)]
    return {"nodes": nodes, "links": [], "version": 0.4}


def _checked(api: Api, manifest: dict[str, Any]) -> dict[str, Any]:
    answer = api.post("/manifests/check", {"manifest": manifest})
    assert answer.status_code == 200, answer.text
    return content(answer)


def test_a_picture_is_sent_and_its_packs_are_told_with_evidence_and_models(api: Api) -> None:
    answer = _sent(api, (SAMPLES / "core.png").read_bytes())
    assert answer.status_code == 201, answer.text
    sent = content(answer)
    assert sent["kind"] == "PNG picture"
    checked = _checked(api, {"workflow_file": sent["file_id"]})
    assert [node["repo_url"] for node in checked["nodes"]] == [_HUB + "cubiq/ComfyUI_essentials"]
    essentials = {"name": "ComfyUI_essentials", "repo_url": _HUB + "cubiq/ComfyUI_essentials", "ref": None}
    assert checked["manifest"]["nodes"] == [essentials]
    assert checked["manifest"]["needs"]["packs"] == [{"name": "ComfyUI_essentials", "classes": ["ImageResize+"]}]
    (needed,) = checked["workflow"]["evidence"]
    assert (needed["classes"], needed["evidence"], needed["version"]) == (["ImageResize+"], ["hint"], "1.1.0")
    assert [model["name"] for model in checked["workflow"]["models"]] == ["sd/x.safetensors"]
    assert checked["workflow"]["questions"] == []


def test_an_install_takes_a_workflow_as_its_manifest(api: Api) -> None:
    """Also the graph itself; what it needs is the task's list then."""
    file_id = content(_sent(api, (SAMPLES / "helper.mp4").read_bytes()))["file_id"]
    for manifest in ({"workflow_file": file_id}, {"workflow": _graph("MaskBlur+", "KSampler")}):
        task_id = api.start(closed_address(), manifest=manifest, options={"wait_seconds": 0})
        asked = api.ended(task_id)["request"]["manifest"]
        assert [node["name"] for node in asked["nodes"]] == ["ComfyUI_essentials"]


def test_open_questions_start_nothing_and_answers_do(api: Api) -> None:
    workflow = _graph("ShowText", "Nowhere")
    answer = api.post(START, {"ssh_connection": closed_address(), "manifest": {"workflow": workflow}})
    assert answer.status_code == 409
    refused = content(answer)
    assert (refused["error"], refused["field"]) == ("manifest_has_questions", "manifest.answers")
    assert {question["question_id"]: len(question["candidates"]) for question in refused["questions"]} == {
        "pack:ShowText": 2,
        "pack:Nowhere": 0,
    }
    assert refused["questions"][0]["candidates"][0]["stars"] == 12
    answers = {"pack:ShowText": _HUB + "b/text", "pack:Nowhere": "skip"}
    checked = _checked(api, {"workflow": workflow, "answers": answers})
    assert [node["repo_url"] for node in checked["nodes"]] == [_HUB + "b/text"]
    assert api.start(closed_address(), manifest={"workflow": workflow, "answers": answers}, options={"wait_seconds": 0})


def test_an_answer_cannot_bring_what_a_list_may_not_have(api: Api) -> None:
    for answer in ("file:///etc/passwd", "https://user:secret@host/a/b", "ext::sh -c x/y"):
        manifest = {"workflow": _graph("ShowText"), "answers": {"pack:ShowText": answer}}
        refused = api.post(START, {"ssh_connection": closed_address(), "manifest": manifest})
        assert refused.status_code == 400, refused.text
        assert "secret" not in refused.text


def test_a_workflow_that_needs_no_pack_says_so(api: Api) -> None:
    checked = _checked(api, {"workflow": _graph("KSampler", "Note")})
    assert (checked["manifest"], checked["nodes"]) == (None, [])
    answer = api.post(START, {"ssh_connection": closed_address(), "manifest": {"workflow": _graph("KSampler")}})
    assert answer.status_code == 400
    assert "needs no node pack" in answer.text


def test_a_comfyui_that_is_too_old_is_told_before_anything_is_fetched(api: Api) -> None:
    checked = _checked(api, {"workflow": _graph("From The Future", cnr_id="comfy-core", ver="9.1.0")})
    assert checked["workflow"]["core"]["too_new"] == ["From The Future"]
    assert checked["workflow"]["core"]["made_with"] == "9.1.0"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "workflow_file_unknown"),
        (b"\x89PNG\r\n\x1a\n", "workflow_file_empty"),
        (b'{"nodes": [', "workflow_file_unreadable"),
        (b"[" * 500_000, "workflow_file_too_large"),
    ],
)
def test_a_file_without_a_workflow_is_named_for_what_it_is(api: Api, data: bytes, code: str) -> None:
    answer = _sent(api, data)
    assert (answer.status_code, content(answer)["error"]) == (400, code)


def test_a_file_of_more_than_a_megabyte_is_read_whole_and_only_its_workflow_is_kept(api: Api, tmp_path: Path) -> None:
    """A video of a film's length has its workflow at the end."""
    data = (SAMPLES / "core.mp4").read_bytes()
    padded = data[:28] + (8_000_008).to_bytes(4, "big") + b"free" + b"\0" * 8_000_000 + data[28:]
    assert _sent(api, padded).status_code == 201
    with documents_in(tmp_path) as documents:
        kept = [documents.read(name) or b"" for name, _ in documents.newest_first("workflow-files", ".json.z")]
    assert kept and sum(map(len, kept)) < 10_000


def test_what_curl_sends_by_itself_is_taken_and_a_form_is_refused(api: Api) -> None:
    data = (SAMPLES / "api.json").read_bytes()
    assert _sent(api, data, "application/x-www-form-urlencoded").status_code == 201
    assert _sent(api, data, None).status_code == 201
    answer = _sent(api, data, "multipart/form-data; boundary=x")
    assert (answer.status_code, content(answer)["error"]) == (415, "not_a_file")


@pytest.mark.parametrize("file_id", ["../../etc/passwd", "x", 5, None])
def test_an_id_that_is_none_is_refused(api: Api, file_id: Any) -> None:
    answer = api.post("/manifests/check", {"manifest": {"workflow_file": file_id}})
    assert (answer.status_code, content(answer)["error"]) == (400, "invalid_manifest")


def test_an_id_that_nobody_has_is_not_found(api: Api) -> None:
    answer = api.post("/manifests/check", {"manifest": {"workflow_file": str(uuid.uuid4())}})
    assert (answer.status_code, content(answer)["error"]) == (404, "workflow_file_not_found")


def test_the_map_is_kept_asked_for_by_its_etag_and_used_without_a_network(tmp_path: Path, web: Web) -> None:
    manifest = {"workflow": _graph("MaskBlur+")}
    with service_in(tmp_path, **_settings(web)) as api:
        assert len(_checked(api, manifest)["nodes"]) == 1
        assert len(_checked(api, manifest)["nodes"]) == 1
    assert [status for _, status in web.asked] == [200, 200, 200]
    for path in (tmp_path / "node-map").iterdir():
        _make_old(path)
    with service_in(tmp_path, **_settings(web)) as api:
        assert len(_checked(api, manifest)["nodes"]) == 1
    assert [status for _, status in web.asked[3:]] == [304, 304, 304]
    for path in (tmp_path / "node-map").iterdir():
        _make_old(path)
    web.files.clear()
    with service_in(tmp_path, **_settings(web)) as api:
        checked = _checked(api, manifest)
    assert len(checked["nodes"]) == 1
    assert checked["workflow"]["node_map"]["problem"].endswith("cannot be read: the server answers 404.")
    assert checked["workflow"]["problem"].endswith("404. The one of 2020-09-13 is used.")


def test_a_map_that_is_switched_off_asks_nobody(tmp_path: Path, web: Web) -> None:
    with service_in(tmp_path, node_map_url="", stats_url="") as api:
        checked = _checked(api, {"workflow": _graph("MaskBlur+", aux_id="cubiq/ComfyUI_essentials")})
    assert [node["repo_url"] for node in checked["nodes"]] == [_HUB + "cubiq/ComfyUI_essentials"]
    assert checked["workflow"]["node_map"] == {
        "read_at": None,
        "problem": "ComfyUI-Manager's map of node packs is switched off here.",
    }
    assert web.asked == []


def test_a_map_that_is_none_changes_nothing(tmp_path: Path, web: Web) -> None:
    web.files["/extension-node-map.json"] = ["no map"]
    with service_in(tmp_path, **_settings(web)) as api:
        checked = _checked(api, {"workflow": _graph("MaskBlur+")})
    assert [question["class"] for question in checked["workflow"]["questions"]] == ["MaskBlur+"]
    assert "no map of ComfyUI-Manager" in checked["workflow"]["node_map"]["problem"]


def _make_old(path: Path) -> None:
    os.utime(path, (1_600_000_000, 1_600_000_000))


def test_several_files_are_one_list_with_the_files_that_want_each_pack(api: Api) -> None:
    """What one file is sure of decides what another leaves open."""
    one, other = _graph("ShowText"), _graph("A", aux_id="a/text")
    ids = [content(_sent(api, json.dumps(each).encode()))["file_id"] for each in (one, other)]
    alone = _checked(api, {"workflow_file": ids[:1]})
    assert len(alone["workflow"]["questions"]) == 1
    checked = _checked(api, {"workflow_file": ids})
    assert [(node["repo_url"]) for node in checked["nodes"]] == [_HUB + "a/text"]
    assert [each["files"] for each in checked["workflow"]["evidence"]] == [[0, 1]]
    assert checked["workflow"]["files"] == [{"name": None, "models_size": None}] * 2
    for wrong in ([], ids * 60, [5]):
        assert api.post("/manifests/check", {"manifest": {"workflow_file": wrong}}).status_code == 400


def test_what_only_opens_it_is_left_out_unless_somebody_wants_it(api: Api) -> None:
    nodes = [
        {"id": 1, "type": "A", "properties": {"aux_id": "a/text"}},
        {"id": 2, "type": "Muted", "mode": 4, "properties": {"aux_id": "m/muted"}},
        {"id": 3, "type": "Nobody", "mode": 2},
    ]
    workflow = {"nodes": nodes, "links": []}
    runs = _checked(api, {"workflow": workflow})
    assert [node["name"] for node in runs["nodes"]] == ["text"]
    assert [each["runs"] for each in runs["workflow"]["evidence"]] == [True, False]
    assert (runs["workflow"]["questions"], runs["workflow"]["needed"]) == ([], "run")
    opens = _checked(api, {"workflow": workflow, "needed": "open", "answers": {"pack:Nobody": "skip"}})
    assert [node["name"] for node in opens["nodes"]] == ["text", "muted"]
    less = _checked(api, {"workflow": workflow, "without": ["https://github.com/a/text"]})
    assert less["nodes"] == []
    for wrong in ({"needed": "all"}, {"without": "x"}, {"without": [5]}):
        assert api.post("/manifests/check", {"manifest": {"workflow": workflow, **wrong}}).status_code == 400


def test_a_workflow_is_held_against_the_version_of_an_instances_comfyui(api: Api) -> None:
    workflow = {"nodes": [{"id": 1, "type": "AddLayer"}, {"id": 2, "type": "ImageResize+"}]}
    asked = {"manifest": {"workflow": workflow}}
    core = content(api.post("/manifests/check", {**asked, "comfyui_version": "0.30.0"}))["workflow"]["core"]
    assert (core["comfyui_version"], core["needs"], core["too_new"]) == ("0.30.0", "0.31.0", ["AddLayer"])
    (verdict,) = core["verdicts"]
    assert (verdict["code"], verdict["title"], verdict["certain"]) == ("comfyui_too_old", "ComfyUI too old", True)
    assert verdict["message"] == "The workflow needs ComfyUI 0.31.0 or newer; this one is 0.30.0 and lacks AddLayer."
    assert verdict["classes"] == [{"class": "AddLayer", "since": "0.31.0", "until": None, "replaced_by": None}]
    newer = content(api.post("/manifests/check", {**asked, "comfyui_version": "0.31.0"}))
    assert newer["workflow"]["core"]["verdicts"] == []
    refused = api.post("/manifests/check", {**asked, "comfyui_version": "new"})
    assert (refused.status_code, content(refused)["field"]) == (400, "comfyui_version")


def test_a_run_that_asks_takes_open_questions_with_it(api: Api) -> None:
    """Where there is a pack to install; its own list says which repositories a person may choose among."""
    manifest = {"workflow": _graph("ShowText", "MaskBlur+")}
    task_id = api.start(closed_address(), manifest=manifest, options={"wait_seconds": 0, "ask": "ask"})
    asked = api.ended(task_id)["request"]["manifest"]
    assert [node["name"] for node in asked["nodes"]] == ["ComfyUI_essentials"]
    repositories = [_HUB + "a/text", _HUB + "b/text"]
    assert asked["needs"]["open_classes"] == [{"name": "ShowText", "repositories": repositories}]
    only = {"workflow": _graph("ShowText")}
    refused = api.post(START, {"ssh_connection": closed_address(), "manifest": only, "options": {"ask": "ask"}})
    assert refused.status_code == 409


def test_what_a_list_says_of_its_workflow_is_checked(api: Api) -> None:
    nodes = [{"name": "text", "repo_url": _HUB + "a/text"}]
    wrong: list[Any] = [
        [],
        {"packs": {}},
        {"packs": [{"name": "text", "classes": ["A"] * 2001}]},
        {"core": {"newest": "1"}},
    ]
    for needs in wrong:
        body = {"ssh_connection": closed_address(), "manifest": {"nodes": nodes, "needs": needs}}
        refused = api.post(START, body)
        assert (refused.status_code, content(refused)["field"]) == (400, "manifest.needs"), needs
    for offered in (["file:///etc"], ["ext::sh -c id"], [_HUB + "a/b"] * 21):
        classes = [
            {"name": "Fine", "repositories": [_HUB + "a/b", _HUB + "c/b"]},
            {"name": "A", "repositories": offered},
        ]
        body = {"ssh_connection": closed_address(), "manifest": {"nodes": nodes, "needs": {"open_classes": classes}}}
        refused = api.post(START, body)
        assert (refused.status_code, content(refused)["field"]) == (400, "manifest.needs.open_classes[1]"), offered
    lists: list[Any] = [{"urls": [_HUB + "a/text"], "needs": {}}, {"needs": {}}]
    for manifest in lists:
        assert api.post("/manifests/check", {"manifest": manifest}).status_code == 400
