"""ComfyUIs that have their packs elsewhere than beside their main.py: real ones run so, and packs come there."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from app.protocol import task_list
from app.protocol.states import Phase, StepStatus
from app.runner.process.processes import arguments_of
from app.standin.git_server import GitServer
from app.standin.packs import Pack
from test.runner.rig import Rig, Run, node
from test.support.waiting import wait_until
from test.verify.conftest import Verify
from test.verify.test_restart import Running

pytestmark = pytest.mark.slow
MakePack = Callable[..., Pack]
WHERE = "import folder_paths\nassert folder_paths.get_folder_paths('custom_nodes')[0] == %r\n"


@contextmanager
def running(rig: Rig, *options: str) -> Iterator[Running]:
    """A ComfyUI that runs with these options, for the block."""
    comfyui = Running(rig, *options)
    comfyui.start()
    try:
        yield comfyui
    finally:
        comfyui.end()


def codes(run: Run) -> list[str]:
    return [warning.code for warning in run.snapshot().warnings]


def test_packs_go_to_the_base_directory_of_the_one_that_runs(
    rig: Rig, verify: Verify, pack: MakePack, tmp_path: Path
) -> None:
    """`--base-directory ../base`: they are cloned, checked, loaded after the restart and rolled back there. ComfyUI's
    own folder is left alone. The restarted one has the same options."""
    base = rig.ui_home.parent / "base"
    base.mkdir()
    packs = [pack("fresh", WHERE % str(base / "custom_nodes")), pack("bad", "1/0")]
    with running(rig, "--base-directory", "../base") as comfyui:
        run = verify(packs, restart=True)
        (pid,) = comfyui.pids()
        assert arguments_of(pid)[-2:] == ["--base-directory", "../base"]
        assert "fresh" in comfyui.ask("object_info")
    assert (run.state("fresh"), run.state("bad")) == ("verified", "failed import_failed")
    assert codes(run) == []
    assert run.snapshot().steps[task_list.RESTART].status is StepStatus.SUCCESS
    assert sorted(path.name for path in (base / "custom_nodes").iterdir() if path.name[0] not in "._") == [
        "bad",
        "fresh",
    ]
    assert not (rig.custom_nodes / "fresh").exists()
    assert f"packs go to {base}/custom_nodes" in run.snapshot().phases[Phase.PROBE].detail
    undone = rig.start({"nodes": []}, rollback_of=run.task_id)
    undone.wait()
    assert not (base / "custom_nodes" / "fresh").exists()
    assert [path.name for path in rig.custom_nodes.iterdir()] == []


def test_the_base_directory_may_be_given_as_comfyuis_folder(rig: Rig, verify: Verify, pack: MakePack) -> None:
    """Two run from one folder, each with a base directory: which one is meant is said by giving it. Only that one is
    restarted. Without that the run fails, and names both."""
    bases = [rig.ui_home.parent / name for name in ("one", "two")]
    for base in bases:
        (base / "custom_nodes").mkdir(parents=True)
    with running(rig, "--base-directory", str(bases[0])), running(rig, "--base-directory", str(bases[1])) as second:
        run = verify([pack("fresh")])
        error = run.snapshot().error
        assert error is not None
        assert error.code == "ui_home_ambiguous"
        assert all(str(base) in error.message for base in bases)
        before = set(second.pids())
        run = rig.install([node(pack("later"))], ui_home=str(bases[1]), options={"verify": True, "restart": True})
        assert run.state("later") == "verified", run.snapshot()
        assert len(before & set(second.pids())) == 1
        assert "later" in second.ask("object_info")
        assert (bases[1] / "custom_nodes" / "later").is_dir()
        assert not (bases[0] / "custom_nodes" / "later").exists()
        rig.start({"nodes": []}, rollback_of=run.task_id).wait()
        assert not (bases[1] / "custom_nodes" / "later").exists()


@pytest.mark.parametrize("said", ["file", "variable", "for another one", "gone"])
def test_where_none_runs_what_starts_it_says_where(rig: Rig, pack: MakePack, said: str) -> None:
    """RunPod's file of arguments, and a variable of vast.ai's images. Not a folder that does not exist."""
    base = rig.ui_home.parent / "base"
    if said != "gone":
        base.mkdir()
    if said == "file":
        (rig.ui_home.parent / "comfyui_args.txt").write_text(f"# mine\n--base-directory\n{base}\n")
    else:
        rig.environ["COMFYUI_ARGS"] = f"--listen --base-directory={base}"
    run = rig.install([node(pack("fresh"))])
    assert run.state("fresh") == "installed"
    assert (rig.custom_nodes / "fresh").is_dir() is (said == "gone")
    assert (base / "custom_nodes" / "fresh").is_dir() is (said != "gone")


def test_a_pack_in_another_folder_of_packs_is_not_brought_twice(
    rig: Rig, verify: Verify, pack: MakePack, git_server: GitServer
) -> None:
    """extra_model_paths.yaml has a folder of custom_nodes, and so has a file that the running one was given. What is
    there is kept, under whatever name, and checked with the others; an update does not touch it and says why. The
    folder that comes with a slash at its end is ComfyUI's own."""
    shared, more = rig.home / "shared", rig.home / "more" / "nodes"
    shared.mkdir()
    more.mkdir(parents=True)
    made = [pack("kept"), pack("also")]
    subprocess.run(["git", "clone", "-q", made[0].url, shared / "renamed-by-me"], check=True, env=rig.environ)
    subprocess.run(["git", "clone", "-q", made[1].url, more / "also"], check=True, env=rig.environ)
    text = (
        f"# mine\nown:\n  base_path: {rig.ui_home}\n  custom_nodes: custom_nodes/\nshared:\n  custom_nodes: {shared}/\n"
    )
    (rig.ui_home / "extra_model_paths.yaml").write_text(text)
    (rig.home / "more" / "more.yaml").write_text("x:\n  custom_nodes: nodes\n  loras: elsewhere\n")
    with running(rig, "--extra-model-paths-config", str(rig.home / "more" / "more.yaml")):
        run = verify([*made, pack("fresh")], restart=True)
        again = verify([made[0]], existing="update")
    states = {name: run.state(name) for name in ("kept", "also", "fresh")}
    assert states == {"kept": "verified", "also": "verified", "fresh": "verified"}
    assert [path.name for path in rig.custom_nodes.iterdir() if path.name[0] not in "._"] == ["fresh"]
    assert again.state("kept") == "failed pack_elsewhere"
    assert str(shared / "renamed-by-me") in again.snapshot().nodes["kept"].error.message  # type: ignore[union-attr]
    assert codes(run) == []


def test_a_default_folder_of_packs_gets_them(rig: Rig, verify: Verify, pack: MakePack) -> None:
    """`is_default`: ComfyUI has it first, and ComfyUI-Manager installs there too."""
    shared = rig.home / "shared"
    shared.mkdir()
    text = f"shared:\n  custom_nodes: {shared}\n  is_default: true\n"
    (rig.ui_home / "extra_model_paths.yaml").write_text(text)
    run = verify([pack("fresh"), pack("bad", "1/0")])
    assert (run.state("fresh"), run.state("bad")) == ("verified", "failed import_failed")
    assert (shared / "fresh").is_dir()
    assert not (rig.custom_nodes / "fresh").exists()


@pytest.mark.parametrize("text", ["a: [", "&x a: *x\n", "- 1\n", "a: 3\nb:\n  custom_nodes: [1]\n", "\0", "a" * 4000])
def test_a_list_of_folders_that_cannot_be_read_stops_nothing(rig: Rig, pack: MakePack, text: str) -> None:
    """It is told, where it is no YAML at all."""
    (rig.ui_home / "extra_model_paths.yaml").write_text(text)
    run = rig.install([node(pack("fresh"))])
    assert run.state("fresh") == "installed"
    assert set(codes(run)) <= {"extra_paths_unreadable"}


def test_one_that_loads_no_packs_is_told(rig: Rig, verify: Verify, pack: MakePack) -> None:
    """`--disable-all-custom-nodes` is left over from a search for a fault: the packs are good, and not loaded."""
    with running(rig, "--disable-all-custom-nodes", "--whitelist-custom-nodes", "listed") as comfyui:
        run = verify([pack("listed"), pack("fresh")], restart=True)
        assert "listed" in comfyui.ask("object_info")
    assert (run.state("listed"), run.state("fresh")) == ("verified", "verified")
    told = {warning.code: warning.message for warning in run.snapshot().warnings}
    assert "it loads no packs but listed" in told["packs_switched_off"]


def test_which_one_was_taken_is_told_where_nobody_said_it(rig: Rig, pack: MakePack) -> None:
    """No folder is given: it is the running one's; the phase says whose it is."""
    with running(rig) as comfyui:
        run = rig.install([node(pack("fresh"))], ui_home=None, options={"ask": "never"})
        (pid,) = comfyui.pids()
    if run.snapshot().error is not None:  # others run on this machine just now
        assert run.snapshot().error.code == "ui_home_ambiguous"  # type: ignore[union-attr]
        assert str(rig.ui_home) in run.snapshot().error.message  # type: ignore[union-attr]
    else:
        assert f"process {pid}" in run.snapshot().phases[Phase.PROBE].detail


def test_a_killed_run_is_settled_in_the_base_directory(rig: Rig, pack: MakePack) -> None:
    """Its sweep removes what it had begun there."""
    base = rig.ui_home.parent / "base"
    base.mkdir()
    rig.environ["COMFYUI_ARGS"] = f"--base-directory {base}"
    script = {"install.py": "import threading; threading.Event().wait(60)"}
    run = rig.start([node(pack("slow", files=script))])
    wait_until((base / "custom_nodes" / "slow").is_dir, 30, "it is cloned")
    os.kill(run.answer["pid"], signal.SIGKILL)
    wait_until(run.is_over, 30, "it is gone")
    run.sweep()
    assert [path.name for path in (base / "custom_nodes").iterdir()] == ["slow"]


def test_a_rollback_in_a_default_folder_touches_nothing_beside_it(rig: Rig, pack: MakePack) -> None:
    """The folder of packs is not in the base directory: a rollback removes the pack from it."""
    shared = rig.home / "shared" / "nodes"
    shared.mkdir(parents=True)
    text = f"shared:\n  base_path: {rig.home / 'shared'}\n  custom_nodes: nodes\n  is_default: true\n"
    (rig.ui_home / "extra_model_paths.yaml").write_text(text)
    run = rig.install([node(pack("fresh"))])
    assert (shared / "fresh").is_dir()
    rig.start({"nodes": []}, rollback_of=run.task_id).wait()
    assert list(shared.iterdir()) == []
