"""What ComfyUI prints is read whatever its version puts around it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.runner.comfyui.output import imports_of, plain_lines, suspect

PLAIN = """Total VRAM 24081 MB, total RAM 128654 MB
pytorch version: 2.9.1+cu128
Traceback (most recent call last):
  File "/w/ComfyUI/nodes.py", line 2216, in load_custom_node
    module_spec.loader.exec_module(module)
  File "<frozen importlib._bootstrap_external>", line 995, in exec_module
  File "/w/ComfyUI/custom_nodes/bad/__init__.py", line 1, in <module>
    import insightface
ModuleNotFoundError: No module named 'insightface'

Cannot import /w/ComfyUI/custom_nodes/bad module for custom nodes: No module named 'insightface'
Skip /w/ComfyUI/custom_nodes/empty module for custom nodes due to the lack of NODE_CLASS_MAPPINGS or NODES_LIST.
Error while calling comfy_entrypoint in /w/ComfyUI/custom_nodes/v3: Ids must be unique
comfy_entrypoint in /w/ComfyUI/custom_nodes/v4 did not return a ComfyExtension, skipping.

Import times for custom nodes:
   0.0 seconds: /w/ComfyUI/custom_nodes/websocket_image_save.py
   0.0 seconds (IMPORT FAILED): /w/ComfyUI/custom_nodes/empty
   0.0 seconds (IMPORT FAILED): /w/ComfyUI/custom_nodes/v3
   0.0 seconds (IMPORT FAILED): /w/ComfyUI/custom_nodes/v4
   0.1 seconds (IMPORT FAILED): /w/ComfyUI/custom_nodes/bad
  12.3 seconds: /w/ComfyUI/custom_nodes/a pack: with (odd) name

"""
ROOT = "/w/ComfyUI/custom_nodes"


def _coloured(text: str) -> str:
    return "\n".join(f"\x1b[32m[INFO]\x1b[0m {line}" if line and line[0] != " " else line for line in text.split("\n"))


def _levels(text: str) -> str:
    return "\n".join(f"[INFO] {line}" for line in text.split("\n"))


def _coloured_within(text: str) -> str:
    return text.replace("seconds", "\x1b[1mseconds\x1b[22m").replace("Import times", "\x1b]0;title\x07Import times")


def _timed(text: str) -> str:
    return "\n".join(f"[2026-02-03 12:34:56.789] {line}" for line in text.split("\n"))


def _returns(text: str) -> str:
    return text.replace("\n", "\r\n").replace("pytorch", " 10%|#  \r 20%|## \rpytorch")


VARIANTS = {
    "plain": str,
    "coloured level": _coloured,
    "level on each line": _levels,
    "colours within": _coloured_within,
    "times": _timed,
    "carriage returns": _returns,
    "all": lambda text: _returns(_timed(_levels(text))),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_verdicts_are_the_same_in_every_dress(variant: str) -> None:
    """Who failed, with the traceback's last line; who did not, with its seconds."""
    imports = imports_of(VARIANTS[variant](PLAIN))  # type: ignore[operator]
    assert imports is not None
    assert {path.rpartition("/")[2]: found.good for path, found in imports.items()} == {
        "websocket_image_save.py": True,
        "empty": False,
        "bad": False,
        "v3": False,
        "v4": False,
        "a pack: with (odd) name": True,
    }
    assert imports[f"{ROOT}/bad"].message == "ModuleNotFoundError: No module named 'insightface'"
    assert imports[f"{ROOT}/bad"].text.startswith("Traceback (most recent call last):")
    assert imports[f"{ROOT}/empty"].no_nodes
    assert imports[f"{ROOT}/v3"].message == "Its comfy_entrypoint failed: Ids must be unique"
    assert imports[f"{ROOT}/v4"].message == "Its comfy_entrypoint did not return a ComfyExtension"
    assert imports[f"{ROOT}/a pack: with (odd) name"].seconds == 12.3


def test_without_a_table_there_are_no_verdicts() -> None:
    """A failure that was printed is no verdict on the others; the prestartup table is another one."""
    assert imports_of(PLAIN.partition("\nImport times")[0]) is None
    assert imports_of("Prestartup times for custom nodes:\n   0.0 seconds: /w/ComfyUI/custom_nodes/a\n") is None
    assert imports_of("") is None


def test_a_message_of_several_lines_is_named_by_its_first() -> None:
    """As Python prints it, with the exception's type; of a chain the last one."""
    text = PLAIN.replace(
        "ModuleNotFoundError: No module named 'insightface'\n",
        "KeyError: 'x'\n\nDuring handling of the above exception, another exception occurred:\n\n"
        'Traceback (most recent call last):\n  File "x.py", line 1, in f\n    g()\n    ~^^\n'
        "RuntimeError: one\ntwo\n  three\n",
    )
    imports = imports_of(text)
    assert imports is not None
    assert imports[f"{ROOT}/bad"].message == "RuntimeError: one"


def test_who_was_tried_last_is_the_suspect() -> None:
    """By ComfyUI's own debug line; else by Python's report of the crash; else nobody."""
    names = ["a", "b", "bad"]
    tried = f"[DEBUG] Trying to load custom node {ROOT}/a\nTrying to load custom node {ROOT}/b\nnoise"
    assert suspect(tried, names) == "b"
    assert suspect(tried, ["a"]) is None
    crash = (
        'Fatal Python error: Segmentation fault\n\nCurrent thread 0x1 (most recent call first):\n  File "/x"'
        f'\n  File "{ROOT}/b/inner/x.py", line 3 in <module>\n  File "{ROOT}/a/__init__.py", line 1 in <module>\n'
    )
    assert suspect(crash, names) == "b"
    assert suspect("nothing", names) is None
    assert suspect(PLAIN.partition("Skip")[0], names) is None
    uncaught = f'Traceback (most recent call last):\n  File "/w/main.py", line 1\n  File "{ROOT}/b/x.py", line 2\nExit'
    assert suspect(uncaught, names) == "b"


@given(st.text(max_size=300))
def test_anything_may_stand_around_it(noise: str) -> None:
    """No noise before the table changes a verdict that it does not imitate, and nothing raises."""
    plain_lines(noise)
    suspect(noise, ["bad"])
    if "mport" not in noise:
        imports = imports_of(noise + "\n" + PLAIN)
        assert imports is not None
        assert [found.good for found in imports.values()] == [True, False, False, False, False, True]
