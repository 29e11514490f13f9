"""Why the build of a package from source did not end well: the reason of each pack that needs it."""

from __future__ import annotations

from app.protocol.snapshot import Problem
from app.runner.hints import reasons
from app.runner.hints.load_reasons import of_load
from app.runner.process.children import Finished, Limits


def of_build(package: str, finished: Finished, limits: Limits) -> Problem:
    """Of one that failed, or that was ended for these limits."""
    beyond = of_load(finished.stopped, "Building %s" % package)
    if beyond:
        return beyond
    if finished.stopped == "idle":
        text = "Building %s stood still and was ended: no output and no processor time for %s."
        hint = (
            "Retry the task. If it stands still again, skip the package, or ask the pack's author for a ready-made one."
        )
        return Problem("build_stalled", text % (package, _minutes(limits.idle)), hint)
    if finished.stopped:
        text = "Building %s took longer than %s and was ended."
        hint = "Use an instance with more processors, or an image that has the package."
        return Problem("build_timed_out", text % (package, _minutes(limits.total)), hint)
    return reasons.of_packages(finished)


def of_skip(package: str) -> Problem:
    """Of one that the user has skipped."""
    text = "%s had to be built from source, and its build was skipped as asked."
    return Problem("build_skipped", text % package, "Retry the pack when there is time for the build.")


def _minutes(seconds: float) -> str:
    if seconds < 120:
        return "%g seconds" % seconds
    return "%d minutes" % round(seconds / 60) if seconds < 7200 else "%.3g hours" % (seconds / 3600)
