"""Logs, figures and readiness over HTTP."""

from __future__ import annotations

import contextlib
import shutil
import sys
import uuid
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from app.factory import build_service
from app.settings import Settings
from app.storage.errors import StorageError
from app.storage.transactions import reading
from app.version import VERSION
from test.api.client import Api, closed_address, content, service_in
from test.support.chosen_engine import log_writer
from test.support.waiting import wait_until


def samples_of(api: Api) -> dict[tuple[object, ...], float]:
    """What is counted now: by the sample's name and its labels."""
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(api.get("/metrics").text)
        for sample in family.samples
    }


class TestLog:
    def test_a_task_without_a_log_yet_has_an_empty_one(self, api: Api) -> None:
        """It is asked for again at next_offset; complete says whether that is of use."""
        task_id = api.start(closed_address(), options={"wait_seconds": 0})
        api.ended(task_id)
        found = content(api.get(f"/tasks/{task_id}/log"))
        assert found == {
            "success": True,
            "task_id": task_id,
            "log": "run",
            "node": None,
            "offset": 0,
            "next_offset": 0,
            "size": 0,
            "complete": True,
            "text": "",
            "line": 1,
            "lines": 0,
            "deciding_line": None,
            "logs": [],
        }

    def test_it_is_read_from_any_byte_in_whole_characters(self, api: Api, tmp_path: Path) -> None:
        """What is cut off comes with the next request."""
        task_id = api.start(closed_address(), options={"wait_seconds": 0})
        api.ended(task_id)
        with log_writer(tmp_path / "service", task_id) as writer:
            writer.append("run.log", 0, ("0123456789abcde" + "é" * 3).encode())
        part = content(api.get(f"/tasks/{task_id}/log?limit=16"))
        assert (part["text"], part["next_offset"], part["size"]) == ("0123456789abcde", 15, 21)
        plain = api.get(f"/tasks/{task_id}/log?offset=15&limit=16&format=text")
        assert (plain.text, plain.content_type) == ("ééé", "text/plain; charset=utf-8")
        headers = [plain.headers[f"X-Log-{name}"] for name in ("Offset", "Size", "Complete")]
        assert headers == ["21", "21", "true"]

    @pytest.mark.parametrize("query", ["offset=-1", "offset=x", "offset=1", "offset=99999999999999999999", "limit=0"])
    def test_an_offset_that_cannot_be_is_named(self, api: Api, query: str) -> None:
        """Also one behind the end."""
        task_id = api.start(closed_address(), options={"wait_seconds": 0})
        answer = api.get(f"/tasks/{task_id}/log?{query}")
        assert (answer.status_code, content(answer)["field"]) == (400, query.split("=", maxsplit=1)[0])

    def test_a_pack_or_log_that_is_not_there_is_named(self, api: Api) -> None:
        """And which field named it."""
        task_id = api.start(closed_address(), options={"wait_seconds": 0})
        for query, field in (("node=Nobody", "node"), ("log=Nobody", "log"), ("log=../x", "log")):
            answer = api.get(f"/tasks/{task_id}/log?{query}")
            error = content(answer)
            assert (answer.status_code, error["error"], error["field"]) == (404, "log_not_found", field)
            assert query.split("=")[1] in error["message"]
        answer = api.get(f"/tasks/{uuid.uuid4()}/log")
        assert (answer.status_code, content(answer)["error"]) == (404, "task_not_found")


class TestMetrics:
    def test_they_count_and_name_no_task(self, api: Api) -> None:
        """Tasks by state, ended ones by outcome with their durations, requests by route."""
        task_id = api.start(closed_address(), options={"wait_seconds": 0})
        api.ended(task_id)
        api.progress(task_id)
        wait_until(lambda: "nodeferry_installs_running 0.0" in api.get("/metrics").text, what="its thread is gone")
        text, samples = api.get("/metrics").text, samples_of(api)
        assert samples["nodeferry_tasks", ("state", "failed")] == 1
        assert samples["nodeferry_tasks", ("state", "running")] == 0
        assert samples["nodeferry_installs_running",] == samples["nodeferry_installs_waiting",] == 0
        assert samples["nodeferry_reconnects_total",] == 0
        assert samples["nodeferry_installs_finished_total", ("outcome", "failed")] == 1
        assert samples["nodeferry_install_seconds_count", ("outcome", "failed")] == 1
        route = ("route", "POST /ssh/install-custom-nodes/progress")
        assert samples["nodeferry_request_seconds_count", route] == 1
        assert task_id not in text

    def test_what_alerts_ask_for_is_there_before_anything_has_happened(self, idle: Api) -> None:
        """A series that appears with its first event shows no rise to Prometheus."""
        samples = samples_of(idle)
        for name in ("installs_taken_up", "leases_lost", "listener_reconnects", "reconnects"):
            assert samples[f"nodeferry_{name}_total",] == 0
        assert samples["nodeferry_oldest_waiting_seconds",] == samples["nodeferry_event_save_seconds_count",] == 0
        assert samples["nodeferry_signal_seconds_count", ("kind", "cancel")] == 0
        assert samples["nodeferry_database_errors_total", ("code", "database_locked")] == 0
        assert samples["nodeferry_installs_finished_total", ("outcome", "partial")] == 0
        assert samples["nodeferry_info", ("role", "all"), ("version", VERSION)] == 1

    @pytest.mark.skipif(sys.platform != "linux", reason="read from /proc")
    def test_the_process_says_what_it_uses(self, idle: Api) -> None:
        """Memory, processor time, threads and open files."""
        samples = samples_of(idle)
        for name in ("resident_memory_bytes", "cpu_seconds_total", "open_fds", "start_time_seconds"):
            assert samples[f"process_{name}",] > 0
        assert samples["nodeferry_process_threads",] >= 1

    def test_an_install_that_goes_on_is_counted_and_how_late_its_events_were_saved(self, tmp_path: Path) -> None:
        """Begun by one service, and taken up by the next on the same database."""
        with service_in(tmp_path) as first:
            task_id = first.start(closed_address(), options={"wait_seconds": 600})
            wait_until(lambda: samples_of(first)["nodeferry_installs_running",] == 1, what="it has begun")
            assert samples_of(first)["nodeferry_installs_taken_up_total",] == 0
        with service_in(tmp_path) as second:
            wait_until(lambda: samples_of(second)["nodeferry_installs_taken_up_total",] == 1, what="it goes on")
            second.post(f"/tasks/{task_id}/cancel", {})
            second.ended(task_id)
            assert samples_of(second)["nodeferry_event_save_seconds_count",] >= 1

    def test_errors_of_the_database_are_counted_by_code(self, api: Api) -> None:
        """Whoever had them."""
        engine = api.app.extensions["nodeferry"].installs._store._engine
        with contextlib.suppress(StorageError), reading(engine) as connection:
            connection.exec_driver_sql("SELECT * FROM nothing")
        counted = {
            key[1]: value for key, value in samples_of(api).items() if key[0] == "nodeferry_database_errors_total"
        }
        assert sum(counted.values()) == 1

    def test_the_age_of_what_waits_longest_is_told(self, tmp_path: Path) -> None:
        """The second install of one ComfyUI waits for the first."""
        with service_in(tmp_path) as api:
            address, options = closed_address(), {"wait_seconds": 600}
            tasks = [api.start(address, options=options), api.start(address, options=options)]
            wait_until(lambda: samples_of(api)["nodeferry_installs_running",] == 1, what="the first has begun")
            wait_until(lambda: samples_of(api)["nodeferry_oldest_waiting_seconds",] > 0, what="it waits")
            for task_id in tasks:
                api.post(f"/tasks/{task_id}/cancel", {})
                api.ended(task_id)

    def test_two_services_of_one_process_count_apart(self, api: Api, tmp_path: Path) -> None:
        """No registry is shared."""
        api.get("/health")
        with service_in(tmp_path / "other") as other:
            assert 'route="GET /health"' not in other.get("/metrics").text

    def test_addresses_that_are_no_routes_are_not_counted(self, api: Api) -> None:
        """Whoever tries names must not make labels."""
        api.get("/nobody/knows/this")
        assert "nobody" not in api.get("/metrics").text

    def test_they_need_the_token(self, tmp_path: Path) -> None:
        """Like every route that tells something."""
        with service_in(tmp_path, token="secret") as locked:
            assert locked.get("/metrics").status_code == 401
            assert locked.get("/metrics", Authorization="Bearer secret").status_code == 200
            assert locked.get("/health/ready").status_code == 200


class TestReadiness:
    def test_a_service_that_runs_is_ready(self, idle: Api) -> None:
        """As is said in one word."""
        assert content(idle.get("/health/ready"))["status"] == "ready"

    def test_one_that_closes_is_not_and_lives(self, tmp_path: Path) -> None:
        """Polls are still answered; new work belongs to another one."""
        service = build_service(Settings(data_dir=tmp_path))
        api = Api(service.app)
        service.close()
        answer = api.get("/health/ready")
        assert (answer.status_code, content(answer)["error"]) == (503, "not_ready")
        assert "shutting down" in content(answer)["message"]
        assert api.get("/health").status_code == 200

    def test_one_whose_database_is_gone_is_not(self, api: Api, tmp_path: Path) -> None:
        """What cannot be kept is not accepted."""
        folder = tmp_path / "service"
        installs = api.app.extensions["nodeferry"].installs
        installs._store._engine.dispose()
        for file in folder.glob("nodeferry.db*"):
            file.unlink()
        (folder / "nodeferry.db").mkdir()
        try:
            answer = api.get("/health/ready")
            assert (answer.status_code, content(answer)["error"]) == (503, "not_ready")
            assert "database" in content(answer)["message"]
            assert api.get("/health").status_code == 200
            assert "nodeferry_installs_running" in api.get("/metrics").text
        finally:
            shutil.rmtree(folder / "nodeferry.db")
