"""Why a class is missing after a run: which node pack has it, and how that ended."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.proof.findings import Kind
from app.protocol.repo_identity import same_repo
from app.protocol.snapshot import Node, Snapshot
from app.protocol.states import NodeState

SKIP = "skip"
_ASKED = "which_node_pack"
_NOT_DONE = {NodeState.CANCELLED: "was cancelled", NodeState.SKIPPED: "was skipped"}


@dataclass(frozen=True)
class ClassPacks:
    """What is known of the classes of a run's workflows. `packs`: of each class the pack that has it, as `name`,
    `repo_url`, `registry_id` and whether a person has left it out (`without`); `skipped`: the classes of questions that
    a person has answered with nothing."""

    packs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    skipped: Sequence[str] = ()

    def to_json(self) -> dict[str, Any]:
        """As it is kept."""
        return {"packs": {name: dict(pack) for name, pack in self.packs.items()}, "skipped": list(self.skipped)}

    @classmethod
    def of(cls, kept: Any) -> ClassPacks:
        """What was kept; nothing of a version that kept none."""
        return cls(kept["packs"], tuple(kept["skipped"])) if isinstance(kept, dict) and kept else cls()


@dataclass(frozen=True)
class Ends:
    """How the packs of a run ended, the newest task's word for each; and the classes that a person has left out when
    the run asked."""

    nodes: Mapping[str, Node]
    skipped: frozenset[str] = frozenset()

    @classmethod
    def of(cls, snapshots: Iterable[Snapshot]) -> Ends:
        """Of a run's tasks, the newest first."""
        nodes: dict[str, Node] = {}
        skipped: set[str] = set()
        for snapshot in snapshots:
            for name, node in snapshot.nodes.items():
                nodes.setdefault(name, node)
            asked = (each for each in snapshot.questions.values() if each.asked.code == _ASKED and each.answer == SKIP)
            skipped |= {str(each.asked.facts.get("class")) for each in asked}
        return cls(nodes, frozenset(skipped))


def explained(results: list[dict[str, Any]], wanted: ClassPacks, ends: Ends) -> list[dict[str, Any]]:
    """The results of a proof, in which a class that is missing says why."""
    for result in results:
        for finding in result["findings"]:
            why = _why(finding["class"], wanted, ends) if finding["kind"] == Kind.CLASS.value else None
            if why is not None:
                finding["what"], finding["hint"] = why
    return results


def _why(class_name: str, wanted: ClassPacks, ends: Ends) -> tuple[str, str] | None:
    """What is to be said of one class, and what to do; None where nothing more is known of it."""
    begins = f"This ComfyUI has no class {class_name}"
    if class_name in wanted.skipped or class_name in ends.skipped:
        return f"{begins}: you left its node pack out.", "Start again and name the pack that has it."
    pack = wanted.packs.get(class_name)
    if pack is None:
        return None
    name = str(pack["name"])
    if pack["without"]:
        return f"{begins}: you left {name} out, which has it.", f"Install {name}."
    node = next((each for each in ends.nodes.values() if _is(each, pack)), None)
    if node is None:
        return f"{begins}. {name} has it, which this run did not install.", f"Install {name}."
    return _by_end(begins, node)


def _is(node: Node, pack: Mapping[str, Any]) -> bool:
    registry_id, url = pack["registry_id"], pack["repo_url"]
    return bool(registry_id and node.registry_id == registry_id) or bool(url and same_repo(node.repo_url, url))


def _by_end(begins: str, node: Node) -> tuple[str, str]:
    its_log = f"See the log of {node.name}."
    if node.state in _NOT_DONE:
        return f"{begins}: {node.name}, which has it, {_NOT_DONE[node.state]}.", "Retry the run."
    if node.state is NodeState.FAILED or node.verified is False or node.error is not None:
        why = node.error.message.rstrip(".") if node.error else "ComfyUI cannot import it"
        hint = node.error.hint if node.error else ""
        return f"{begins}: {node.name}, which has it, failed: {why}.", f"{hint} {its_log}".strip()
    hint = "Restart ComfyUI if it was not restarted since; else this version of the pack may not have it."
    return f"{begins}: {node.name}, which is to have it, is installed.", f"{hint} {its_log}"
