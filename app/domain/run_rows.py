"""The node packs of a run of several tasks: each as the newest task that had it has left it. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from app.protocol import reasons
from app.protocol.counts import Counts, Standing, is_as_asked, standing
from app.protocol.snapshot import Node, Snapshot
from app.protocol.states import GOOD_NODE_STATES


@dataclass(frozen=True, slots=True)
class Rows:
    """`counts`: of all packs. `whole`: those that are skipped are so because that was asked for. `retryable`: whether
    to start one again that did not end well can help. `ready`: the names of those that are there."""

    counts: Counts = Counts()
    whole: bool = True
    retryable: bool = False
    ready: frozenset[str] = frozenset()

    @classmethod
    def of(cls, snapshots: Iterable[Snapshot]) -> Rows:
        """The packs of the tasks with these snapshots, oldest first."""
        found: dict[str, tuple[Node, Standing]] = {}
        for snapshot in snapshots:
            found.update({node.name: (node, standing(snapshot, node)) for node in snapshot.nodes.values()})
        stand = [each for _, each in found.values()]
        good = sum(node.state in GOOD_NODE_STATES for node, _ in found.values())
        there = [name for name, (_, each) in found.items() if each in (Standing.READY, Standing.PROBLEM)]
        numbers = Counts(
            total=len(found),
            unchecked=good - len(there),
            cloned=sum(node.commit is not None for node, _ in found.values()),
            **{each.value: stand.count(each) for each in Standing},
        )
        whole = all(is_as_asked(node) for node, each in found.values() if each is Standing.SKIPPED)
        return cls(numbers, whole, any(_can_be_retried(node, each) for node, each in found.values()), frozenset(there))


def _can_be_retried(node: Node, stands: Standing) -> bool:
    if stands is Standing.CANCELLED:
        return node.error is None or reasons.find(node.error.code).retryable
    unwell = stands in (Standing.FAILED, Standing.PROBLEM) or (stands is Standing.SKIPPED and not is_as_asked(node))
    return unwell and node.error is not None and reasons.find(node.error.code).retryable
