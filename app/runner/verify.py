"""Verify phase. So far: the torch family is as it was before the run, looked at, not assumed.

Whether ComfyUI can import each pack is not checked yet: `verified` stays unknown.
"""

from __future__ import annotations

from typing import Dict, Mapping

from app.protocol.states import Phase, StepStatus
from app.runner.context import Context
from app.runner.interpreter import Execute, prove
from app.runner.requirement_files import protected


def verify(context: Context, run: Execute) -> None:
    """Compares the environment with what it was, and tells. Raises RunCancelled."""
    if not context.python:
        context.phase(Phase.VERIFY, StepStatus.SKIPPED, "there is no interpreter to look at")
        return
    context.phase(Phase.VERIFY, StepStatus.RUNNING)
    proof, why = prove(context.python["executable"], run)
    if proof is None:
        context.phase(Phase.VERIFY, StepStatus.FAILED, "the interpreter does not run any more: %s" % why)
        return
    changed = _differences(protected(context.packages), protected(proof["packages"]))
    if changed:
        text = "Protected packages changed: %s" % ", ".join("%s %s" % item for item in sorted(changed.items()))
        context.warn("protected_changed", text, "Install the builds that were there before.")
        context.phase(Phase.VERIFY, StepStatus.FAILED, text)
        return
    context.phase(Phase.VERIFY, StepStatus.SUCCESS, "torch family unchanged; imports were not checked")


def _differences(before: Mapping[str, str], after: Mapping[str, str]) -> Dict[str, str]:
    names = {name for name in {*before, *after} if before.get(name) != after.get(name)}
    return {name: "%s -> %s" % (before.get(name, "absent"), after.get(name, "absent")) for name in names}
