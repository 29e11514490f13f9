"""The job that Nodeferry exists for: the Auto-installer's 34 packs, from an SSH command to a true table."""

from __future__ import annotations

import itertools
import threading
from pathlib import Path

import pytest

from app.standin.csv_packs import custom_nodes_csv_packs
from app.standin.git_rules import RepoRule
from app.standin.git_server import GitServer
from app.standin.instance import StandIn
from test.support.service import Json, ServiceProcess

pytestmark = [pytest.mark.sshd, pytest.mark.long]

LIST = (Path(__file__).parents[1] / "support" / "custom_nodes.csv").read_text("utf-8")
MISSING, PRIVATE = "wlsh_nodes", "ComfyUI_LayerStyle"
SEEN_MOVING = 8_000_000
"""Packs of this size or more are met by a poll on their way."""


def test_32_of_34_packs_end_well_and_the_other_two_say_why(
    service: ServiceProcess, git_server: GitServer, standin: StandIn
) -> None:
    """The real names and addresses, sizes from 20 KB to 30 MB, one repository missing and one private as on GitHub."""
    made = custom_nodes_csv_packs(git_server, LIST, missing=(MISSING,), private=(PRIVATE,))
    large = _hold_the_large(git_server, LIST)
    polls = []
    for shown in service.polls(service.install(standin, manifest={"csv": LIST})):
        polls.append(shown)
        for name in [name for name in large if _is_seen_moving(shown, name)]:
            large.pop(name).set()
    last = polls[-1]

    assert (last["state"], last["outcome"]) == ("completed", "partial")
    assert (last["total_nodes"], last["successful"], last["failed"], last["processed"]) == (34, 32, 2, 34)
    errors = {row["name"]: row["error"]["code"] for row in last["nodes"] if row["error"]}
    assert errors == {MISSING: "repository_not_found", PRIVATE: "repository_not_found_or_private"}
    for row in last["nodes"]:
        if row["name"] in made.packs:
            state = "installed" if "/" in row["folder"] else "verified"  # a nested pack is loaded by its parent
            assert (row["state"], row["commit"]) == (state, made.packs[row["name"]].commit)
            assert (standin.custom_nodes / row["folder"] / "__init__.py").is_file()
    _never_backwards(polls)
    assert not large, f"{', '.join(large)} never seen between 1 and 99 %"


def _hold_the_large(server: GitServer, text: str) -> dict[str, threading.Event]:
    """The large packs come at a rate at which they take seconds, and each stands at its half until its event is set:
    the install does not end before a poll has seen each of them on its way. The events by the packs' names."""
    held = {}
    for line in text.splitlines()[1:]:
        name, url = line.split(",")[:2]
        owner, repo = url.removesuffix(".git").split("/")[-2:]
        path = server.path_of(owner, repo)
        size = sum(file.stat().st_size for file in path.rglob("*.pack"))
        if size >= SEEN_MOVING:
            held[name] = threading.Event()
            rule = RepoRule(bytes_per_second=size / 2.0, hold_after_bytes=size // 2, released=held[name])
            server.set_rule(f"{owner}/{repo}", rule)
    assert held
    return held


def _never_backwards(polls: list[Json]) -> None:
    for before, after in itertools.pairwise(polls):
        assert 0 <= before["percent"] <= after["percent"] <= 100
        assert before["processed"] <= after["processed"]
        assert before["revision"] < after["revision"]
        for old, new in zip(before["nodes"], after["nodes"], strict=False):
            assert old["clone_progress"] <= new["clone_progress"] <= 100


def _is_seen_moving(shown: Json, name: str) -> bool:
    return any(1 <= row["clone_progress"] <= 99 for row in shown["nodes"] if row["name"] == name)
