"""Two processes that answer and one that works, on one PostgreSQL, with an instance behind a real sshd."""

from __future__ import annotations

import signal
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from app.standin.instance import StandIn
from app.standin.packs import Pack
from app.standin.postgresql import PostgreSQL
from test.shared.cluster import WebProcess, WorkerProcess
from test.support.manager_copies import put_registry_copy
from test.support.ports import closed_port
from test.support.service import TERMINAL, Json
from test.support.waiting import wait_until
from test.sync.conftest import Gate, gate, instance, instances, packs

__all__ = ["gate", "instance", "instances", "packs"]

pytestmark = [pytest.mark.sshd, pytest.mark.quiet]

SOON = 2.0
TOLD, TAKEN = 5.0, 10.0
"""After a kill -9, in seconds."""


@dataclass
class Cluster:
    """`one` and `two` answer; `works` runs installs."""

    folder: Path
    url: str
    one: WebProcess
    two: WebProcess
    works: WorkerProcess

    def another_worker(self) -> WorkerProcess:
        """One more, to be entered."""
        return WorkerProcess(_made(self.folder / "works too"), self.url)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, postgresql: PostgreSQL) -> Iterator[Cluster]:
    folder, name = tmp_path_factory.mktemp("cluster"), f"cluster_{uuid.uuid4().hex}"
    url = postgresql.create(name)
    with ExitStack() as opened:
        one = opened.enter_context(WebProcess(_made(folder / "one"), url))
        two = opened.enter_context(WebProcess(_made(folder / "two"), url))
        works = opened.enter_context(WorkerProcess(_made(folder / "works"), url))
        yield Cluster(folder, url, one, two, works)
    postgresql.drop(name)


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _runs_a_script(progress: Json) -> bool:
    return any(node["script_status"] == "running" for node in progress["nodes"])


def _heard_ago(web: WebProcess, task_id: str) -> float:
    """For how many seconds the runner was not heard, as far as this one knows."""
    ago = web.progress(task_id)["last_event_seconds_ago"]
    return float("inf") if ago is None else float(ago)


def _manifest(*packs: Pack) -> Json:
    return {"nodes": [{"name": pack.name, "repo_url": pack.url} for pack in packs]}


def test_a_cancel_reaches_the_process_that_works_within_two_seconds(
    cluster: Cluster, instance: StandIn, packs: list[Pack], gate: Gate
) -> None:
    """Started at one, cancelled at another; everybody says so."""
    one, two = cluster.one, cluster.two
    task_id = one.install(instance, manifest=_manifest(*packs, gate.pack), options={"verify": False})
    wait_until(lambda: _runs_a_script(two.progress(task_id)), 60, "its script runs")
    assert 0 <= two.progress(task_id)["last_event_seconds_ago"] < 10
    began = time.monotonic()
    answer = two.post(f"/tasks/{task_id}/cancel", {})
    assert answer.status_code == 202, answer.text
    wait_until(lambda: one.progress(task_id)["state"] in ("cancelling", "cancelled"), SOON, "it is noticed")
    noticed = time.monotonic() - began
    assert noticed < SOON, noticed
    assert one.ended(task_id)["state"] == "cancelled"
    assert two.ended(task_id)["state"] == "cancelled"
    again = one.post(f"/tasks/{task_id}/cancel", {})
    assert again.status_code == 409, again.text


def test_an_answer_given_anywhere_is_the_run_s_and_the_first_one_holds(
    cluster: Cluster, instance: StandIn, packs: list[Pack]
) -> None:
    one, two = cluster.one, cluster.two
    put_registry_copy(instance.custom_nodes, packs[0].name)
    task_id = one.install(instance, manifest=_manifest(packs[0]), options={"verify": False, "ask": "ask"})
    wait_until(lambda: one.progress(task_id)["questions"], 60, "it asks")
    [question] = two.progress(task_id)["questions"]
    assert two.post(f"/tasks/{task_id}/answer", {"id": question["id"], "answer": "replace"}).status_code == 202
    late = one.post(f"/tasks/{task_id}/answer", {"id": question["id"], "answer": "keep"})
    assert (late.status_code, late.json()["error"]) == (409, "question_gone")
    assert one.ended(task_id)["successful"] == 1


def test_a_wait_for_an_instance_is_ended_from_another_process(cluster: Cluster) -> None:
    """Its next try is long off; asked for, it comes at once."""
    one, two = cluster.one, cluster.two
    task_id = one.install(f"root@127.0.0.1 -p {closed_port()}", options={"wait_seconds": 300})
    wait_until(lambda: one.progress(task_id)["message_code"] == "waiting_for_instance", 30, "it waits")

    def asked() -> bool:
        answer = two.post(f"/tasks/{task_id}/reconnect", {})
        assert answer.status_code == 202, answer.text
        return (one.progress(task_id)["attempt"] or 0) >= 5

    wait_until(asked, 6, "five tries, which by themselves would take 15 s")
    assert two.post(f"/tasks/{task_id}/cancel", {}).status_code == 202
    assert one.ended(task_id, 20)["state"] == "cancelled"


def test_one_that_waits_behind_another_ends_at_once_and_says_behind_which(
    cluster: Cluster, instance: StandIn, packs: list[Pack], gate: Gate
) -> None:
    one, two = cluster.one, cluster.two
    first = one.install(instance, manifest=_manifest(gate.pack), options={"verify": False})
    one.until(first, "running")
    second = two.install(instance, manifest=_manifest(packs[0]), options={"verify": False})
    wait_until(lambda: one.progress(second)["queue"] == {"position": 1, "behind": first}, 10, "it waits behind it")
    began = time.monotonic()
    assert one.post(f"/tasks/{second}/cancel", {}).status_code == 202
    assert two.progress(second)["state"] == "cancelled"
    assert time.monotonic() - began < SOON
    gate.open()
    assert two.ended(first)["state"] == "completed"


def test_a_log_that_a_worker_writes_is_read_at_a_process_that_answers(
    cluster: Cluster, instance: StandIn, packs: list[Pack], gate: Gate
) -> None:
    """While the run goes on, at both, byte for byte; whole at its end."""
    one, two = cluster.one, cluster.two
    task_id = one.install(instance, manifest=_manifest(*packs, gate.pack), options={"verify": False})
    wait_until(lambda: _runs_a_script(two.progress(task_id)), 60, "its script runs")
    path = f"/tasks/{task_id}/log"
    wait_until(lambda: two.get(path, node=packs[0].name).get("size"), 10, "git has said something")
    live = two.get(path, node=packs[0].name)
    assert "Cloning into" in live["text"]
    assert one.get(path, node=packs[0].name)["text"].startswith(live["text"])
    assert {entry["log"] for entry in live["logs"]} >= {"run", "node"}
    gate.open()
    assert one.ended(task_id)["state"] == "completed"
    wait_until(lambda: two.get(path)["complete"], 10, "all of the run's log is here")
    whole = two.get(path)
    assert whole["text"] == one.get(path)["text"] != ""
    found = two.get(f"{path}/search", q="cloning into")["matches"]
    assert {match["node"] for match in found} >= {pack.name for pack in packs}
    assert not list(cluster.folder.rglob("logs/*")), "nothing lies in a folder"


@pytest.mark.long
def test_what_is_followed_goes_on_when_its_worker_is_killed(
    cluster: Cluster, instance: StandIn, packs: list[Pack], gate: Gate
) -> None:
    """That it is gone is told within 5 s, and another one has it within 10; no reader sees a revision fall, and all see
    the same end. The last test here: the worker is gone afterwards."""
    one, two = cluster.one, cluster.two
    task_id = one.install(instance, manifest=_manifest(*packs, gate.pack), options={"verify": False})
    falls: list[tuple[int, int]] = []
    codes: list[str | None] = []
    done = threading.Event()

    def follow(web: WebProcess) -> None:
        newest = -1
        while not done.is_set():
            now = web.progress(task_id)
            if now["revision"] < newest:
                falls.append((newest, now["revision"]))
            newest = now["revision"]
            codes.append(now["message_code"])
            if now["state"] in TERMINAL:
                return
            done.wait(0.05)

    readers = [threading.Thread(target=follow, args=[web]) for web in (one, two)]
    for reader in readers:
        reader.start()
    try:
        wait_until(lambda: _runs_a_script(two.progress(task_id)), 60, "its script runs")
        with cluster.another_worker():
            cluster.works.end(signal.SIGKILL)
            killed = time.monotonic()
            wait_until(lambda: any(code == "worker_gone" for code in codes), TOLD, "it is told")
            told = time.monotonic() - killed
            wait_until(lambda: two.progress(task_id)["state"] == "running", TAKEN, "another has it")
            taken = time.monotonic() - killed
            assert (told < TOLD, taken < TAKEN) == (True, True), (told, taken)
            wait_until(lambda: _heard_ago(two, task_id) < 2, 10, "it is heard again")
            gate.open()
            assert one.ended(task_id)["state"] == "completed"
            for reader in readers:
                reader.join(20)
    finally:
        done.set()
        for reader in readers:
            reader.join()
    assert not falls
    first, second = (web.progress(task_id) for web in (one, two))
    moving = {"last_event_seconds_ago"}
    assert {k: v for k, v in first.items() if k not in moving} == {k: v for k, v in second.items() if k not in moving}
