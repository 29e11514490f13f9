"""A run that only restarts ComfyUI, and says which of an earlier run's packs the new one has loaded."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any, List, Mapping

from app.protocol.run_end import loaded_in_words
from app.protocol.states import Phase, StepStatus
from app.runner.comfyui.running import Loaded
from app.runner.context import Context
from app.runner.policies.withheld import withheld
from app.runner.process.errors import RunFault
from app.runner.restart.restart import restart

_NOTHING_TO_DO = (Phase.CLONE, Phase.RESOLVE, Phase.INSTALL, Phase.SCRIPTS)


def restart_only(context: Context, python: Future[None]) -> None:
    """Restarts, and tells the verify phase. Raises RunFault where ComfyUI was not restarted, RunCancelled."""
    python.result()
    for phase in _NOTHING_TO_DO:
        context.phase(phase, StepStatus.SKIPPED, "restart only")
    context.phase(Phase.VERIFY, StepStatus.RUNNING)
    known_bad = next(iter(withheld(context)), None)
    if known_bad is not None:
        text = "ComfyUI was not restarted: it would run custom_nodes/%s, which is known to be malicious."
        raise RunFault("known_bad", text % known_bad, "The other warnings say more. Remove it, then restart.")
    done = restart(context)
    if not done.done:
        raise RunFault("not_restarted", done.detail, "Restart ComfyUI yourself to load the packs.")
    expected = list(context.request.get("expected") or [])
    missing = _missing(context, expected, done.loaded or Loaded())
    if missing:
        text = "The restarted ComfyUI has not loaded these packs: %s." % ", ".join(missing)
        context.warn("not_loaded", text, "Look at ComfyUI's log, and at the command that starts it.")
    status = StepStatus.FAILED if missing else StepStatus.SUCCESS
    context.phase(Phase.VERIFY, status, _in_words(len(expected), len(missing), done.loaded))


def _missing(context: Context, expected: List[Mapping[str, Any]], loaded: Loaded) -> List[str]:
    """Of the packs that were good, those that the new ComfyUI should know and does not."""
    found = []
    for pack in expected:
        name, folder = str(pack["name"]), str(pack["folder"])
        if "/" not in folder and (loaded.failed(folder) or loaded.misses(folder, context.custom_nodes / folder)):
            found.append(name)
    return found


def _in_words(expected: int, missing: int, loaded: object) -> str:
    if not expected:
        return ""
    if loaded is None or loaded == Loaded():
        return "it does not say which packs it has loaded"
    return loaded_in_words(expected - missing, expected)
