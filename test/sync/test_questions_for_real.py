"""A run's question, from the instance to whoever answers it and back: over a real sshd, through a cut line, after a
restart of the service."""

from __future__ import annotations

from typing import Any

import pytest

from app.standin.instance import StandIn
from app.standin.packs import Pack
from app.standin.relay import Relay
from test.api.client import Api, content
from test.api.test_docs import examples, section
from test.support.manager_copies import put_disabled, put_registry_copy
from test.sync.conftest import Bench, BenchFactory

pytestmark = pytest.mark.sshd

UNKNOWN = "550e8400-e29b-41d4-a716-446655440000"


def asking(bench: Bench, ssh_command: str, instance: StandIn, *packs: Pack) -> tuple[str, dict[str, Any]]:
    """An install that stands at its first question; its task_id, and the question."""
    task_id = bench.start(ssh_command, *packs, ui_home=instance.ui_home, verify=False, ask="ask")
    bench.until(task_id, lambda now: now["questions"], "it asks")
    return task_id, bench.installs.progress(task_id)["questions"][0]


def asks(bench: Bench, task_id: str, question: str) -> None:
    """Waits until the run asks this question."""
    bench.until(task_id, lambda now: [each["id"] for each in now["questions"]] == [question], f"it asks {question}")


def through(relay: Relay, instance: StandIn) -> str:
    return instance.ssh_command.replace(str(instance.port), str(relay.port), 1)


def test_a_list_that_leaves_a_pack_open_asks_for_it_first(bench: Bench, instance: StandIn, packs: list[Pack]) -> None:
    nodes = [{"name": pack.name, "repo_url": pack.url} for pack in packs[:2]]
    open_ones = [{"name": name, "repositories": [nodes[1]["repo_url"]]} for name in ("Somewhere", "Nowhere")]
    api = Api(bench.service.app)
    options = {"verify": False, "ask": "ask"}
    manifest = {"nodes": nodes[:1], "needs": {"open_classes": open_ones}}
    task_id = api.start(instance.ssh_command, manifest=manifest, options=options, ui_home=str(instance.ui_home))
    asks(bench, task_id, "q1")
    [asked] = bench.installs.progress(task_id)["questions"]
    assert (asked["code"], asked["facts"], asked["default"]) == ("which_node_pack", {"class": "Somewhere"}, "skip")
    assert api.post(f"/tasks/{task_id}/answer", {"id": "q1", "answer": "1"}).status_code == 202
    asks(bench, task_id, "q2")
    assert api.post(f"/tasks/{task_id}/answer", {"id": "q2", "answer": "skip"}).status_code == 202
    assert {node["name"] for node in bench.ended(task_id)["nodes"]} == {pack.name for pack in packs[:2]}


def test_a_run_asks_twice_and_goes_on_with_what_is_answered(bench: Bench, instance: StandIn, packs: list[Pack]) -> None:
    """Every field of the question, what is refused, and what a repeated answer does."""
    copy, disabled = (
        put_registry_copy(instance.custom_nodes, packs[0].name),
        put_disabled(instance.custom_nodes, packs[1].name),
    )
    task_id, question = asking(bench, instance.ssh_command, instance, *packs)
    now = bench.installs.progress(task_id)
    assert (now["state"], now["message_code"]) == ("running", "waiting_for_answer")
    assert now["message"] == f"Waiting for your answer: {question['text']}"
    assert packs[0].name in question["text"]
    assert question["facts"] == {"packs": [packs[0].name]}
    assert (question["code"], question["default"], question["answer"]) == ("replace_registry_copies", "keep", None)
    assert [each["answer"] for each in question["answers"]] == ["keep", "replace"]
    assert question["expires_at"] > now["steps"][0].get("started_at", "")

    api = Api(bench.service.app)
    route = f"/tasks/{task_id}/answer"
    wrong = api.post(route, {"id": question["id"], "answer": "burn"})
    assert (wrong.status_code, content(wrong)["field"]) == (400, "answer")
    assert content(wrong)["hint"] == "Answers: keep, replace."
    unknown = api.post(route, {"id": "q9", "answer": "keep"})
    assert (unknown.status_code, content(unknown)["error"]) == (404, "question_not_found")
    answered = api.post(route, {"id": question["id"], "answer": "replace"})
    assert answered.status_code == 202, answered.text
    [example] = examples(section("POST /tasks/<task_id>/answer"))
    assert set(content(answered)) == set(example)
    assert set(content(answered)["question"]) == set(example["question"]) == set(question)
    assert content(answered)["question"]["answer"] == "replace"
    asks(bench, task_id, "q2")
    assert api.post(route, {"id": question["id"], "answer": "replace"}).status_code == 202
    late = api.post(route, {"id": question["id"], "answer": "keep"})
    assert (late.status_code, content(late)["error"]) == (409, "question_gone")

    assert bench.installs.progress(task_id)["questions"][0]["code"] == "install_disabled_packs"
    assert api.post(route, {"id": "q2", "answer": "keep"}).status_code == 202
    end = bench.ended(task_id)
    assert [node["state"] for node in end["nodes"]] == ["installed", "failed", "installed"]
    assert (end["questions"], end["message_code"]) == ([], None)
    assert [warning["code"] for warning in end["warnings"]] == ["registry_copy_replaced"]
    assert (copy / ".git").is_dir()
    assert disabled.is_dir()
    assert api.post(route, {"id": "q2", "answer": "keep"}).status_code == 202  # it is what was decided
    over = api.post(route, {"id": "q2", "answer": "install"})
    assert (over.status_code, content(over)["error"]) == (409, "question_gone")


def test_what_changes_least_is_done_where_nobody_is_asked_or_answers(
    bench_factory: BenchFactory, instance: StandIn, packs: list[Pack]
) -> None:
    """And the run says so."""
    copy = put_registry_copy(instance.custom_nodes, packs[0].name)
    bench = bench_factory(question_seconds=0.3)
    for options, code, words in (
        ({}, "question_not_asked", "Nobody was asked"),
        ({"ask": "ask"}, "question_expired", "Nobody answered within 0.3 s"),
    ):
        end = bench.ended(
            bench.start(instance.ssh_command, packs[0], ui_home=instance.ui_home, verify=False, **options)
        )
        assert [node["error"]["code"] for node in end["nodes"]] == ["registry_copy"]
        [warning] = end["warnings"]
        assert warning["code"] == code
        assert warning["message"].startswith(f"{words}, so what changes least was done: Leave as it is.")
        assert not (copy / ".git").exists()
        refused = Api(bench.service.app).post(f"/tasks/{end['task_id']}/answer", {"id": "q1", "answer": "replace"})
        assert (refused.status_code, content(refused)["error"]) == (409, "question_gone")


def test_it_stands_through_a_cut_line_and_a_restart_and_so_does_its_answer(
    bench_factory: BenchFactory, instance: StandIn, packs: list[Pack]
) -> None:
    """Answered while the line is cut; the service is restarted before the instance can be told."""
    copy = put_registry_copy(instance.custom_nodes, packs[0].name)
    put_disabled(instance.custom_nodes, packs[1].name)
    first = bench_factory(connect_timeout_seconds=2.0)
    with Relay(instance.port) as relay:
        task_id, question = asking(first, through(relay, instance), instance, *packs[:2])
        relay.freeze()
        relay.cut()
        first.until(task_id, lambda now: now["state"] == "interrupted", "the line is cut")
        assert first.installs.progress(task_id)["questions"][0]["id"] == question["id"]
        assert first.installs.answer(task_id, question["id"], "replace")["answer"] == "replace"
        first.service.close()
        relay.thaw()
        second = bench_factory()
        asks(second, task_id, "q2")
        second.service.close()  # it stands while nobody follows
        third = bench_factory()
        asks(third, task_id, "q2")
        third.installs.answer(task_id, "q2", "install")
        assert [node["state"] for node in third.ended(task_id)["nodes"]] == ["installed", "installed"]
    assert (copy / ".git").is_dir()


def test_a_cancel_wins_at_once(bench: Bench, instance: StandIn, packs: list[Pack]) -> None:
    """Nothing of what was asked is done, and there is nothing more to answer."""
    copy = put_registry_copy(instance.custom_nodes, packs[0].name)
    task_id, question = asking(bench, instance.ssh_command, instance, packs[0])
    bench.installs.cancel(task_id)
    end = bench.ended(task_id, 10)
    assert (end["state"], end["questions"]) == ("cancelled", [])
    refused = Api(bench.service.app).post(f"/tasks/{task_id}/answer", {"id": question["id"], "answer": "replace"})
    assert (refused.status_code, content(refused)["error"]) == (409, "question_gone")
    assert not (copy / ".git").exists()


def test_a_fleet_shows_what_its_tasks_ask(bench: Bench, instance: StandIn, packs: list[Pack]) -> None:
    """Each with the task that is to be answered."""
    put_registry_copy(instance.custom_nodes, packs[0].name)
    api = Api(bench.service.app)
    body = {
        "ssh_connections": [instance.ssh_command],
        "ui_home": str(instance.ui_home),
        "manifest": {"nodes": [{"name": packs[0].name, "repo_url": packs[0].url}]},
        "options": {"ask": "ask", "verify": False},
    }
    started = content(api.post("/fleet/install-custom-nodes", body))
    [task] = started["tasks"]
    bench.until(task["task_id"], lambda now: now["questions"], "it asks")
    [row] = content(api.get(f"/fleet/{started['fleet_id']}"))["instances"]
    assert (row["task_id"], row["message_code"]) == (task["task_id"], "waiting_for_answer")
    assert [each["id"] for each in row["questions"]] == ["q1"]
    assert api.post(f"/tasks/{row['task_id']}/answer", {"id": "q1", "answer": "replace"}).status_code == 202
    assert bench.ended(row["task_id"])["outcome"] == "all"


@pytest.mark.parametrize(
    ("task_id", "body", "status", "word"),
    [
        (UNKNOWN, {"id": "q1", "answer": "a"}, 404, "task_not_found"),
        ("x", {"id": "q1", "answer": "a"}, 400, "task_id"),
        (UNKNOWN, {"answer": "a"}, 400, "id"),
        (UNKNOWN, {"id": "q1"}, 400, "answer"),
        (UNKNOWN, {"id": "q1", "answer": ["a"]}, 400, "answer"),
        (UNKNOWN, {"id": "q" * 201, "answer": "a"}, 400, "id"),
        (UNKNOWN, {"id": "q1", "answer": "a", "force": True}, 400, "force"),
    ],
)
def test_an_answer_that_cannot_be_is_refused(
    bench: Bench, task_id: str, body: dict[str, Any], status: int, word: str
) -> None:
    """With the field that is at fault."""
    refused = Api(bench.service.app).post(f"/tasks/{task_id}/answer", body)
    assert refused.status_code == status
    assert word in {content(refused)["error"], content(refused).get("field")}
