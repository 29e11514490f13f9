"""What of a lock is not installed since it is known to be malicious, or by the policies. Asked once a run."""

from __future__ import annotations

from typing import Dict, FrozenSet, Sequence

from app.protocol.left_out import readable
from app.protocol.lockfile import Lock
from app.runner.context import Context
from app.runner.lock.differences import Difference
from app.runner.policies.known_bad import known_bads
from app.runner.policies.run_policies import Item, RunPolicies
from app.runner.resolve.line_gate import kinds_of

_THE_LOCK = "The lock"
_WHY = {
    "direct_urls": "%s was not installed: it leads past the package index, and %s",
    "builds": "%s was not installed: it has to be built here, which runs its code, and %s",
}


def refused_of(context: Context, items: Sequence[Difference]) -> Dict[str, str]:
    """Of these packages those that are refused, a sentence each. Raises RunCancelled."""
    known, policies = known_bads(context), RunPolicies.of(context)
    found: Dict[str, str] = {}
    for item in items:
        case = known.of_package(item.name, item.wanted) or (known.of_address(item.source) if item.source else None)
        if case is not None:
            found[item.name] = case.problem("%s %s" % (item.name, item.wanted)).message.rstrip(".")
    for kind, why in _WHY.items():
        lines = {item.name: item.pin for item in items if kind in kinds_of(item.pin) and item.name not in found}
        if lines and not _is_allowed(context, kind, list(lines.values())):
            found.update({name: why % (readable(line), policies.why(kind)) for name, line in lines.items()})
    return found


def may_use_places(context: Context, lock: Lock) -> bool:
    """Whether the lock's own indexes may be asked. Told where they may not. Raises RunCancelled."""
    addresses = [*lock.indexes, *lock.find_links]
    if not addresses or _is_allowed(context, "indexes", addresses):
        return True
    text = "The lock's own package indexes were not used, since %s: %s."
    told = ", ".join(readable(place) for place in addresses[:5])
    hint = "What only they have is missing. Start again with another policy to use them."
    context.warn("index_refused", text % (RunPolicies.of(context).why("indexes"), told), hint)
    return False


def _is_allowed(context: Context, kind: str, lines: Sequence[str]) -> bool:
    policies = RunPolicies.of(context)
    if policies.asks(kind) and context.options.plan_only:
        return True
    decided = context.shared.setdefault("policies_of_lock", {})
    assert isinstance(decided, dict)
    if kind not in decided:
        allowed: FrozenSet[str] = policies.allowed(kind, [Item.of_lines(_THE_LOCK, list(map(readable, lines)))])
        decided[kind] = bool(allowed)
    return bool(decided[kind])
