"""Python's report of a crash or a hang names the pack that was being imported, and nobody else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.runner.comfyui.output import hanging_in, last_words, suspect

ROOT = "/w/ComfyUI/custom_nodes"
MAIN = '  File "/w/ComfyUI/nodes.py", line 9 in load_custom_node\n  File "/w/ComfyUI/main.py", line 300 in <module>\n'
NAMES = ["a", "b", "caf\xe9", "single.py"]


def _frame(name: str) -> str:
    return f'  File "{ROOT}/{name}", line 3 in <module>\n'


def _report(why: str, *threads: str) -> str:
    return f"loading\nFatal Python error: {why}\n\n" + "\n".join(threads) + "\nExtension modules: numpy (total: 1)\n"


def _main(*files: str, head: str = "Current thread 0x00007f (most recent call first):") -> str:
    return f'{head}\n  File "/usr/lib/python3.12/threading.py", line 355 in wait\n' + "".join(map(_frame, files)) + MAIN


OTHER = "Thread 0x00007e (most recent call first):\n" + _frame("a/worker.py")


@pytest.mark.parametrize(
    ("report", "hanging"),
    [
        (_report("Aborted", _main("b/__init__.py")), "b"),
        (_report("Aborted", OTHER, _main("b/x.py", "b/__init__.py")), "b"),
        (_report("Aborted", _main("b/__init__.py", head="Stack (most recent call first):")), "b"),
        (_report("Aborted", _main("b/__init__.py", head="Thread 0x1 [python] (most recent call first):"), OTHER), "b"),
        (_report("Aborted", _main("caf\\xe9/__init__.py")), "caf\xe9"),
        (_report("Aborted", _main("single.py")), "single.py"),
        (_report("Aborted", _main("a/x.py", "b/__init__.py")), None),
        (_report("Aborted", _main("unknown/__init__.py")), None),
        (_report("Aborted", _main()), None),
        ("no report at all", None),
    ],
)
def test_a_hang_is_named_where_its_stack_names_one(report: str, hanging: str | None) -> None:
    """Of the main thread, where imports run; two packs in it, or a foreign one, are no certainty."""
    assert hanging_in(report, NAMES) == hanging


def test_a_crash_is_the_crashing_threads() -> None:
    """Also where another thread is listed before it; where it has no Python frames, what was being imported counts."""
    crashing = "Current thread 0x00007d (most recent call first):\n"
    waiting = _main("b/__init__.py", head="Thread 0x1 (most recent call first):")
    assert suspect(_report("Segmentation fault", waiting, crashing + _frame("a/worker.py")), NAMES) == "a"
    assert suspect(_report("Segmentation fault", waiting, crashing + "  <no Python frame>\n"), NAMES) == "b"


def test_the_last_words_are_its_own() -> None:
    """Not those of Python's report."""
    assert last_words(_report("Aborted", _main("b/__init__.py"))) == "loading"
    assert last_words("") == ""


@given(st.text(max_size=300))
def test_no_noise_makes_it_raise(noise: str) -> None:
    """Whatever a pack prints."""
    hanging_in(f"Fatal Python error: Aborted\n{noise}", NAMES)
    last_words(noise)
