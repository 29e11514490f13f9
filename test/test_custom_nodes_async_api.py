"""What the API promises to somebody who starts an install and polls it.

Nothing here needs an instance: starting, polling and refusing never do. The instances of these tests are an address
where nothing listens and one that never speaks.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.protocol import progress_json
from app.sync.capacity import Kind
from app.sync.http.services import EXTENSION
from test.api.client import PROGRESS, START, Api, closed_address, content, service_in, silent_address
from test.support.waiting import wait_until

UNKNOWN = "550e8400-e29b-41d4-a716-446655440000"
URL = "https://github.com/owner/name"
CSV_HEADER = "Name,RepoUrl,Subfolder,RequirementsFile\n"
FAIL_AT_ONCE = {"wait_seconds": 0}


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    """A service with default settings, for a user who has no SSH files."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    with service_in(tmp_path / "service") as running:
        yield running


@pytest.fixture(scope="module")
def idle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """A service for the tests that start nothing, shared: making one takes longer than they do."""
    with service_in(tmp_path_factory.mktemp("idle")) as running:
        yield running


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of an instance that is connected to and never speaks."""
    with silent_address() as address:
        yield address


def test_it_works(api: Api) -> None:
    """An install is started, polled and looked up by the task_id that the start answered."""
    answer = api.post(START, {"ssh_connection": closed_address(), "options": FAIL_AT_ONCE})
    assert answer.status_code == 202
    started = content(answer)
    assert started["success"] is True
    assert started["state"] == "queued"
    assert started["message"] == "Installation started in background"
    task = api.ended(started["task_id"])
    assert task["task_id"] == started["task_id"] == str(uuid.UUID(started["task_id"]))
    assert task["progress"]["error"]["code"] == "connect_failed"


class TestStarting:
    @pytest.mark.quiet
    def test_a_start_does_not_wait_for_the_instance(self, api: Api, silent: str) -> None:
        began = time.monotonic()
        task_id = api.start(silent)
        assert time.monotonic() - began < 1
        assert api.progress(task_id)["in_progress"]

    def test_only_the_address_is_required(self, api: Api, silent: str) -> None:
        assert api.post(START, {"ssh_connection": silent}).status_code == 202

    def test_null_means_absent(self, api: Api, silent: str) -> None:
        fields = {"ui_home": None, "venv_path": None, "manifest": None, "options": None, "idempotency_key": None}
        assert api.post(START, {"ssh_connection": silent, **fields}).status_code == 202

    @pytest.mark.parametrize(
        "ui_home", ["/workspace/My ComfyUI", '/it\'s "here"', "/tmp/$(touch x)/`id`", "/ü/…/ComfyUI"]
    )
    def test_a_folder_is_taken_as_it_is(self, api: Api, silent: str, ui_home: str) -> None:
        """Spaces, quotes and what a shell would run are legal in a path."""
        task_id = api.start(silent, ui_home=ui_home)
        assert content(api.get(f"/tasks/{task_id}"))["request"]["ui_home"] == ui_home

    @pytest.mark.parametrize(
        "manifest",
        [
            {"csv": f"{CSV_HEADER}One,{URL},,\n"},
            {"nodes": [{"name": "One", "repo_url": URL}]},
            {"urls": [URL, "git@github.com:owner/other.git"]},
            {"repo": URL},
            {"repo": URL, "path": "lists/custom_nodes.csv", "ref": "v1.2"},
        ],
        ids=lambda manifest: next(iter(manifest)),
    )
    def test_each_form_of_a_manifest_is_accepted(self, api: Api, silent: str, manifest: dict[str, Any]) -> None:
        api.start(silent, manifest=manifest)

    def test_the_same_idempotency_key_is_the_same_task(self, api: Api, silent: str) -> None:
        first = api.start(silent, idempotency_key="once")
        assert api.start(silent, idempotency_key="once") == first
        assert len(content(api.get("/tasks"))["tasks"]) == 1

    def test_without_a_key_each_start_is_a_task(self, api: Api, silent: str) -> None:
        assert api.start(silent) != api.start(silent)

    def test_options_that_change_nothing_are_accepted(self, api: Api, silent: str) -> None:
        options = {"plan_only": False, "verify": False, "restart": False, "on_failure": "keep", "require": "all"}
        api.start(silent, options=options)

    def test_options_are_in_the_request_that_is_kept(self, api: Api, silent: str) -> None:
        task_id = api.start(silent, options={"plan_only": True, "on_failure": "rollback"})
        options = content(api.get(f"/tasks/{task_id}"))["request"]["options"]
        assert (options["plan_only"], options["on_failure"]) == (True, "rollback")


class TestPolling:
    def test_the_first_poll_has_every_field_and_a_phase(self, api: Api, silent: str) -> None:
        progress = api.progress(api.start(silent))
        assert progress["success"] is True
        assert progress["phase"] == "connect"
        assert progress["message"]
        fields = set(progress_json.progress(progress_json.initial("", 0, auto_installer=True), 0))
        assert set(progress) == fields | {"summary"}
        assert [step["name"] for step in progress["steps"]][:2] == ["Connect", "Clone Auto-installer"]

    def test_a_failing_instance_is_state_and_not_an_http_error(self, api: Api) -> None:
        task_id = api.start(closed_address(), options=FAIL_AT_ONCE)
        api.ended(task_id)
        progress = api.progress(task_id)
        assert progress["success"] is False
        assert (progress["state"], progress["completed"], progress["in_progress"]) == ("failed", True, False)
        assert progress["outcome"] is None
        assert progress["return_code"] == 1
        assert set(progress["error"]) == {"code", "title", "message", "hint", "retryable"}

    def test_an_instance_that_never_speaks_fails_within_the_connect_deadline(self, tmp_path: Path, silent: str) -> None:
        with service_in(tmp_path, connect_timeout_seconds=1.0) as quick:
            began = time.monotonic()
            task = quick.ended(quick.start(silent, options=FAIL_AT_ONCE))
            assert time.monotonic() - began < 5
            assert task["progress"]["error"]["code"] == "connect_failed"

    def test_an_unreachable_instance_is_waited_for(self, api: Api) -> None:
        """With wait_seconds an instance that is not up yet keeps the install going."""
        task_id = api.start(closed_address(), options={"wait_seconds": 600})
        content(api.get(f"/tasks/{task_id}?wait=1"))
        assert api.progress(task_id)["in_progress"]

    def test_nothing_new_since_a_revision_is_answered_briefly(self, api: Api) -> None:
        task_id = api.start(closed_address(), options=FAIL_AT_ONCE)
        api.ended(task_id)
        progress = api.progress(task_id)
        unchanged = api.progress(task_id, since=progress["revision"])
        assert unchanged["success"] is True
        assert unchanged["unchanged"] is True
        assert unchanged["revision"] == progress["revision"]
        assert (unchanged["state"], unchanged["in_progress"]) == ("failed", False)
        assert "nodes" not in unchanged

    def test_something_new_since_a_revision_is_answered_in_full(self, api: Api) -> None:
        task_id = api.start(closed_address(), options=FAIL_AT_ONCE)
        api.ended(task_id)
        assert "nodes" in api.progress(task_id, since=0)

    def test_the_originals_request_is_understood(self, api: Api, silent: str) -> None:
        """It sends the address again, which is not needed."""
        task_id = api.start(silent)
        assert api.post(PROGRESS, {"task_id": task_id, "ssh_connection": silent}).status_code == 200

    def test_a_task_id_in_capitals_is_the_same(self, api: Api, silent: str) -> None:
        assert api.progress(api.start(silent).upper())["in_progress"]

    def test_an_unknown_task_is_not_found(self, idle: Api) -> None:
        refused = idle.post(PROGRESS, {"task_id": str(uuid.uuid4())})
        assert refused.status_code == 404
        assert content(refused)["error"] == "task_not_found"

    @pytest.mark.parametrize(
        "body",
        [
            {},
            {"task_id": None},
            {"task_id": ""},
            {"task_id": "../../etc/passwd"},
            {"task_id": 7},
            {"task_id": "{" + UNKNOWN + "}"},
            {"task_id": UNKNOWN.replace("-", "")},
            {"task_id": UNKNOWN + "\n"},
        ],
        ids=repr,
    )
    def test_a_task_id_that_is_none_is_refused(self, idle: Api, body: dict[str, Any]) -> None:
        refused = idle.post(PROGRESS, body)
        assert refused.status_code == 400
        assert content(refused)["field"] == "task_id"

    @pytest.mark.parametrize("since", [-1, 1.5, "1", True])
    def test_since_is_a_revision(self, idle: Api, since: object) -> None:
        refused = idle.post(PROGRESS, {"task_id": str(uuid.uuid4()), "since": since})
        assert (refused.status_code, content(refused)["field"]) == (400, "since")


def _csv(*rows: str, header: str = CSV_HEADER) -> dict[str, Any]:
    return {"manifest": {"csv": header + "\n".join(rows)}}


def _node(**fields: Any) -> dict[str, Any]:
    return {"manifest": {"nodes": [{"name": "One", "repo_url": URL, **fields}]}}


BAD_INPUT: list[tuple[str, dict[str, Any], str]] = [
    ("address missing", {"ssh_connection": None}, "ssh_connection"),
    ("address empty", {"ssh_connection": ""}, "ssh_connection"),
    ("address blank", {"ssh_connection": "   "}, "ssh_connection"),
    ("address a number", {"ssh_connection": 22}, "ssh_connection"),
    ("address a list", {"ssh_connection": ["root@host"]}, "ssh_connection"),
    ("address with ProxyCommand", {"ssh_connection": "ssh -oProxyCommand=touch\\ x root@host"}, "ssh_connection"),
    ("address that begins with an option", {"ssh_connection": "-oProxyCommand=touch"}, "ssh_connection"),
    ("two addresses", {"ssh_connection": "ssh root@host\nssh root@other"}, "ssh_connection"),
    ("address with NUL", {"ssh_connection": "root@host\x00"}, "ssh_connection"),
    ("address of 10 KB", {"ssh_connection": "root@" + "a" * 10_240}, "ssh_connection"),
    ("address with port 0", {"ssh_connection": "root@host -p 0"}, "ssh_connection"),
    ("address with a password", {"ssh_connection": "ssh://root:secret@host"}, "ssh_connection"),
    ("ui_home relative", {"ui_home": "workspace/ComfyUI"}, "ui_home"),
    ("ui_home of a home folder", {"ui_home": "~/ComfyUI"}, "ui_home"),
    ("ui_home empty", {"ui_home": ""}, "ui_home"),
    ("ui_home with ..", {"ui_home": "/workspace/../etc"}, "ui_home"),
    ("ui_home with a newline", {"ui_home": "/workspace\n/ComfyUI"}, "ui_home"),
    ("ui_home with NUL", {"ui_home": "/workspace/\x00"}, "ui_home"),
    ("ui_home with DEL", {"ui_home": "/workspace/\x7f"}, "ui_home"),
    ("ui_home too long", {"ui_home": "/" + "a" * 1000}, "ui_home"),
    ("ui_home a number", {"ui_home": 1}, "ui_home"),
    ("venv_path relative", {"venv_path": "venv"}, "venv_path"),
    ("venv_path with ..", {"venv_path": "/venv/.."}, "venv_path"),
    ("manifest a list", {"manifest": []}, "manifest"),
    ("manifest empty", {"manifest": {}}, "manifest"),
    ("manifest of two forms", {"manifest": {"csv": "", "urls": []}}, "manifest"),
    ("csv a number", {"manifest": {"csv": 1}}, "manifest.csv"),
    ("csv empty", {"manifest": {"csv": ""}}, "manifest.csv"),
    ("csv with a bad header", _csv(f"One,{URL}", header="Title,Address\n"), "manifest.csv"),
    ("csv without rows", _csv(), "manifest.csv"),
    ("csv with a name twice", _csv(f"One,{URL}", f"one,{URL}2"), "manifest.csv"),
    ("csv with ../ in Subfolder", _csv(f"One,{URL},../../etc,"), "manifest.csv"),
    ("csv with ../ in RequirementsFile", _csv(f"One,{URL},,../../etc/passwd"), "manifest.csv"),
    ("csv with an absolute Subfolder", _csv(f"One,{URL},/etc,"), "manifest.csv"),
    ("csv with ext::", _csv("One,ext::sh -c id,,"), "manifest.csv"),
    ("csv with file:", _csv("One,file:///etc/one,,"), "manifest.csv"),
    ("csv with http:", _csv("One,http://github.com/owner/name,,"), "manifest.csv"),
    ("csv with NUL in a name", _csv(f"O\x00ne,{URL},,"), "manifest.csv"),
    ("csv with a name that is an option", _csv(f"-one,{URL},,"), "manifest.csv"),
    ("nodes no list", {"manifest": {"nodes": {}}}, "manifest.nodes"),
    ("nodes empty", {"manifest": {"nodes": []}}, "manifest.nodes"),
    ("node no object", {"manifest": {"nodes": ["One"]}}, "manifest.nodes[0]"),
    ("node with an unknown field", _node(branch="main"), "manifest.nodes[0]"),
    ("node without a name", {"manifest": {"nodes": [{"repo_url": URL}]}}, "manifest.nodes[0].name"),
    ("node with ../ in subfolder", _node(subfolder="../x"), "manifest.nodes[0].subfolder"),
    ("node with ../ in requirements_file", _node(requirements_file="a/../../x"), "manifest.nodes[0].requirements_file"),
    ("node with an option as ref", _node(ref="--upload-pack=id"), "manifest.nodes[0].ref"),
    ("node with ext::", _node(repo_url="ext::sh -c id"), "manifest.nodes[0].repo_url"),
    ("node with a password", _node(repo_url="https://me:secret@github.com/o/n"), "manifest.nodes[0].repo_url"),
    ("url file:", {"manifest": {"urls": [URL, "file:///etc"]}}, "manifest.urls[1]"),
    ("url an option", {"manifest": {"urls": ["--upload-pack=id"]}}, "manifest.urls[0]"),
    ("url at two versions", {"manifest": {"urls": [URL, URL + "/tree/v1"]}}, "manifest.urls"),
    ("repo ext::", {"manifest": {"repo": "ext::sh -c id"}}, "manifest.repo"),
    ("repo path with ..", {"manifest": {"repo": URL, "path": "../x.csv"}}, "manifest.path"),
    ("repo ref an option", {"manifest": {"repo": URL, "ref": "--x"}}, "manifest.ref"),
    ("option unknown", {"options": {"fast": True}}, "options.fast"),
    ("options no object", {"options": True}, "options"),
    ("existing unknown", {"options": {"existing": "remove"}}, "options.existing"),
    ("run_scripts a number", {"options": {"run_scripts": 1}}, "options.run_scripts"),
    ("require unknown", {"options": {"require": "some"}}, "options.require"),
    ("wait_seconds negative", {"options": {"wait_seconds": -1}}, "options.wait_seconds"),
    ("wait_seconds over a day", {"options": {"wait_seconds": 86_401}}, "options.wait_seconds"),
    ("wait_seconds text", {"options": {"wait_seconds": "5"}}, "options.wait_seconds"),
    ("wait_seconds true", {"options": {"wait_seconds": True}}, "options.wait_seconds"),
    ("fingerprint too short", {"options": {"host_key_sha256": "SHA256:abc"}}, "options.host_key_sha256"),
    ("fingerprint md5", {"options": {"host_key_sha256": "MD5:" + "a" * 43}}, "options.host_key_sha256"),
    ("key empty", {"idempotency_key": ""}, "idempotency_key"),
    ("key too long", {"idempotency_key": "k" * 201}, "idempotency_key"),
    ("key with a newline", {"idempotency_key": "a\nb"}, "idempotency_key"),
    ("unknown field", {"uihome": "/workspace"}, "uihome"),
]


@pytest.mark.parametrize(("fields", "field"), [case[1:] for case in BAD_INPUT], ids=[case[0] for case in BAD_INPUT])
def test_bad_input_is_refused_by_field_and_nothing_is_started(idle: Api, fields: dict[str, Any], field: str) -> None:
    """Whatever is wrong is named, in the one shape of errors, and no task comes of it."""
    refused = idle.post(START, {"ssh_connection": "root@127.0.0.1 -p 9"} | fields)
    error = content(refused)
    assert refused.status_code == 400
    assert error["field"] == field
    assert error["success"] is False
    assert error["message"].endswith(".")
    assert set(error) - {"wrong_entries"} == {"success", "error", "message", "hint", "field"}
    assert content(idle.get("/tasks"))["tasks"] == []


class TestTasks:
    def test_the_newest_is_first_and_pages_join(self, api: Api, silent: str) -> None:
        started = [api.start(silent) for _ in range(5)]
        seen: list[str] = []
        cursor, pages = "", 0
        while pages == 0 or cursor:
            page = content(api.get("/tasks?limit=2" + (f"&cursor={cursor}" if cursor else "")))
            seen += [task["task_id"] for task in page["tasks"]]
            cursor, pages = page["next_cursor"], pages + 1
        assert seen == started[::-1]
        assert pages == 3

    def test_they_can_be_asked_for_by_state_and_instance(self, api: Api, silent: str) -> None:
        ended, waiting = api.start(closed_address(), options=FAIL_AT_ONCE), api.start(silent)
        instance = api.ended(ended)["instance"]
        wait_until(lambda: content(api.get("/tasks?state=failed"))["tasks"], what="the list knows the end")
        by_state = content(api.get("/tasks?state=failed"))["tasks"]
        by_instance = content(api.get("/tasks?instance=" + instance))["tasks"]
        assert [task["task_id"] for task in by_state] == [task["task_id"] for task in by_instance] == [ended]
        assert waiting not in str(by_state)

    @pytest.mark.parametrize(
        ("query", "field"),
        [
            ("limit=0", "limit"),
            ("limit=201", "limit"),
            ("limit=x", "limit"),
            ("limit=1&limit=2", "limit"),
            ("state=done", "state"),
            ("cursor=nonsense", "cursor"),
            ("stat=failed", "stat"),
        ],
    )
    def test_a_parameter_that_cannot_be_is_refused(self, idle: Api, query: str, field: str) -> None:
        refused = idle.get("/tasks?" + query)
        assert (refused.status_code, content(refused)["field"]) == (400, field)

    def test_one_task_shows_its_request_and_progress(self, api: Api, silent: str) -> None:
        task_id = api.start(silent, ui_home="/workspace/ComfyUI")
        task = content(api.get(f"/tasks/{task_id}"))
        assert task["success"] is True
        assert task["request"]["ui_home"] == "/workspace/ComfyUI"
        assert task["progress"]["task_id"] == task_id

    def test_waiting_ends_at_its_time_when_the_task_has_not(self, api: Api, silent: str) -> None:
        task_id = api.start(silent)
        began = time.monotonic()
        assert content(api.get(f"/tasks/{task_id}?wait=0.3"))["progress"]["in_progress"]
        assert 0.3 <= time.monotonic() - began < 3

    @pytest.mark.parametrize("wait", ["-1", "61", "nan", "inf", "soon"])
    def test_waiting_has_bounds(self, idle: Api, wait: str) -> None:
        refused = idle.get(f"/tasks/{uuid.uuid4()}?wait={wait}")
        assert (refused.status_code, content(refused)["field"]) == (400, "wait")

    def test_only_so_many_answers_are_held(self, api: Api, silent: str) -> None:
        """Clients that wait must not take every thread of the server from those that poll."""
        task_id = api.start(silent)
        capacity = api.app.extensions[EXTENSION].capacity
        while capacity.acquire(Kind.CHANGES):
            pass
        began = time.monotonic()
        assert content(api.get(f"/tasks/{task_id}?wait=60"))["progress"]["in_progress"]
        assert time.monotonic() - began < 5

    def test_waiting_for_an_unknown_task_does_not_wait(self, idle: Api) -> None:
        began = time.monotonic()
        assert idle.get(f"/tasks/{uuid.uuid4()}?wait=30").status_code == 404
        assert time.monotonic() - began < 5


class TestCancelling:
    def test_a_running_install_ends_as_cancelled(self, api: Api, silent: str) -> None:
        task_id = api.start(silent)
        answer = api.post(f"/tasks/{task_id}/cancel")
        assert answer.status_code == 202
        assert content(answer)["state"] in {"cancelling", "cancelled"}
        task = api.ended(task_id)
        assert task["state"] == "cancelled"
        assert task["progress"]["return_code"] == 130

    def test_curl_without_a_body_is_enough(self, api: Api, silent: str) -> None:
        assert api.send("POST", f"/tasks/{api.start(silent)}/cancel").status_code == 202

    def test_what_has_ended_cannot_be_cancelled(self, api: Api) -> None:
        task_id = api.start(closed_address(), options=FAIL_AT_ONCE)
        api.ended(task_id)
        refused = api.post(f"/tasks/{task_id}/cancel")
        assert refused.status_code == 409
        assert content(refused)["error"] == "task_not_cancellable"

    def test_an_unknown_task_is_not_found(self, idle: Api) -> None:
        assert idle.post(f"/tasks/{uuid.uuid4()}/cancel").status_code == 404

    def test_no_uuid_is_refused(self, idle: Api) -> None:
        refused = idle.post("/tasks/1/cancel")
        assert (refused.status_code, content(refused)["field"]) == (400, "task_id")
