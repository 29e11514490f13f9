"""Why a pack that brings ComfyUI down when it is imported is failed: it crashes, hangs, or ends the process."""

from __future__ import annotations

import signal

from app.protocol.snapshot import Problem
from app.runner.comfyui.output import last_words
from app.runner.comfyui.quick_test import Start
from app.runner.hints.load_reasons import of_load

_HINT = "Remove it from custom_nodes, or ComfyUI will not start. The log named imports has what was printed."


def problem_of(start: Start) -> Problem:
    """By how ComfyUI ended with it."""
    code, stopped = start.finished.code, start.finished.stopped
    words = last_words(start.output)[:200]
    beyond = of_load(stopped, "ComfyUI, while it imports the pack,")
    if beyond:
        return beyond
    if stopped:
        seconds = start.limits.idle if stopped == "idle" else start.limits.total
        silent = " without any output" if stopped == "idle" else ""
        text = "ComfyUI hangs while it imports the pack: it was stopped after %g seconds%s. (%s)"
        return Problem("import_hangs", text % (seconds, silent, words), _HINT)
    if code < 0:
        memory = "The instance may be out of memory. " if -code == signal.SIGKILL else ""
        text = "ComfyUI crashes when it imports the pack: %s. (%s)" % (_signal(-code), words)
        return Problem("import_crashes", text, memory + _HINT)
    return Problem(
        "import_exits", "The pack ends ComfyUI when it is imported, with exit status %d. (%s)" % (code, words), _HINT
    )


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "signal %d" % number
