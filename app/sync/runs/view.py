"""A run as the API shows it: one thing, whatever it consists of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from app.domain.address import parse_address
from app.domain.errors import InvalidRequest
from app.domain.host_port import join_host_port
from app.domain.run_actions import Action
from app.domain.run_rows import Rows
from app.domain.run_summary import Kind, Purpose, Summary, Tone, in_words, planned, question, result_of
from app.domain.workflow import Workflow, WorkflowState
from app.protocol import progress_json, questions
from app.protocol.counts import Counts
from app.protocol.reasons import find
from app.protocol.repo_url import BadRepoUrl, repo_name
from app.storage.run_rows import host_and_port
from app.storage.run_store import RunRow
from app.sync.runs.parts import Tasks, actions_json
from app.words import word


def row_json(row: RunRow, tasks: Tasks | None, workflow: Workflow | None) -> dict[str, Any]:
    """An install or a workflow with all that follows it, as lists show it."""
    rows = tasks.rows if tasks else Rows()
    live = (tasks is not None and tasks.live is not None) or (workflow is not None and not workflow.ended)
    return {
        "run_id": row.run_id,
        "kind": row.kind,
        "fleet_id": row.fleet_id,
        "machine": machine(tasks, workflow),
        "list": _list_of(tasks, workflow, rows.counts),
        "created_at": progress_json.iso(row.created_at),
        "finished_at": None if live else _finished_at(tasks, workflow),
        "in_progress": live,
        **_worked(tasks, workflow),
        "summary": summary_of_run(tasks, workflow).to_json(),
        "counts": rows.counts.to_json()["counts"],
        "percent": _percent(tasks, live),
    }


def summary_of_run(tasks: Tasks | None, workflow: Workflow | None) -> Summary:
    """How an install or a workflow stands."""
    if workflow is not None and not workflow.ended:
        return _of_live_workflow(tasks, workflow)
    if tasks is not None and not _decided_by_workflow(tasks, workflow):
        return tasks.summary
    if workflow is None or workflow.state is WorkflowState.STOPPED:
        return Summary(Kind.STOPPED, Tone.IDLE, word("summary.stopped_before"))
    if workflow.error is not None:
        return Summary(Kind.FAILED, Tone.BAD, workflow.error["message"])
    return planned(tasks.rows if tasks else Rows())


def _decided_by_workflow(tasks: Tasks, workflow: Workflow | None) -> bool:
    """Whether the workflow ended after a plan that nothing came of."""
    return workflow is not None and all(task.purpose is Purpose.PLAN for task in tasks.all)


def _of_live_workflow(tasks: Tasks | None, workflow: Workflow) -> Summary:
    if workflow.state is WorkflowState.STOPPING:
        return Summary(Kind.STOPPING, Tone.WARN, word("summary.stopping"))
    if workflow.question is not None and workflow.state is WorkflowState.BLOCKED:
        return question(find(workflow.question.code).title)
    if tasks is not None and tasks.live is not None:
        return tasks.summary
    if tasks is None:
        step = workflow.current
        if step is not None and step.next_attempt_at is not None:
            return Summary(Kind.WAITING_FOR_MACHINE, Tone.WARN, word("summary.waiting_for_machine"))
        return Summary(Kind.CONNECTING, Tone.LIVE, word("summary.connecting"))
    return Summary(Kind.WORKING, Tone.LIVE, word("summary.finish"))


def question_json(tasks: Tasks | None, workflow_json: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """What the run asks a person: as its workflow shows it; else the question of its task."""
    if workflow_json is not None and workflow_json["question"] is not None:
        return dict(workflow_json["question"])
    live = tasks.live if tasks else None
    asked = questions.unanswered(live.status.snapshot) if live else []
    if live is None or not asked:
        return None
    row = progress_json.question_row(live.status.snapshot, asked[0])
    return {**row, "task_id": live.task_id}


def actions_of_run(tasks: Tasks | None, workflow: Workflow | None) -> list[dict[str, object]]:
    """What can be done with the run now."""
    if workflow is not None and not workflow.ended:
        stopping = workflow.state is WorkflowState.STOPPING
        return actions_json([] if stopping else [Action("stop")], primary=False)
    if tasks is None or _decided_by_workflow(tasks, workflow):
        return actions_json([Action("install_again")], primary=True)
    return tasks.actions()


# -- parts ------------------------------------------------------------------------------------------------------------


def machine(tasks: Tasks | None, workflow: Workflow | None) -> dict[str, Any]:
    """Where the run works."""
    if tasks is None:
        request = workflow.request if workflow else {}
        address = request.get("ssh_connection")
        home = request.get("ui_home")
        return {"name": _typed_name(address), "instance": None, "ssh_connection": address, "ui_home": home, "gpu": None}
    record, probe = tasks.all[0].record, tasks.with_rows.status.snapshot.probe
    home = probe.get("ui_home") or record.ui_home
    return {
        "name": name_of(record.instance),
        "instance": record.instance,
        "ssh_connection": _text(record.request.get("ssh_connection")),
        "ui_home": _text(home),
        "gpu": _gpu(probe),
    }


def _text(value: object) -> str | None:
    """A text; None too for what a damaged record has in its place."""
    return value if isinstance(value, str) else None


def _gpu(probe: Mapping[str, Any]) -> str | None:
    """The names of the machine's cards, as its last probe told them."""
    cards = probe.get("gpu")
    named = [card.get("name") for card in cards if isinstance(card, Mapping)] if isinstance(cards, list | tuple) else []
    return ", ".join(str(name) for name in named if name) or None


def name_of(instance: str) -> str:
    """A short name of an instance: `ssh6:12345` for `root@ssh6.vast.ai:12345`."""
    host, port = host_and_port(instance)
    if host is None:
        return instance
    is_address = ":" in host or host.replace(".", "").isdigit()
    return f"{host if is_address else host.partition('.')[0]}:{port}"


def _typed_name(address: object) -> str:
    """The short name of an address of which nothing but its text is known."""
    try:
        typed = parse_address(address)
    except InvalidRequest:
        return str(address)
    return name_of(join_host_port(typed.host, typed.port)) if typed.port else typed.host


def _list_of(tasks: Tasks | None, workflow: Workflow | None, counts: Counts) -> dict[str, Any]:
    request = tasks.all[0].record.request if tasks else workflow.request if workflow else {}
    names = list(tasks.all[0].status.snapshot.nodes) if tasks else []
    manifest = request.get("manifest")
    label = word("summary.list_restart") if request.get("restart_of") else list_label(manifest, names)
    return {"label": label, "total": counts.total or len(names_of(manifest))}


def list_label(manifest: object, names: Sequence[str]) -> str:
    """What a run was asked to install, in a few words. `names`: of its packs, where they are known."""
    if not isinstance(manifest, Mapping):
        return word("summary.list_repo")
    if "lock" in manifest:
        return word("summary.list_lock")
    names = names or names_of(manifest)
    if not names:
        return word("summary.list_other_repo" if "repo" in manifest else "summary.list_csv")
    return word("summary.list_urls", n=len(names), name=names[0], more=len(names) - 1)


def names_of(manifest: object) -> list[str]:
    """The names in a manifest that names its packs itself."""
    if not isinstance(manifest, Mapping):
        return []
    lock = manifest.get("lock")
    listed = lock.get("node_packs") if isinstance(lock, Mapping) else manifest.get("nodes") or manifest.get("urls")
    return [_name_of(each) for each in listed] if isinstance(listed, list | tuple) else []


def _name_of(entry: object) -> str:
    if isinstance(entry, Mapping) and isinstance(entry.get("name"), str):
        return str(entry["name"])
    url = entry.get("repo_url") if isinstance(entry, Mapping) else entry
    try:
        return repo_name(str(url))
    except BadRepoUrl:
        return str(url)[:80]


def _finished_at(tasks: Tasks | None, workflow: Workflow | None) -> str | None:
    ends = [task.status.snapshot.finished_at for task in tasks.all] if tasks else []
    known = [end for end in (*ends, workflow.finished_at if workflow else None) if end is not None]
    return progress_json.iso(max(known)) if known else None


def _worked(tasks: Tasks | None, workflow: Workflow | None) -> dict[str, Any]:
    """How long the run has worked: what has ended of it, and since when something goes on."""
    if tasks is None:
        began, ended = (workflow.created_at, workflow.finished_at) if workflow else (None, None)
        spans = [] if began is None or ended is None else [ended - began]
        since = None if workflow is None or workflow.ended else began
    else:
        ends = [(task.record.created_at, task.status.snapshot.finished_at) for task in tasks.all]
        spans = [end - began for began, end in ends if end is not None]
        since = tasks.live.record.created_at if tasks.live else None
    return {
        "seconds": round(sum(max(0.0, each) for each in spans), 1),
        "working_since": None if since is None else progress_json.iso(since),
    }


def _percent(tasks: Tasks | None, live: bool) -> float:
    if tasks is None:
        return 0.0
    return (tasks.live or tasks.with_rows).status.snapshot.percent if live else tasks.with_rows.status.snapshot.percent


# -- fleets -----------------------------------------------------------------------------------------------------------


def fleet_json(row: RunRow, children: Sequence[tuple[Mapping[str, Any], Rows]]) -> dict[str, Any]:
    """A fleet as lists show it: its runs together."""
    first = children[0][0] if children else None
    counts = Counts.sum([rows.counts for _, rows in children])
    live = any(child["in_progress"] for child, _ in children)
    name = word("summary.fleet_machines", n=len(children))
    ends = [str(child["finished_at"]) for child, _ in children if child["finished_at"]]
    return {
        "run_id": row.run_id,
        "kind": row.kind,
        "fleet_id": None,
        "machine": {"name": name, "instance": None, "ssh_connection": None, "ui_home": None, "gpu": None},
        "list": {"label": first["list"]["label"] if first else "", "total": counts.total},
        "created_at": progress_json.iso(row.created_at),
        "finished_at": max(ends) if ends and not live else None,
        "in_progress": live,
        "seconds": max((child["seconds"] for child, _ in children), default=0.0),
        "working_since": min(filter(None, (child["working_since"] for child, _ in children)), default=None),
        "summary": summary_of_fleet(children),
        "counts": counts.to_json()["counts"],
        "percent": round(sum(child["percent"] for child, _ in children) / max(1, len(children)), 1),
    }


def summary_of_fleet(children: Sequence[tuple[Mapping[str, Any], Rows]]) -> dict[str, str]:
    """How the runs of a fleet stand together."""
    whole = Rows(Counts.sum([rows.counts for _, rows in children]), all(rows.whole for _, rows in children))
    live = any(child["in_progress"] for child, _ in children)
    return _of_fleet([child for child, _ in children], whole, live).to_json()


def _of_fleet(children: Sequence[Mapping[str, Any]], rows: Rows, live: bool) -> Summary:
    summaries = [child["summary"] for child in children]
    kinds = Counter(each["kind"] for each in summaries)
    if live:
        asking = [each["sentence"] for each in summaries if each["kind"] == Kind.QUESTION]
        return _of_live_fleet(kinds, sum(child["in_progress"] for child in children), asking)
    machines = word("summary.fleet_machines", n=len(children))
    own = next(iter(kinds)) if len(kinds) == 1 else None
    if own is not None and Kind(own) not in (Kind.READY, Kind.PARTIAL, Kind.NOTHING):
        first = summaries[0]
        return Summary(
            Kind(own), Tone(first["tone"]), word("summary.fleet", machines=machines, result=first["sentence"])
        )
    result = result_of(rows)
    if own is None and result.kind is not Kind.PARTIAL:
        result = Summary(Kind.PARTIAL, Tone.WARN, in_words(rows.counts))
    sentence = word("summary.fleet", machines=machines, result=result.sentence)
    return Summary(result.kind, result.tone, _with_failed(sentence, kinds))


def _of_live_fleet(kinds: Mapping[str, int], going_on: int, asking: Sequence[str]) -> Summary:
    if asking:
        sentence = asking[0] if len(asking) == 1 else word("summary.fleet_asking", n=len(asking))
        return Summary(Kind.QUESTION, Tone.WARN, sentence)
    waiting = kinds.get(Kind.QUEUED, 0)
    waiting = 0 if waiting == going_on else waiting  # then they begin
    sentence = word("summary.fleet_working", n=going_on - waiting)
    if waiting:
        sentence = word("summary.fleet_waiting", sentence=sentence, n=waiting)
    return Summary(Kind.WORKING, Tone.LIVE, _with_failed(sentence, kinds))


def _with_failed(sentence: str, kinds: Mapping[str, int]) -> str:
    """The machines whose packs are in no sum."""
    failed = kinds.get(Kind.FAILED, 0) + kinds.get(Kind.LOST, 0)
    return word("summary.fleet_failed", sentence=sentence, n=failed) if failed else sentence


def fleet_actions(live: bool, *, retry: bool) -> list[dict[str, object]]:
    """What can be done with all runs of a fleet at once. `retry`: whether one can go on with a retry."""
    if live:
        return actions_json([Action("stop")], primary=False)
    return actions_json([*([Action("retry")] if retry else []), Action("install_again")], primary=True)
