"""The form of every request and answer: JSON in, JSON out, one shape of errors."""

from __future__ import annotations

import logging
import uuid

import pytest

from app.domain.errors import TooManyTasks
from test.api.client import PROGRESS, START, Api, content, silent_address

ERROR_KEYS = {"success", "error", "message", "hint"}


class TestJson:
    @pytest.mark.parametrize(
        ("text", "position"),
        [
            ('{"ssh_connection": }', "line 1, column 20"),
            ('{\n "a": 1,\n}', "line 3, column 1"),
            ("ssh_connection=root@host", "line 1, column 1"),
            ('{"a": NaN}', "NaN"),
            ('{"a": -Infinity}', "-Infinity"),
            ('{"a": 1e999}', "too large"),
            ('{"a": 1, "a": 2}', "'a' comes twice"),
            (b'{"a": "\xff"}', "byte 7"),
            ('{"a": "\\ud800"}', "surrogate"),
            ("[" * 100_000, "nested too deeply"),
            ('{"a": ' + "9" * 5000 + "}", "digits"),
        ],
        ids=range(11),
    )
    def test_malformed_json_is_refused_with_its_position(self, idle: Api, text: str | bytes, position: str) -> None:
        refused = idle.post_text(START, text)
        assert refused.status_code == 400
        assert content(refused)["error"] == "malformed_json"
        assert position in content(refused)["message"]

    @pytest.mark.parametrize("text", ["[]", "null", '"root@host"', "1", "true"])
    def test_a_body_is_an_object(self, idle: Api, text: str) -> None:
        refused = idle.post_text(PROGRESS, text)
        assert (refused.status_code, content(refused)["error"]) == (400, "malformed_json")

    def test_an_empty_body_lacks_its_fields(self, idle: Api) -> None:
        refused = idle.post_text(START, b"", content_type=None)
        assert (refused.status_code, content(refused)["field"]) == (400, "ssh_connection")

    @pytest.mark.parametrize("content_type", [None, "text/plain", "application/json; charset=latin-1", "text/json"])
    def test_only_application_json_is_read(self, idle: Api, content_type: str | None) -> None:
        refused = idle.post_text(START, "{}", content_type)
        assert (refused.status_code, content(refused)["error"]) == (415, "not_json")

    @pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", 'Application/JSON;charset="UTF-8"'])
    def test_utf8_may_be_named(self, idle: Api, content_type: str) -> None:
        assert content(idle.post_text(START, "{}", content_type))["field"] == "ssh_connection"

    def test_a_body_over_a_mebibyte_is_refused(self, idle: Api) -> None:
        refused = idle.post_text(START, '{"ssh_connection": "' + "a" * 1024 * 1024 + '"}')
        assert (refused.status_code, content(refused)["error"]) == (413, "body_too_large")

    def test_a_long_unknown_name_is_cut(self, idle: Api) -> None:
        assert len(idle.post(START, {"x" * 100_000: 1}).text) < 1000


class TestAnswers:
    @pytest.mark.parametrize("path", ["/", START, "/tasks", "/tasks/1", "/health", "/host-keys/h:22", "/nowhere"])
    def test_options_answers_204_everywhere(self, idle: Api, path: str) -> None:
        answer = idle.send("OPTIONS", path, headers={"Origin": "http://localhost"})
        assert (answer.status_code, answer.data) == (204, b"")
        assert "OPTIONS" in answer.headers["Allow"]

    def test_options_names_the_methods(self, idle: Api) -> None:
        assert set(idle.send("OPTIONS", "/tasks").headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}
        assert set(idle.send("OPTIONS", START).headers["Allow"].split(", ")) == {"POST", "OPTIONS"}

    @pytest.mark.parametrize(
        ("method", "path", "status", "code"),
        [
            ("GET", "/nowhere", 404, "not_found"),
            ("POST", "/tasks/", 404, "not_found"),
            ("POST", "/ssh//test", 404, "not_found"),
            ("GET", START, 405, "method_not_allowed"),
            ("DELETE", "/tasks", 405, "method_not_allowed"),
            ("BREW", "/tasks", 405, "method_not_allowed"),
        ],
    )
    def test_an_unknown_route_or_method_has_the_one_shape(
        self, idle: Api, method: str, path: str, status: int, code: str
    ) -> None:
        refused = idle.send(method, path)
        assert (refused.status_code, content(refused)["error"]) == (status, code)
        assert set(content(refused)) == ERROR_KEYS
        assert ("Allow" in refused.headers) == (status == 405)

    def test_every_answer_says_what_it_is_and_is_not_kept(self, idle: Api) -> None:
        answers = [
            idle.get("/health"),
            idle.get("/nowhere"),
            idle.post(START, {}),
            idle.get("/tasks", Host="evil.example"),
        ]
        for answer in answers:
            assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
            assert answer.headers["Cache-Control"] == "no-store"
            assert answer.headers["X-Content-Type-Options"] == "nosniff"

    def test_health_tells_the_version(self, idle: Api) -> None:
        health = content(idle.get("/health"))
        assert health["success"] is True
        assert health["status"] == "ok"
        assert health["version"]


class TestBugs:
    def test_a_bug_is_a_500_whose_id_is_in_the_log(self, api: Api, caplog: pytest.LogCaptureFixture) -> None:
        """Nothing of the cause is told to the client; the log has it with the same id."""

        def broken() -> str:
            raise KeyError("the secret cause")

        api.app.add_url_rule("/broken", view_func=broken)
        with caplog.at_level(logging.ERROR):
            answer = api.get("/broken")
        assert answer.status_code == 500
        error = content(answer)
        assert set(error) == ERROR_KEYS
        assert error["error"] == "internal_error"
        assert "secret" not in answer.text
        incident = error["message"].rpartition(" ")[2].rstrip(")")
        [record] = [record for record in caplog.records if incident in record.getMessage()]
        assert record.exc_info is not None
        assert "the secret cause" in str(record.exc_info[1])

    def test_a_full_queue_says_when_to_come_back(self, api: Api) -> None:
        def full() -> str:
            raise TooManyTasks

        api.app.add_url_rule("/full", view_func=full)
        answer = api.get("/full")
        assert (answer.status_code, content(answer)["error"]) == (429, "too_many_tasks")
        assert int(answer.headers["Retry-After"]) > 0


class TestRequestLog:
    def test_a_request_is_one_line_with_its_task(self, api: Api, caplog: pytest.LogCaptureFixture) -> None:
        """A poll is one for those who look for a fault: a page sends thousands."""
        with silent_address() as address, caplog.at_level(logging.DEBUG, "app.sync.http"):
            task_id = api.start(address)
            api.progress(task_id)
        said = [record for record in caplog.records if record.getMessage().startswith("request ")]
        assert [record.levelname for record in said] == ["INFO", "DEBUG"]
        lines = [record.getMessage() for record in said]
        assert [line.split()[1:4] for line in lines] == [
            ["method=POST", f"path={START}", "status=202"],
            ["method=POST", f"path={PROGRESS}", "status=200"],
        ]
        assert all(f"task_id={task_id}" in line for line in lines)

    def test_no_secret_and_no_forged_line_comes_into_it(self, api: Api, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.DEBUG, "app.sync.http"):
            api.get("/tasks/%0Arequest%20forged?token=secret", Authorization="Bearer secret")
            api.post(PROGRESS, {"task_id": str(uuid.uuid4()), "ssh_connection": "ssh://root:secret@host"})
        assert "secret" not in caplog.text
        assert not [record for record in caplog.records if "\n" in record.getMessage()]
