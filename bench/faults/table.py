"""Plays a scenario and makes a row of each case, with what is not as it must be."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from app.protocol.snapshot import Node, Problem, Snapshot
from app.standin.packs import make_pack
from bench.faults.case import Expected, Fault, Scenario
from bench.faults.play import Stage, good_packs, staged
from bench.faults.row import Row
from bench.faults.truth import imports

_GOOD = ("installed", "verified")


def play(scenario: Scenario, folder: Path, uv: Path, caches: Path) -> list[Row]:
    """One install with all faults of a scenario. Needs root for a `mount`; raises AssertionError when it never ends."""
    with staged(scenario, folder, uv, caches) as stage:
        entries = [_make(stage, number, fault) for number, fault in enumerate(scenario.faults)]
        snapshot = stage.run([*entries, *good_packs(stage)], **scenario.request)
        return _rows(scenario, stage, snapshot)


def _make(stage: Stage, number: int, fault: Fault) -> dict[str, Any]:
    """The fault's pack; its manifest entry."""
    name = f"fault{number:02}-{re.sub('[^a-z0-9]+', '-', fault.title.lower()).strip('-')}"
    source = fault.source
    if source.requirements is not None:
        source = replace(source, requirements=stage.filled(source.requirements))
    if source.install_py is not None:
        source = replace(source, install_py=stage.filled(source.install_py))
    pack = make_pack(stage.git, "faults", name, source)
    if fault.prepare:
        fault.prepare(stage.standin, name, pack.url)
    if fault.rule:
        stage.git.set_rule(pack.repo, fault.rule)
    return {"name": name, "repo_url": pack.url, **fault.entry}


def _rows(scenario: Scenario, stage: Stage, snapshot: Snapshot) -> list[Row]:
    """A row a case, the two beside them, and the run itself."""
    beside = (Fault("beside: without requirements", scenario.plain), Fault("beside: with requirements", scenario.needy))
    rows: list[Row] = []
    if snapshot.nodes:
        cases = [*scenario.faults, *beside]
        by_title = {fault.title: name for fault, name in zip(cases, snapshot.nodes, strict=True)}
        rows = [_judged(scenario, stage, snapshot.nodes[by_title[fault.title]], fault, by_title) for fault in cases]
    return [*rows, _run_row(scenario, stage, snapshot)]


def _judged(scenario: Scenario, stage: Stage, node: Node, fault: Fault, by_title: Mapping[str, str]) -> Row:
    state = str(node.state)
    imported = imports(stage.standin, node.name) if (stage.standin.custom_nodes / node.name).is_dir() else None
    wrong = differences(fault.expected, state, node.error, by_title)
    if state in _GOOD and not imported:
        wrong.append(f"{state}, but ComfyUI cannot import it")
    if state not in _GOOD and imported and not _kept_back(node):
        wrong.append(f"{state}, but ComfyUI imports it")
    if node.verified is not None and node.verified != imported:
        wrong.append(f"verified is {node.verified}")
    return row_of(scenario.title, fault.title, state, node.error, imports=imported, wrong=wrong)


def _kept_back(node: Node) -> bool:
    """What is there is the user's own, and the pack that was asked for is not."""
    return node.error is not None and node.error.code == "local_changes"


def _run_row(scenario: Scenario, stage: Stage, snapshot: Snapshot) -> Row:
    wrong = differences(scenario.run, str(snapshot.state), snapshot.error, {})
    told = sorted({warning.code for warning in snapshot.warnings})
    if told != sorted(scenario.warnings):
        wrong.append(f"expected the warnings {sorted(scenario.warnings)}, found {told}")
    wrong += [f"a warning without words: {warning.code}" for warning in snapshot.warnings if not warning.message]
    intact = stage.standin.family_fingerprint() == stage.family
    if not intact:
        wrong.append("the torch family changed")
    row = row_of(scenario.title, "the run", str(snapshot.state), snapshot.error, wrong=wrong)
    family = "torch family byte for byte as before" if intact else "the torch family changed"
    beside = [str(node.state) for node in list(snapshot.nodes.values())[-2:]]
    words = [row.message, family, beside and f"beside: {', '.join(beside)}", told and f"warned: {', '.join(told)}"]
    return replace(row, message="; ".join(word for word in words if word))


def differences(expected: Expected, state: str, problem: Problem | None, by_title: Mapping[str, str]) -> list[str]:
    """What is not as it must be of a state, a code and a hint."""
    wrong = [f"expected {expected.state}, found {state}"] if state != expected.state else []
    code = problem.code if problem else None
    if code != expected.code:
        wrong.append(f"expected {expected.code or 'no error'}, found {code or 'no error'}")
    hint = expected.hint
    for title, name in by_title.items():
        hint = hint.replace("{" + title + "}", name)
    if problem and (not problem.message or not hint or hint not in problem.hint):
        wrong.append(f"the hint should say: {hint or 'something'}")
    return wrong


def row_of(
    scenario: str,
    case: str,
    state: str,
    problem: Problem | None,
    *,
    imports: bool | None = None,
    wrong: Sequence[str] = (),
) -> Row:
    """A row with a problem's words."""
    said = (problem.code, problem.message, problem.hint) if problem else ("", "", "")
    return Row(scenario, case, state, *said, imports, tuple(wrong))
