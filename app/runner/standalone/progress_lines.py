"""Events and a finished run as lines of plain text, for the one who runs the install by hand."""

from __future__ import annotations

from typing import Any, List, Mapping, Optional

from app.protocol import counts, repairs, task_list
from app.protocol.amounts import clock
from app.protocol.event_body import Body
from app.protocol.events import (
    BuildChanged,
    Event,
    ManifestRead,
    NodeChanged,
    PackagesPlanned,
    PackagesProgress,
    PhaseChanged,
    QuestionAnswered,
    QuestionAsked,
    RepairChanged,
    RequirementsChanged,
    ScriptChanged,
    StepChanged,
    Waiting,
    Warned,
)
from app.protocol.snapshot import AskedQuestion, Problem, Snapshot
from app.protocol.states import GOOD_NODE_STATES, BuildState, StepStatus, TaskState
from app.protocol.terminal_text import one_line


def lines_of(event: Event, before: Snapshot, after: Snapshot) -> List[str]:
    """What is new through `event`, a line each, with the time since the start in front."""
    head = clock(max(0.0, event.wall - after.created_at))
    return ["%s  %s" % (head, one_line(text)) for text in _texts(event.body, before, after)]


def _texts(body: Body, before: Snapshot, after: Snapshot) -> List[str]:
    if isinstance(body, NodeChanged):
        return _node(body, before, after)
    if isinstance(body, PackagesPlanned):
        return _plan(body)
    if isinstance(body, PackagesProgress):
        return _packages(before, after)
    if isinstance(body, BuildChanged):
        return _build(body, before)
    if isinstance(body, QuestionAsked):
        return question_lines(body.question)
    if isinstance(body, ManifestRead):
        return [] if before.nodes else ["%d node packs to install" % len(body.nodes)]  # told again: other folders
    text = _one_line(body)
    return [text] if text else []


def question_lines(question: AskedQuestion) -> List[str]:
    """A question, its hint, and a line an answer; one that nobody is asked only with its text."""
    lines = ["question %s: %s" % (question.id, question.text)]
    if not question.seconds:
        return lines
    for number, each in enumerate(question.answers, 1):
        mark = " [default]" if each.answer == question.default else ""
        lines.append("  %d  %s: %s%s" % (number, each.answer, each.label, mark))
    return [*lines[:1], *([question.hint] if question.hint else []), *lines[1:]]


def _one_line(body: Body) -> Optional[str]:
    if isinstance(body, (RequirementsChanged, ScriptChanged)) and body.status is not StepStatus.PENDING:
        what = "install.py" if isinstance(body, ScriptChanged) else "requirements"
        return _joined(body.name, "%s %s" % (what, body.status), _problem(body.error))
    if isinstance(body, PhaseChanged):
        return _joined("phase %s" % body.phase, body.status.value, body.detail)
    if isinstance(body, StepChanged):
        return _joined(body.name, body.status.value, body.detail)
    if isinstance(body, QuestionAnswered):
        return "question %s: %s (%s)" % (body.id, body.answer, body.source)
    if isinstance(body, RepairChanged):
        return "second round: %s" % body.repair.state.value
    if isinstance(body, (Waiting, Warned)):
        return _joined(body.kind, body.code, _said(vars(body)))
    return None


def table(progress: Mapping[str, Any], *, plan_only: bool = False) -> List[str]:
    """The end of a run, by its progress: a line a pack, what went wrong with each, and what to do now."""
    nodes = progress["nodes"]
    width = max([len(node["name"]) for node in nodes] or [0])
    rows = [
        "%-*s  %-10s %-10s  %s"
        % (
            width,
            node["name"],
            node["state"],
            (node["commit"] or node["version"] or "")[:10],
            (node["error"] or {}).get("code", ""),
        )
        for node in nodes
    ]
    lines = ["", *[one_line(row).rstrip() for row in rows], ""]
    failed = [node for node in nodes if node["error"] and node["error"]["code"] not in counts.AS_ASKED]
    lines += ["%s: %s" % (one_line(node["name"]), _said(node["error"])) for node in failed]
    lines += ["Warning: %s" % _said(warning) for warning in progress["warnings"]]
    lines += [one_line(text) for text in repairs.in_words(progress["repair"] or {})]
    if progress["error"]:
        lines.append("Error: %s" % _said(progress["error"]))
    if plan_only and progress["state"] == TaskState.COMPLETED.value:
        return [*lines, "This is the plan, and nothing was changed; leave out --plan-only to install."]
    words = [step["detail"] for step in progress["steps"] if step["name"] == task_list.CUSTOM_NODES and step["detail"]]
    return [*lines, *("Node packs: %s." % text for text in words), one_line(progress["message"])]


def _node(body: NodeChanged, before: Snapshot, after: Snapshot) -> List[str]:
    node = after.nodes[body.name]
    known = before.nodes[body.name]
    if node.state is known.state and node.error == known.error:
        return []
    numbers = counts.count(after)
    version = (node.commit or node.version)[:10] if node.state in GOOD_NODE_STATES else ""
    detail = _problem(node.error) if node.error else version
    return [_joined("%d/%d %s" % (numbers.processed, numbers.total, node.name), node.state.value, detail)]


def _build(body: BuildChanged, before: Snapshot) -> List[str]:
    """When it begins, and when it has ended; how far it is is no line of its own."""
    known = before.builds.get(body.package)
    if body.state is BuildState.WAITING or (known and (known.state, known.version) == (body.state, body.version)):
        return []
    seconds = "" if body.seconds is None else clock(body.seconds)
    return [
        _joined("build of %s %s" % (body.package, body.version), body.state.value, seconds or ", ".join(body.packs))
    ]


def _plan(body: PackagesPlanned) -> List[str]:
    """Everything new in one line; what is there already and changes, a line each."""
    new = ["%s %s" % (change.package, change.new) for change in body.changes if not change.old and change.new]
    lines = ["plan: add %s" % ", ".join(new)] if new else []
    own = [change.package for change in body.changes if change.wheel == "wheelhouse"]
    lines += ["plan: from your wheelhouse: %s" % ", ".join(own)] if own else []
    for change in body.changes:
        if change.needs_build:
            what = "%s %s" % (change.package, change.new) if change.new else change.package
            text = "plan: an install builds %s from %s, for %s"
            lines.append(text % (what, change.build_in_words, ", ".join(change.wanted_by) or "nobody known"))
        if change.old and not change.is_unknown:
            wanted = ", ".join(change.wanted_by)
            to = change.new or "nothing"
            lines.append("plan: %s %s -> %s%s" % (change.package, change.old, to, wanted and " for " + wanted))
    return lines


def _packages(before: Snapshot, after: Snapshot) -> List[str]:
    """A tenth of them at a time."""
    total = after.packages_total or 0
    step = max(1, total // 10)
    if not total or (before.packages_done or 0) // step == (after.packages_done or 0) // step:
        return []
    return ["packages: %d of %d" % (after.packages_done or 0, total)]


def _joined(name: str, word: str, detail: str) -> str:
    return "%s: %s: %s" % (name, word, detail) if detail else "%s: %s" % (name, word)


def _problem(problem: Optional[Problem]) -> str:
    return "%s: %s" % (problem.code, problem.message) if problem else ""


def _said(problem: Mapping[str, Any]) -> str:
    message, hint = str(problem.get("message") or ""), str(problem.get("hint") or "")
    separator = "" if not message or message[-1] in ".!?" else "."  # it may end in a program's own words
    return one_line(" ".join(filter(None, (message + separator, hint))))
