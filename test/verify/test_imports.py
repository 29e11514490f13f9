"""ComfyUI itself says of each pack whether it can be imported; its verdict is told, and nothing else is."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from app.protocol import counts
from app.protocol.states import Outcome, Phase, StepStatus
from app.standin.packs import Pack
from test.runner.rig import Rig, Run, names_in, node
from test.verify.conftest import NODES, Verify

pytestmark = pytest.mark.slow

MakePack = Callable[..., Pack]


def verdicts(run: Run) -> dict[str, tuple[str, bool | None]]:
    """Each pack's state (with its reason) and what its import gave."""
    return {name: (run.state(name), found.verified) for name, found in run.snapshot().nodes.items()}


def codes(run: Run) -> list[str]:
    """The run's warnings."""
    return [warning.code for warning in run.snapshot().warnings]


def test_it_works(verify: Verify, pack: MakePack, rig: Rig) -> None:
    """Good ones are verified, with seconds; one that raises is failed with its traceback's last line, the whole in
    its log."""
    run = verify([pack("good"), pack("bad", "import no_such_module"), pack("sleepy", "import json")])
    assert verdicts(run) == {
        "good": ("verified", True),
        "bad": (run.state("bad"), False),
        "sleepy": ("verified", True),
    }
    snapshot = run.snapshot()
    bad = snapshot.nodes["bad"]
    assert bad.error is not None
    assert "ModuleNotFoundError: No module named 'no_such_module'" in bad.error.message
    assert snapshot.nodes["good"].import_seconds is not None
    assert "Traceback" in (run.folder / "nodes" / "bad.log").read_text()
    assert counts.outcome(snapshot) is Outcome.PARTIAL
    assert snapshot.phases[Phase.VERIFY].status is StepStatus.SUCCESS
    assert snapshot.phases[Phase.VERIFY].detail == (
        "2 load, 1 do not load; ComfyUI was started 2 times: without packs, with all packs"
    )
    assert [name for name in names_in(rig.custom_nodes) if name != "__pycache__"] == ["bad", "good", "sleepy"]


def test_nothing_of_the_users_is_touched(verify: Verify, pack: MakePack, rig: Rig) -> None:
    """User folder, database, outputs and temp are the check's own, and gone afterwards."""
    (rig.ui_home / "temp").mkdir()
    (rig.ui_home / "temp" / "preview.png").write_bytes(b"x")
    before = {str(p) for p in rig.ui_home.rglob("*") if "custom_nodes" not in p.parts and "__pycache__" not in p.parts}
    run = verify([pack("good")])
    after = {str(p) for p in rig.ui_home.rglob("*") if "custom_nodes" not in p.parts and "__pycache__" not in p.parts}
    assert run.state("good") == "verified"
    assert after == before
    assert not (run.folder / "comfyui").exists()


def test_a_pack_whose_script_failed_is_judged_by_its_import(verify: Verify, pack: MakePack) -> None:
    """It imports: verified, and the error is kept. It does not: failed, with the first cause and the import's words."""
    run = verify(
        [
            pack("works", install_py="raise SystemExit(3)"),
            pack("broken", "import made_by_install_py", install_py="raise SystemExit(3)"),
        ]
    )
    assert verdicts(run) == {
        "works": ("verified script_failed", True),
        "broken": ("failed script_failed", False),
    }
    broken = run.snapshot().nodes["broken"]
    assert broken.error is not None
    assert "made_by_install_py" in broken.error.message
    assert counts.outcome(run.snapshot()) is Outcome.PARTIAL
    assert run.snapshot().nodes["works"].script is StepStatus.FAILED


def test_a_script_that_failed_without_an_import_check_fails_the_pack(verify: Verify, pack: MakePack) -> None:
    """Nothing says that it works."""
    run = verify([pack("works", install_py="raise SystemExit(3)"), pack("good")], verify=False)
    assert verdicts(run) == {"works": ("failed script_failed", None), "good": ("installed", None)}
    phase = run.snapshot().phases[Phase.VERIFY]
    assert (phase.status, phase.detail) == (StepStatus.SKIPPED, "switched off for this run")


def test_a_nested_pack_is_loaded_by_its_parent(verify: Verify, pack: MakePack) -> None:
    """ComfyUI says nothing of it: installed, verified unknown."""
    child = node(pack("child"), subfolder="parent/child")
    run = verify([pack("parent"), child])
    assert codes(run) == []  # a ComfyUI that did not start says here why
    assert verdicts(run) == {"parent": ("verified", True), "child": ("installed", None)}


def test_a_pack_without_nodes_is_failed(verify: Verify, pack: MakePack) -> None:
    """As ComfyUI counts it. One whose nodes cannot be had from its entry point says why."""
    entry = pack("entry", files={"__init__.py": "async def comfy_entrypoint():\n    return [][0]\n"})
    run = verify(
        [
            pack("empty", files={"__init__.py": "x = 1\n"}),
            pack("nothing", files={"__init__.py": ""}),
            entry,
            pack("good"),
        ]
    )
    error = run.snapshot().nodes["entry"].error
    assert error and "Its comfy_entrypoint failed: list index out of range" in error.message
    assert verdicts(run)["empty"] == ("failed import_no_nodes", False)
    assert verdicts(run)["good"] == ("verified", True)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "import_crashes"),
        ("import threading; threading.Event().wait()", "import_hangs"),
        ("import sys; sys.exit(0)", "import_exits"),
        ("import os; os._exit(0)", "import_exits"),
    ],
)
def test_who_brings_comfyui_down_is_found(verify: Verify, pack: MakePack, rig: Rig, code: str, reason: str) -> None:
    """It is failed with how, the others are verified, and packs of others are neither blamed nor judged."""
    (rig.custom_nodes / "foreign").mkdir()
    (rig.custom_nodes / "foreign" / "__init__.py").write_text(NODES % "foreign")
    packs: list[Pack | dict[str, str]] = [*map(pack, "abcd"), pack("culprit", code), pack("raises", "1/0")]
    packs.append(node(pack("spaced"), name="with space"))
    run = verify(packs, {"import_idle": 1.5})
    told = verdicts(run)
    assert told["culprit"] == (f"failed {reason}", False)
    assert {told[name] for name in ("a", "b", "c", "d", "with space")} == {("verified", True)}
    assert told["raises"][1] is False
    assert codes(run) == []


@pytest.mark.parametrize("tells", [True, False], ids=["tells which it tries", "does not tell"])
def test_several_of_them_are_found(verify: Verify, pack: MakePack, rig: Rig, tells: bool) -> None:
    """Also where ComfyUI's output does not tell whom it was importing: by halves."""
    if not tells:
        _edit_main(rig, 'logging.debug("Trying', 'logging.debug("')
    dying = "import os; os._exit(3)"
    packs = [pack(f"p{number}", dying if number in (2, 6, 7) else "") for number in range(9)]
    told = verdicts(verify(packs))
    assert {name for name, verdict in told.items() if verdict == ("failed import_exits", False)} == {"p2", "p6", "p7"}
    assert {name for name, verdict in told.items() if verdict == ("verified", True)} == {
        f"p{number}" for number in (0, 1, 3, 4, 5, 8)
    }


def test_a_pack_of_somebody_else_that_brings_comfyui_down_is_named(verify: Verify, pack: MakePack, rig: Rig) -> None:
    """The manifest's packs get their verdicts without it, and a warning says so. Its folder stays where it is."""
    (rig.custom_nodes / "foreign").mkdir()
    (rig.custom_nodes / "foreign" / "__init__.py").write_text("import os; os._exit(9)")
    run = verify([pack("a"), pack("b", "1/0")])
    assert verdicts(run)["a"] == ("verified", True)
    assert verdicts(run)["b"][1] is False
    assert codes(run) == ["other_pack_breaks_comfyui"]
    assert run.snapshot().warnings[0].message.startswith("foreign makes ComfyUI crash at its start")
    assert (rig.custom_nodes / "foreign" / "__init__.py").exists()


def test_an_innocent_one_is_not_blamed_for_what_another_began(verify: Verify, pack: MakePack) -> None:
    """One starts a thread that ends ComfyUI while the next one is imported: whoever is tried alone and imports is
    cleared."""
    bomb = "import os, threading; threading.Timer(0.15, lambda: os._exit(5)).start()"
    slow = "import threading; threading.Event().wait(0.3)"
    told = verdicts(verify([pack("bomb", bomb), pack("slow", slow), pack("good")]))
    assert told["good"] == ("verified", True)
    assert all(verdict is not False for _, verdict in told.values())


def test_several_that_only_together_bring_it_down_are_unknown(verify: Verify, pack: MakePack) -> None:
    """Nobody is called good or bad; the reason is a warning."""
    half = "import os, sys; sys.halves = getattr(sys, 'halves', 0) + 1\nif sys.halves > 1: os._exit(1)"
    run = verify([pack("one", half), pack("two", half), pack("other")])
    told = verdicts(run)
    assert {verdict for _, verdict in told.values()} <= {None, True}
    assert not any(state.startswith("failed") for state, _ in told.values())


def test_a_comfyui_that_does_not_start_leaves_all_unknown(verify: Verify, pack: MakePack, rig: Rig) -> None:
    """Packs stay installed, never verified, and the reason is a warning."""
    _edit_main(
        rig,
        "def main() -> None:",
        "def main() -> None:\n    raise RuntimeError('no such luck')\n\n\ndef old() -> None:",
    )
    run = verify([pack("good"), pack("bad", "1/0")])
    assert verdicts(run) == {"good": ("installed", None), "bad": ("installed", None)}
    assert codes(run) == ["imports_unknown"]
    assert "no such luck" in run.snapshot().warnings[0].message
    assert run.snapshot().phases[Phase.VERIFY].status is StepStatus.FAILED


def test_an_old_comfyui_without_its_table_leaves_all_unknown(verify: Verify, pack: MakePack, rig: Rig) -> None:
    """No table, no verdict."""
    _edit_main(rig, '"Import times for custom nodes:"', '"Loaded:"')
    assert verdicts(verify([pack("good")])) == {"good": ("installed", None)}


def test_an_old_comfyui_without_the_whitelist_can_find_nobody(verify: Verify, pack: MakePack, rig: Rig) -> None:
    """Where all import it gives its verdicts; where one brings it down, all are unknown, and no folder was moved."""
    _edit_main(
        rig,
        'parser.add_argument("--whitelist-custom-nodes", nargs="+", default=[])',
        "parser.set_defaults(whitelist_custom_nodes=[])",
    )
    assert verdicts(verify([pack("good")])) == {"good": ("verified", True)}
    run = verify([pack("good2"), pack("dying", "import os; os._exit(1)")])
    assert verdicts(run) == {"good2": ("installed", None), "dying": ("installed", None)}
    assert "too old" in run.snapshot().warnings[0].message


def test_a_pack_that_breaks_comfyui_itself_blames_nobody(verify: Verify, pack: MakePack, rig: Rig) -> None:
    """After the scripts ComfyUI does not start even without packs: that is no pack's import."""
    script = f"from pathlib import Path; Path({str(rig.ui_home / 'sqlite3.py')!r}).write_text('raise ImportError(1)')"
    run = verify([pack("wrecker", install_py=script), pack("good")])
    assert verdicts(run) == {"wrecker": ("installed", None), "good": ("installed", None)}
    assert "imports_unknown" in codes(run)


def test_a_pack_that_was_broken_afterwards_is_not_told_as_verified_again(
    verify: Verify, pack: MakePack, rig: Rig
) -> None:
    """A second run looks anew: what it says is what is so now."""
    packs = [pack("fragile"), pack("good")]
    assert verdicts(verify(packs)) == {"fragile": ("verified", True), "good": ("verified", True)}
    (rig.custom_nodes / "fragile" / "__init__.py").write_text("raise ValueError('bitten')\n")
    again = verify(packs)
    assert verdicts(again)["fragile"][1] is False
    assert again.state("fragile").startswith("failed")
    assert verdicts(again)["good"] == ("verified", True)


def test_no_pack_is_called_other_than_it_imports(verify: Verify, pack: MakePack) -> None:
    """Over a table of packs: verified are exactly those whose import runs through; failed are exactly the others."""
    table = {
        "plain": ("", True),
        "prints-a-table": ("print('Import times for custom nodes:\\n   0.0 seconds: /x/custom_nodes/plain')", True),
        "prints-a-failure": ("print('Cannot import /x/custom_nodes/plain module for custom nodes: no')", True),
        "warns": ("import warnings; warnings.warn('IMPORT FAILED')", True),
        "catches": ("import traceback\ntry:\n    1/0\nexcept ZeroDivisionError:\n    traceback.print_exc()", True),
        "colours": ("print('\\x1b[31mred\\x1b[0m\\r' * 50)", True),
        "long-output": ("print('x' * 300000)", True),
        "not-utf8": ("import sys; sys.stdout.buffer.write(bytes(range(256)))", True),
        "raises": ("raise ValueError('one\\ntwo\\nthree')", False),
        "chained": ("try:\n    1/0\nexcept ZeroDivisionError as e:\n    raise RuntimeError('outer') from e", False),
        "syntax": ("def (:", False),
        "recursion": ("def f(): f()\nf()", False),
        "missing": ("from comfy import nothing_there", False),
    }
    told = verdicts(verify([pack(name, code) for name, (code, _) in table.items()]))
    assert {name: verified for name, (_, verified) in told.items()} == {name: good for name, (_, good) in table.items()}
    for name, (state, verified) in told.items():
        assert state.startswith("verified" if verified else "failed"), name


def _edit_main(rig: Rig, old: str, new: str) -> None:
    main = rig.ui_home / "main.py"
    text = main.read_text()
    assert old in text
    main.write_text(text.replace(old, new))
