"""Whether packs' install.py may run: asked once for all packs of a run, and held to the text that was shown."""

from __future__ import annotations

from pathlib import Path
from typing import Dict, Optional, Sequence

from app.protocol.snapshot import Problem
from app.runner.context import Context, PackResult
from app.runner.policies.known_bad import of_file
from app.runner.policies.run_policies import Item, RunPolicies

_REFUSED = "Its install.py did not run: %s."
_HINT = "Read the script. If the pack does not work without it, run it yourself, or start again and allow it."
_CHANGED = "its text is not the one that you were asked about"


class ScriptGate:
    """One run's, for the thread of its scripts."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._policies = RunPolicies.of(context)
        self._allowed: Dict[str, object] = {}
        self.asks = self._policies.asks("scripts")

    def ask(self, ready: Sequence[PackResult]) -> None:
        """All scripts of the run are known: asks about them, where that is the policy. Raises RunCancelled."""
        if not self.asks:
            return
        items = [item for item in map(_item, ready) if item is not None]
        allowed = self._policies.allowed("scripts", items)
        self._allowed = {item.pack: item.facts["sha256"] for item in items if item.pack in allowed}

    def problem(self, result: PackResult) -> Optional[Problem]:
        """Why this pack's does not run; None where it may."""
        script = result.folder / "install.py"
        known = of_file(self._context, script)
        if known is not None:
            return known.problem("%s of %s" % (script.name, result.pack.name))
        if self._policies.refuses("scripts"):
            return Problem("script_refused", _REFUSED % self._policies.why("scripts"), _HINT)
        if not self.asks:
            return None
        item, allowed = _item(result), self._allowed.get(result.pack.name)
        if item is not None and item.facts["sha256"] == allowed:
            return None
        why = self._policies.why("scripts") if allowed is None else _CHANGED
        return Problem("script_refused", _REFUSED % why, _HINT)


def _item(result: PackResult) -> Optional[Item]:
    try:
        return Item.of_file(result.pack.name, Path(result.folder) / "install.py")
    except OSError:
        return None
