"""A class that is missing after a run says which node pack has it, and how that ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from app.protocol.snapshot import Answer, AskedQuestion, Node, Problem, Question, Snapshot
from app.protocol.states import NodeState
from app.sync.missing_packs import ClassPacks, Ends, explained

URL = "https://github.com/kijai/ComfyUI-KJNodes"
KJ = {"name": "ComfyUI-KJNodes", "repo_url": URL, "registry_id": "comfyui-kjnodes", "without": False}
RESTART = "Restart ComfyUI if it was not restarted since; else this version of the pack may not have it."
LOST = Problem("clone_failed", "The repository is not there.", "Correct its address.")


def _said(wanted: ClassPacks, *snapshots: Snapshot, class_name: str = "ImageResizeKJ") -> tuple[str, str]:
    finding = {"kind": "class_missing", "class": class_name, "what": "old", "hint": "old"}
    [result] = explained([{"findings": [finding]}], wanted, Ends.of(snapshots))
    [found] = result["findings"]
    return found["what"].removeprefix(f"This ComfyUI has no class {class_name}"), found["hint"]


def _after(state: NodeState, **more: Any) -> Snapshot:
    node = Node("ComfyUI-KJNodes", URL + ".git", state, **more)
    return Snapshot("t", 0.0, nodes={node.name: node})


def _wanted(**more: Any) -> ClassPacks:
    return ClassPacks({"ImageResizeKJ": {**KJ, **more}})


@pytest.mark.parametrize(
    ("snapshot", "says"),
    [
        (
            _after(NodeState.FAILED, error=LOST),
            (
                ": ComfyUI-KJNodes, which has it, failed: The repository is not there.",
                "Correct its address. See the log of ComfyUI-KJNodes.",
            ),
        ),
        (
            _after(NodeState.INSTALLED, verified=False),
            (
                ": ComfyUI-KJNodes, which has it, failed: ComfyUI cannot import it.",
                "See the log of ComfyUI-KJNodes.",
            ),
        ),
        (_after(NodeState.CANCELLED), (": ComfyUI-KJNodes, which has it, was cancelled.", "Retry the run.")),
        (
            _after(NodeState.VERIFIED, verified=True),
            (
                ": ComfyUI-KJNodes, which is to have it, is installed.",
                f"{RESTART} See the log of ComfyUI-KJNodes.",
            ),
        ),
        (
            Snapshot("t", 0.0),
            (". ComfyUI-KJNodes has it, which this run did not install.", "Install ComfyUI-KJNodes."),
        ),
    ],
)
def test_how_its_pack_ended_is_said(snapshot: Snapshot, says: tuple[str, str]) -> None:
    assert _said(_wanted(), snapshot) == says


def test_a_pack_is_known_by_its_id_in_the_registry_and_the_newest_task_decides() -> None:
    retried = Node("renamed", "", NodeState.FAILED, error=LOST, registry_id="comfyui-kjnodes")
    newest, older = Snapshot("b", 1.0, nodes={"renamed": retried}), _after(NodeState.VERIFIED)
    assert _said(_wanted(repo_url=None), newest, older)[0].startswith(": renamed, which has it, failed")
    assert _said(_wanted(), _after(NodeState.FAILED, error=LOST), older)[0].startswith(": ComfyUI-KJNodes, which has")


def test_what_a_person_left_out_is_said_so() -> None:
    """A pack that was unticked, a question answered before the run, and one that the run asked."""
    assert _said(_wanted(without=True)) == (
        ": you left ComfyUI-KJNodes out, which has it.",
        "Install ComfyUI-KJNodes.",
    )
    expected = (": you left its node pack out.", "Start again and name the pack that has it.")
    assert _said(ClassPacks(skipped=["ImageResizeKJ"])) == expected
    answers = (Answer("skip", "Go on without it"), Answer("1", URL))
    facts: Mapping[str, Any] = {"class": "ImageResizeKJ"}
    asked = AskedQuestion("q1", "which_node_pack", "Which?", answers, "skip", 60.0, facts=facts)
    answered = {word: Question(asked, 0.0, answer=word) for word in ("skip", "1")}
    assert _said(ClassPacks(), Snapshot("t", 0.0, questions={"q1": answered["skip"]})) == expected
    assert _said(ClassPacks(), Snapshot("t", 0.0, questions={"q1": answered["1"]})) == ("old", "old")


def test_what_is_not_known_stays_as_it_was_found_and_what_was_kept_is_read() -> None:
    assert _said(ClassPacks()) == ("old", "old")
    other = {"kind": "model_missing", "class": "ImageResizeKJ", "what": "old", "hint": "old"}
    assert explained([{"findings": [dict(other)]}], _wanted(), Ends.of([])) == [{"findings": [other]}]
    assert ClassPacks.of(_wanted().to_json()) == _wanted() and ClassPacks.of(None) == ClassPacks()
