"""The node packs of a run of several tasks: each as the newest task that had it has left it. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from app.protocol import reasons
from app.protocol.counts import Counts, Standing, is_as_asked, standing
from app.protocol.snapshot import Node, Snapshot
from app.protocol.states import GOOD_NODE_STATES

_USABLE = frozenset({Standing.READY, Standing.PROBLEM})
_LEFT = frozenset({Standing.PROBLEM, Standing.FAILED, Standing.SKIPPED, Standing.CANCELLED})
"""Of packs that ended without being ready."""
_FIELDS = {each: each.value for each in Standing}


@dataclass(frozen=True, slots=True)
class Rows:
    """`counts`: of all packs. `whole`: those that are skipped are so because that was asked for. `retryable`: whether
    to start one again that did not end well can help. `ready`: the names of those that are installed; `names`: of all
    of them."""

    counts: Counts = field(default_factory=Counts)
    whole: bool = True
    retryable: bool = False
    ready: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()

    @classmethod
    def of(cls, snapshots: Iterable[Snapshot]) -> Rows:
        """The packs of the tasks with these snapshots, oldest first."""
        found: dict[str, tuple[Node, Standing]] = {}
        for snapshot in snapshots:
            found.update({node.name: (node, standing(snapshot, node)) for node in snapshot.nodes.values()})
        return cls.of_packs(found.values())

    @classmethod
    def of_packs(cls, packs: Collection[tuple[Node, Standing]]) -> Rows:
        """These packs, each once, and how it stands."""
        stand = dict.fromkeys(Standing, 0)
        good = cloned = 0
        usable, left = [], []
        for node, each in packs:
            stand[each] += 1
            good += node.state in GOOD_NODE_STATES
            cloned += node.commit is not None
            if each in _USABLE:
                usable.append(node.name)
            if each in _LEFT:
                left.append((node, each))
        numbers = Counts(
            total=len(packs),
            unchecked=good - len(usable),
            cloned=cloned,
            **{_FIELDS[each]: number for each, number in stand.items()},
        )
        whole = all(is_as_asked(node) for node, each in left if each is Standing.SKIPPED)
        retryable = any(_can_be_retried(node, each) for node, each in left)
        return cls(numbers, whole, retryable, frozenset(usable), frozenset([node.name for node, _ in packs]))


def _can_be_retried(node: Node, stands: Standing) -> bool:
    if stands is Standing.CANCELLED:
        return node.error is None or reasons.find(node.error.code).retryable
    unwell = stands in (Standing.FAILED, Standing.PROBLEM) or (stands is Standing.SKIPPED and not is_as_asked(node))
    return unwell and node.error is not None and reasons.find(node.error.code).retryable
