"""Events and a finished run as lines of plain text, for the one who runs the install by hand."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence

from app.protocol import counts
from app.protocol.events import Event, Kind
from app.protocol.progress_json import clock
from app.protocol.snapshot import Problem, Snapshot
from app.protocol.states import NodeState, StepStatus, TaskState

_GOOD = (NodeState.INSTALLED, NodeState.VERIFIED)


def lines_of(event: Event, before: Snapshot, after: Snapshot) -> List[str]:
    """What is new through `event`, a line each, with the time since the start in front."""
    make = _LINES.get(event.kind)
    head = clock(max(0.0, event.wall - after.created_at))
    return ["%s  %s" % (head, _printable(text)) for text in (make(event, before, after) if make else [])]


def table(progress: Mapping[str, Any], *, plan_only: bool = False) -> List[str]:
    """The end of a run, by its progress: a line a pack, what went wrong with each, and what to do now."""
    nodes = progress["nodes"]
    width = max([len(node["name"]) for node in nodes] or [0])
    lines = ["", *[_row(node, width) for node in nodes], ""]
    failed = [node for node in nodes if node["error"] and node["error"]["code"] not in counts.AS_ASKED]
    lines += ["%s: %s" % (_printable(node["name"]), _said(node["error"])) for node in failed]
    lines += ["Warning: %s" % _said(warning) for warning in progress["warnings"]]
    if progress["error"]:
        lines.append("Error: %s" % _said(progress["error"]))
    return [*lines, *_imported(nodes), _last(progress, plan_only)]


def _row(node: Mapping[str, Any], width: int) -> str:
    code = (node["error"] or {}).get("code", "")
    line = "%-*s  %-10s %-10s  %s" % (width, node["name"], node["state"], (node["commit"] or "")[:10], code)
    return _printable(line).rstrip()


def _imported(nodes: Sequence[Mapping[str, Any]]) -> List[str]:
    """What ComfyUI itself said, where it was asked."""
    known = [node["verified"] for node in nodes if node["verified"] is not None]
    return ["ComfyUI itself imports %d of %d of them." % (known.count(True), len(known))] if known else []


def _last(progress: Mapping[str, Any], plan_only: bool) -> str:
    if plan_only and progress["state"] == TaskState.COMPLETED.value:
        return "This is the plan, and nothing was changed; leave out --plan-only to install."
    return _printable(progress["message"])


def _node(event: Event, before: Snapshot, after: Snapshot) -> List[str]:
    node = after.nodes[event["name"]]
    known = before.nodes[event["name"]]
    if node.state is known.state and node.error == known.error:
        return []
    numbers = counts.count(after)
    detail = _problem(node.error) if node.error else (node.commit or "")[:10] if node.state in _GOOD else ""
    return [_joined("%d/%d %s" % (numbers.processed, numbers.total, node.name), node.state.value, detail)]


def _part(word: str) -> Callable[[Event, Snapshot, Snapshot], List[str]]:
    def make(event: Event, _before: Snapshot, _after: Snapshot) -> List[str]:
        if event["status"] == StepStatus.PENDING.value:
            return []
        return [_joined(event["name"], "%s %s" % (word, event["status"]), _problem(Problem.of(event.get("error"))))]

    return make


def _phase(event: Event, _before: Snapshot, _after: Snapshot) -> List[str]:
    return [_joined("phase %s" % event["phase"], event["status"], event.get("detail", ""))]


def _step(event: Event, _before: Snapshot, _after: Snapshot) -> List[str]:
    return [_joined(event["name"], event["status"], event.get("detail", ""))]


def _told(event: Event, _before: Snapshot, _after: Snapshot) -> List[str]:
    return [_joined(event.kind.value, event["code"], _said(event.fields))]


def _plan(event: Event, _before: Snapshot, _after: Snapshot) -> List[str]:
    """Everything new in one line; what is there already and changes, a line each."""
    changes = [change for change in event["changes"] if isinstance(change, dict)]
    new = ["%s %s" % (change.get("package"), change.get("new")) for change in changes if not change.get("old")]
    lines = ["plan: add %s" % ", ".join(new)] if new else []
    for change in changes:
        if change.get("old"):
            to = change.get("new") or "nothing"
            wanted = ", ".join(str(name) for name in change.get("wanted_by") or ())
            lines.append("plan: %s %s -> %s%s" % (change["package"], change["old"], to, wanted and " for " + wanted))
    return lines


def _packages(event: Event, before: Snapshot, after: Snapshot) -> List[str]:
    """A tenth of them at a time."""
    total = after.packages_total or 0
    step = max(1, total // 10)
    if not total or (before.packages_done or 0) // step == (after.packages_done or 0) // step:
        return []
    return ["packages: %d of %d" % (event["done"], total)]


def _manifest(event: Event, _before: Snapshot, _after: Snapshot) -> List[str]:
    return ["%d node packs to install" % len(event["nodes"])]


_LINES: Dict[Kind, Callable[[Event, Snapshot, Snapshot], List[str]]] = {
    Kind.NODE: _node,
    Kind.REQUIREMENTS: _part("requirements"),
    Kind.SCRIPT: _part("install.py"),
    Kind.PHASE: _phase,
    Kind.STEP: _step,
    Kind.WAITING: _told,
    Kind.WARNING: _told,
    Kind.PLAN: _plan,
    Kind.PACKAGES: _packages,
    Kind.MANIFEST: _manifest,
}


def _joined(name: str, word: str, detail: str) -> str:
    return "%s: %s: %s" % (name, word, detail) if detail else "%s: %s" % (name, word)


def _problem(problem: Optional[Problem]) -> str:
    return "%s: %s" % (problem.code, problem.message) if problem else ""


def _said(problem: Mapping[str, Any]) -> str:
    return _printable(" ".join(filter(None, (problem.get("message"), problem.get("hint")))))


def _printable(text: str) -> str:
    """What comes from outside does not steer the terminal."""
    return "".join(letter if letter.isprintable() else "?" for letter in str(text))
