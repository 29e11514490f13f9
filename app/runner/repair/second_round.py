"""When a second round is made, and what becomes of what it finds: it is suggested, or applied at once."""

from __future__ import annotations

from dataclasses import replace
from typing import Callable, Optional, Sequence

from app.protocol.events import RepairChanged
from app.protocol.manifest import split_source
from app.protocol.repairs import Repair, RepairState
from app.runner.context import Context, PackResult
from app.runner.guard.guard import Guard
from app.runner.repair.apply import Applied, apply
from app.runner.repair.search import Search
from app.runner.verify.import_check import Verdicts


class SecondRound:
    """One run's. Called once, after the imports."""

    def __init__(self, context: Context, guard: Guard, uv: Callable[[], Optional[str]]) -> None:
        """`guard`: knows the environment as it is; `uv`: waits for its path, None where there is none."""
        self._context = context
        self._guard = guard
        self._uv = uv

    def __call__(self, results: Sequence[PackResult], found: Verdicts, check: Callable[[], Verdicts]) -> Verdicts:
        """What ComfyUI says of the packs in the end. `check`: asks it again, after a change. Raises RunCancelled."""
        context, environment = self._context, self._guard.environment
        is_lock = split_source(context.request.get("manifest"))[0] == "lock"
        if context.options.repair == "off" or is_lock or environment is None or context.python_problem:
            return found
        repair = Search(context, environment, self._uv).run(results, found)
        if repair is None:
            return found
        uv = self._uv() if repair.state is RepairState.FOUND and context.options.repair == "apply" else None
        if uv is None:
            self._emit(repair)
            return found
        applied = apply(context, environment, uv, repair, results)
        return self._settled(applied, repair, found, check)

    def _emit(self, repair: Repair) -> None:
        self._context.journal.emit(RepairChanged(repair))

    def _settled(
        self, applied: Optional[Applied], repair: Repair, found: Verdicts, check: Callable[[], Verdicts]
    ) -> Verdicts:
        """Keeps what was applied where ComfyUI says the same of the real environment as of its copy; else all is as it
        was before, and it stays a suggestion."""
        if applied is None:
            self._emit(replace(repair, ended="it could not be applied; everything is as it was"))
            return found
        try:
            now = check()
            good = {name for name, each in now.imports.items() if each.good}
            before = {name for name, each in found.imports.items() if each.good}
            is_better = not now.unknown and good > before
        except BaseException:
            applied.take_back()
            raise
        if is_better:
            applied.keep()
            self._emit(replace(repair, state=RepairState.APPLIED))
            return now
        applied.take_back()
        self._emit(replace(repair, ended="applied, it did not do what it did in the copy, and was taken back"))
        return check()
