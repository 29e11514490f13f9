"""A pack whose repository is gone, while ComfyUI's registry has an archive of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from app.protocol.events import QuestionAsked
from app.standin.git_rules import MISSING, PRIVATE
from app.standin.git_server import GitServer
from test.runner.rig import Rig, Run, git, names_in
from test.support.node_registry import NodeRegistry, zipped
from test.support.waiting import wait_until

pytestmark = pytest.mark.slow

FILES = {"__init__.py": "NODE_CLASS_MAPPINGS = {}\n", "web/a.js": "x\r\n", ".gitignore": "*.js\n"}


@pytest.fixture
def registry(rig: Rig) -> Iterator[NodeRegistry]:
    with NodeRegistry() as registry:
        rig.environ["NODEFERRY_NODE_REGISTRY"] = registry.url
        yield registry


def gone(server: GitServer, name: str) -> dict[str, str]:
    server.set_rule(f"o/{name}", PRIVATE if name == "Private" else MISSING)
    return {"name": name, "repo_url": f"{server.url}/o/{name}"}


def answered(rig: Rig, run: Run, answers: dict[str, str]) -> None:
    """Answers the questions about these packs, as they come."""
    for _ in answers:
        wait_until(lambda: len(run.told(QuestionAsked)) >= len(answers), 30, "the questions")
    for asked in run.told(QuestionAsked):
        question = asked.question
        word = answers[question.facts["pack"]]
        rig.call("answer", run.task_id, f"--question={question.id}", f"--answer={word}")
    run.wait()


def test_an_archive_is_offered_and_never_taken_unasked(rig: Rig, git_server: GitServer, registry: NodeRegistry) -> None:
    """Known by its repository, by name or by search. Installed when asked for, it is a pack as any other: kept, rolled
    back; a hostile archive is refused."""
    nodes = [gone(git_server, name) for name in ("Pack", "Private", "Evil", "Other")]
    registry.add("pack", f"{git_server.url}/o/pack.git", zipped(FILES, links={"link": "/etc/passwd"}))
    search = "/nodes/search?limit=20&search=Private"
    registry.add("renamed", f"{git_server.url}/o/Private", zipped(FILES), path=search)
    registry.add("evil", f"{git_server.url}/o/Evil", zipped({"../../evil.py": "x"}))
    registry.add("other", f"{git_server.url}/somebody/other", zipped(FILES))
    run = rig.install(nodes)
    errors = {name: run.snapshot().nodes[name].error for name in ("Pack", "Private", "Other")}
    assert errors["Pack"] is not None
    assert errors["Private"] is not None
    assert errors["Other"] is not None
    assert errors["Pack"].code == "repository_not_found"
    assert "an archive of it: pack 1.2.3" in errors["Pack"].hint
    assert "renamed 1.2.3" in errors["Private"].hint
    assert "registry" not in errors["Other"].hint
    assert not any("/files/" in path for path in registry.asked)
    assert names_in(rig.custom_nodes) == []

    asking = rig.start(nodes, options={"ask": "ask"})
    answered(rig, asking, {"Pack": "install", "Private": "leave", "Evil": "install"})
    assert asking.state("Pack") == "installed"
    assert asking.state("Private") == "failed repository_not_found_or_private"
    assert asking.state("Evil") == "failed archive_failed"
    folder = rig.custom_nodes / "Pack"
    assert (folder / "web" / "a.js").read_bytes() == b"x\r\n"
    assert not (folder / "link").is_symlink()
    assert names_in(rig.custom_nodes) == ["Pack"]
    assert not (rig.custom_nodes.parent / "evil.py").exists()
    assert git(folder, "status", "--short", "--ignored") == ""
    assert [warning.code for warning in asking.snapshot().warnings] == ["archive_installed"]

    assert rig.install(nodes[:1]).snapshot().nodes["Pack"].kept
    again = rig.install(nodes[:1], options={"existing": "update"})
    assert again.state("Pack") == "failed repository_not_found"
    back = rig.start({"nodes": nodes}, rollback_of=asking.task_id)
    back.wait()
    assert names_in(rig.custom_nodes) == [], back.said()
    assert list(rig.home.rglob("bin/uv")) == [], "none was fetched: no package had to be put back"


def test_a_registry_that_does_not_answer_holds_nobody_up(
    rig: Rig, git_server: GitServer, registry: NodeRegistry
) -> None:
    """Nothing but its offer is lost, and the packs do not wait for it one after another."""
    registry.silent.set()
    nodes = [gone(git_server, f"p{number}") for number in range(4)]
    run = rig.install(nodes)
    assert {run.state(node["name"]) for node in nodes} == {"failed repository_not_found"}
    rig.environ["NODEFERRY_NODE_REGISTRY"] = "off"
    asked = len(registry.asked)
    assert rig.install(nodes[:1]).state("p0") == "failed repository_not_found"
    assert len(registry.asked) == asked
