"""The second round of a run: looks for versions with which more packs load, and none is lost.

Everything is tried in a copy, and ComfyUI is asked.
"""

from __future__ import annotations

from typing import Callable, Mapping, Optional, Sequence

from app.protocol.events import RepairChanged
from app.protocol.repairs import PackTried, Repair, RepairState
from app.runner.context import Context, PackResult
from app.runner.environment.environment import Environment
from app.runner.hints import reasons
from app.runner.repair.attempts import Attempts
from app.runner.repair.candidates import bounds_of_its_own, own_downgrades, undoing, undoing_named
from app.runner.repair.symptoms import symptoms_of
from app.runner.repair.trials import Budget, OutOfTime, Trials
from app.runner.verify.import_check import Verdicts


class Search:
    """One run's. For one thread."""

    def __init__(self, context: Context, environment: Environment, uv: Callable[[], Optional[str]]) -> None:
        """`environment`: as it is now; `uv`: waits for its path, None where there is none."""
        self._context = context
        self._environment = environment
        self._uv = uv

    def run(self, results: Sequence[PackResult], found: Verdicts) -> Optional[Repair]:
        """What was found; None where no pack fails by a version, or nothing can be tried. Raises RunCancelled."""
        symptoms = symptoms_of(results, found, self._environment)
        before = self._context.environment_before
        downgrades = own_downgrades(before.packages, self._environment.packages) if before else {}
        failing = [symptom for symptom in symptoms if symptom.is_by_version or downgrades]
        uv = self._uv() if failing else None
        if not failing or uv is None:
            return None
        good = {name for name, each in found.imports.items() if each.good}
        budget = Budget(self._context, float(self._context.options.repair_seconds))
        trials = Trials(self._context, self._environment, uv, budget)
        attempts = Attempts(self._context, trials, failing, good, self._environment.packages)
        self._context.journal.emit(RepairChanged(Repair(RepairState.SEARCHING)))
        ended = ""
        try:
            _search(attempts, trials, downgrades)
        except OutOfTime:
            ended = "the time that it may take was over (%d s)" % self._context.options.repair_seconds
        except OSError as exc:
            ended = reasons.of_os(exc).message.rstrip(".")
        finally:
            touched, seconds = trials.touched(), budget.seconds
            trials.end()
        if touched:
            text = "While versions were tried in a copy, packs wrote into files of the installed packages: %s."
            hint = "Roll this task back, or install those packages again, if something fails for it."
            self._context.warn("repair_touched", text % ", ".join(sorted(touched)[:5]), hint)
        return _result(attempts, trials, seconds, ended)


def _search(attempts: Attempts, trials: Trials, downgrades: Mapping[str, str]) -> None:
    """By kinds, the cheap and likely ones for all packs first."""
    left = attempts.left
    for symptom in left():
        attempts.try_each(symptom, list(undoing_named(downgrades, symptom)))
    for symptom in left():
        own = list(bounds_of_its_own(symptom, trials.packages)) if symptom.left_out else []
        attempts.try_each(symptom, own)
    for symptom in [each for each in left() if each.by_comfyui and not each.packages]:
        attempts.try_commits(symptom)
    for symptom in left():
        attempts.try_libraries(symptom)
    for symptom in [each for each in left() if each.packages]:
        attempts.try_commits(symptom)
    for symptom in [each for each in left() if not each.by_comfyui]:
        attempts.try_each(symptom, list(undoing(downgrades, symptom)))


def _result(attempts: Attempts, trials: Trials, seconds: float, ended: str) -> Repair:
    return Repair(
        RepairState.FOUND if attempts.loads else RepairState.NOTHING,
        tuple(attempts.moves[name] for name in sorted(attempts.moves)),
        tuple(attempts.packs),
        tuple(attempts.loads),
        tuple(PackTried(each.name, tuple(attempts.tried.get(each.name, ()))) for each in attempts.left()),
        trials.starts,
        round(seconds, 1),
        trials.disk_bytes,
        ended,
    )
