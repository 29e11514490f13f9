"""What a run says of its packs is so. ComfyUI is asked again, one pack in a process of its own, and not by the product:
nobody is called installed or verified who does not import, nobody who imports is called failed."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from app.protocol.snapshot import Node
from app.protocol.states import NodeState, StepStatus
from bench.faults.truth import imports_by
from test.plan.box import Box
from test.runner.rig import Run
from test.truth.grammar import REQUIREMENTS, SCRIPTS, Drawn, draw, furnish, made

# uv itself comes from the registry; the packages do not
pytestmark = [pytest.mark.registry, pytest.mark.slow, pytest.mark.long]

PACKS = 12
SEEDS = (1, 2, 3, 4)
LIMITS = {"retry_waits": [0, 0.05], "script_idle": 5, "import_idle": 8}
TRY_SECONDS = 9.0
GOOD, BAD = ("verified", True), ("failed", False)


def lies(box: Box, run: Run, drawn: list[Drawn]) -> list[str]:
    """What the run says that is not so."""
    snapshot = run.snapshot()
    unknown = [warning.message for warning in snapshot.warnings if warning.code == "imports_unknown"]
    return unknown + [f"{p}: {lie}" for p in drawn for lie in _lies_of(box, snapshot.nodes[p.name], p)]


def _lies_of(box: Box, node: Node, pack: Drawn) -> list[str]:
    found = [f"its {what} was {said} ({is_so} expected)" for what, said, is_so in _parts(node, pack) if said != is_so]
    if pack.nested:
        found += ["nested, and verified is known"] if node.verified is not None else []
        return found
    imports = _imports(box, pack.name)
    if node.verified is not imports:
        found.append(f"verified is {node.verified}, and it {'imports' if imports else 'does not import'}")
    if (node.state is NodeState.VERIFIED) is not imports or (node.state is NodeState.FAILED) is imports:
        found.append(f"{node.state}, and it {'imports' if imports else 'does not import'}")
    failed = not imports or StepStatus.FAILED in (node.requirements, node.script)
    if failed and not (node.error and node.error.message and node.error.hint):
        found.append("no reason, or no hint")
    if not failed and node.error:
        found.append(f"nothing failed, and the reason is {node.error.code}")
    return found


def _parts(node: Node, pack: Drawn) -> list[tuple[str, str, str]]:
    """Requirements and script: what is told and what must be, in words."""
    lines, can_be_had = REQUIREMENTS[pack.requirements]
    script, works = SCRIPTS[pack.script]
    parts = []
    if lines and can_be_had is not None:
        parts.append(("requirements", str(node.requirements), "success" if can_be_had else "failed"))
    if script:
        parts.append(("script", str(node.script), "success" if works else "failed"))
    return parts


def _imports(box: Box, name: str) -> bool:
    return imports_by(box.ui_home, box.ui_home / "venv" / "bin" / "python", box.home, name, TRY_SECONDS)


def _told(run: Run) -> dict[str, tuple[str, bool | None]]:
    return {name: (str(node.state), node.verified) for name, node in run.snapshot().nodes.items()}


@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_told_of_packs_by_chance_is_so(box: Box, seed: int) -> None:
    """States, verdicts, reasons and the parts' results; the torch family is what it was."""
    furnish(box)
    drawn = draw(seed, PACKS)
    run = box.run_of(*made(box, drawn), options={"verify": True}, limits=LIMITS)
    found = lies(box, run, drawn)
    assert not found, "\n".join(found)


def test_what_was_good_and_is_broken_afterwards_is_told_so(box: Box) -> None:
    """A pack's module is deleted; a package's files are gone while its metadata says that it is installed; a package
    that a pack needs and does not ask for is removed. A second run calls these failed, the others what they were."""
    furnish(box)
    box.have("beta")
    drawn = [
        Drawn("loses-its-module", "none", "none", "runs", False),
        Drawn("loses-files", "there", "none", "needs alpha", False),
        Drawn("loses-a-package", "none", "none", "needs beta", False),
        Drawn("loses-nothing", "torch", "none", "runs", False),
        Drawn("never-good", "none", "none", "raises", False),
    ]
    entries = made(box, drawn)
    first = box.run_of(*entries, options={"verify": True}, limits=LIMITS)
    assert not lies(box, first, drawn)
    assert _told(first) == {pack.name: GOOD for pack in drawn[:4]} | {"never-good": BAD}
    (box.custom_nodes / "loses-its-module" / "__init__.py").unlink()
    assert box.environment is not None
    shutil.rmtree(box.environment.packages / "alpha")
    argv = [str(box.uv), "pip", "uninstall", "-q", "--python", str(box.environment.python), "beta"]
    subprocess.run(argv, env=box.environ, check=True, capture_output=True)
    second = box.run_of(*entries, options={"verify": True}, limits=LIMITS)
    assert not lies(box, second, drawn)
    assert _told(second) == {pack.name: BAD for pack in drawn} | {"loses-nothing": GOOD}


def test_an_import_decides_over_what_failed_before_it(box: Box) -> None:
    """Requirements or a script failed: with a good import verified and the reason kept, with a bad one failed."""
    furnish(box)
    drawn = [
        Drawn("asks-and-imports", "missing", "none", "runs", False),
        Drawn("asks-and-does-not", "missing", "none", "raises", False),
        Drawn("runs-and-imports", "none", "makes, then fails", "needs what its script makes", False),
        Drawn("runs-and-does-not", "none", "fails", "needs what its script makes", False),
    ]
    run = box.run_of(*made(box, drawn), options={"verify": True}, limits=LIMITS)
    assert not lies(box, run, drawn)
    assert [run.state(pack.name) for pack in drawn] == [
        "verified requirement_not_found",
        "failed requirement_not_found",
        run.state("runs-and-imports"),
        "failed script_failed",
    ]
    assert run.state("runs-and-imports").startswith("verified script_")


def test_a_table_that_a_pack_printed_is_not_comfyuis(box: Box) -> None:
    """It looks like ComfyUI's own, and another pack then brings ComfyUI down: all are told all the same."""
    furnish(box)
    kinds = ["says that all is well", "exits well", "runs", "crashes", "says that all is well", "runs"]
    drawn = [Drawn(f"pack{number}", "none", "none", kind, False) for number, kind in enumerate(kinds)]
    run = box.run_of(*made(box, drawn), options={"verify": True}, limits=LIMITS)
    assert not lies(box, run, drawn)
