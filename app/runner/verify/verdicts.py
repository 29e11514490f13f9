"""What is told of each pack once its import is known, or known to be unknown."""

from __future__ import annotations

from typing import Collection, Optional, Sequence

from app.protocol.events import NodeChanged
from app.protocol.snapshot import Problem
from app.protocol.states import NodeState
from app.runner.comfyui.running import Loaded
from app.runner.context import Context, PackResult
from app.runner.process.private_files import append_to_log
from app.runner.verify import strays
from app.runner.verify.import_check import Verdicts
from app.runner.verify.import_problem import is_of_what_is_missing, of_failed, of_prestartup

_OTHERS = "%s makes ComfyUI crash at its start. It is not in your list of packs; the others were checked without it. %s"

_MISSED = (
    "%s loaded in the import check, but the restarted ComfyUI does not have it. Either it loads other folders, or it "
    "was started without custom nodes, or the pack has no nodes."
)
_FOR_WANT_OF_PACKAGES = frozenset({"module_missing", "import_failed", "version_skew"})
_SILENT = "%s turns off ComfyUI's messages when it is imported, so nobody knows whether it loads."


def emit_verdicts(
    context: Context,
    results: Sequence[PackResult],
    found: Verdicts,
    nested: Collection[str],
    loaded: Optional[Loaded],
) -> str:
    """Tells each pack that is there. `nested`: those that their parent loads; `loaded`: what a restarted ComfyUI says.
    How many there are of each verdict, in words."""
    cloned = [result for result in results if result.is_cloned]
    told = [None if result.pack.name in nested else _emit(context, result, found, loaded) for result in cloned]
    for result in cloned:
        if result.pack.name in nested:
            _emit_unknown(context, result)
    _warn_of_others(context, cloned, found)
    _warn_of_silence(context, cloned, found)
    strays.warn_of_what_no_pack_owns(context, found.imports)
    words = (("%d load", True), ("%d do not load", False), ("%d not known", None))
    return ", ".join(word % told.count(verdict) for word, verdict in words if told.count(verdict)) or "no pack to check"


def _emit(context: Context, result: PackResult, found: Verdicts, loaded: Optional[Loaded]) -> Optional[bool]:
    """The verdict that was told: None is unknown. The restarted ComfyUI has the last word."""
    folder = result.pack.folder
    imported, later = found.imports.get(folder), loaded or Loaded()
    if later.has(folder) or (imported is not None and imported.good and not later.failed(folder)):
        result.problem = result.problem or of_prestartup(imported)
        _emit_good(context, result, imported.seconds if imported else None)
        if later.misses(folder, result.folder):
            context.warn(
                "not_loaded", _MISSED % result.pack.name, "Look at ComfyUI's log, and at the command that starts it."
            )
        return True
    if folder in found.culprits:
        _write(context, result, found.printed.get(folder, ""))
        _emit_broken(context, result, found.culprits[folder], None)
        return False
    failed = imported if imported and not imported.good else later.failed(folder)
    if failed:
        _write(context, result, failed.text or failed.message)
        problem, may_be_good = of_failed(context, result, failed)
        if may_be_good and not later.failed(folder):
            result.problem = result.problem or problem
            context.node(result.pack.name, NodeState.INSTALLED, result.problem)
            return None
        _emit_broken(context, result, problem, failed.seconds)
        return False
    _emit_unknown(context, result)
    return None


def _emit_good(context: Context, result: PackResult, seconds: Optional[float]) -> None:
    name = result.pack.name
    if result.problem is not None:
        context.node(name, NodeState.INSTALLED, result.problem)
    context.journal.emit(NodeChanged(name, NodeState.VERIFIED, verified=True, import_seconds=seconds))


def _emit_broken(context: Context, result: PackResult, problem: Problem, seconds: Optional[float]) -> None:
    """What failed before is why it cannot be imported: its code and hint stand, and the import's words are added. Lines
    of its requirements that are left out are the reason only where it may be for want of a package."""
    before = result.problem
    if before is not None and before is result.incomplete and not is_of_what_is_missing(result, problem):
        problem = Problem(problem.code, "%s %s" % (problem.message, before.message), problem.hint)
    elif before is not None and result.lines_left_out and problem.code not in _FOR_WANT_OF_PACKAGES:
        problem = Problem(problem.code, "%s Besides, %s" % (problem.message, before.message), problem.hint)
    elif before is not None and result.lines_left_out:
        text = "%s That may be why its import failed: %s" % (before.message, problem.message)
        problem = Problem(before.code, text, before.hint)
    elif before is not None:
        problem = Problem(before.code, "%s Its import then failed: %s" % (before.message, problem.message), before.hint)
    result.problem = problem
    context.journal.emit(
        NodeChanged(result.pack.name, NodeState.FAILED, problem, verified=False, import_seconds=seconds)
    )


def _emit_unknown(context: Context, result: PackResult) -> None:
    if result.awaiting:
        context.node(result.pack.name, NodeState.FAILED, result.problem)


def _write(context: Context, result: PackResult, text: str) -> None:
    """The whole text is in the pack's log."""
    append_to_log(context.task.node_log(result.pack.name), "\nComfyUI cannot load it:\n%s\n" % text)


def _warn_of_others(context: Context, cloned: Sequence[PackResult], found: Verdicts) -> None:
    ours = {result.pack.folder.partition("/")[0] for result in cloned}
    for name, problem in found.culprits.items():
        if name not in ours:
            context.warn("other_pack_breaks_comfyui", _OTHERS % (name, problem.message), problem.hint)


def _warn_of_silence(context: Context, cloned: Sequence[PackResult], found: Verdicts) -> None:
    ours = {result.pack.folder for result in cloned}
    for name in sorted(ours & set(found.silent)):
        context.warn("import_untold", _SILENT % name, "Look for its nodes in the running ComfyUI.")
