"""What each option does, through the real service and the real runner, on an instance behind a real sshd."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from app.protocol.options import OPTIONS
from app.standin.apt import StandInApt
from app.standin.git_rules import MISSING
from app.standin.packs import Pack, add_commit
from test.options.conftest import World
from test.runner.rig import git
from test.support.canary_packages import Canaries
from test.support.manager_copies import put_disabled
from test.support.package_index import PackageIndex
from test.support.running_comfyui import pids, running_comfyui
from test.support.service import Json
from test.support.waiting import wait_until

pytestmark = [pytest.mark.sshd, pytest.mark.registry]

LEAVES_A_MARK = "open('install-script-ran', 'w').close()\n"
REMOVES_THE_TOOL = """\
import pathlib, shutil, sysconfig
for path in pathlib.Path(sysconfig.get_path("purelib")).glob("middle_tool*"):
    shutil.rmtree(path)
"""


def code(progress: Json) -> str | None:
    """Why a task failed."""
    return progress["error"] and str(progress["error"]["code"])


def node(progress: Json, name: str) -> Json:
    """What became of a pack."""
    return next(dict(row) for row in progress["nodes"] if row["name"] == name)


def lock_of(*packs: Pack, **more: Any) -> Json:
    """A manifest that is a lock of these packs, as they are now."""
    entries = [{"name": pack.name, "repo_url": pack.url, "commit": pack.commit} for pack in packs]
    return {"lock": {"format": 1, "node_packs": entries, **more}}


# -- exact -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("other", "said"),
    [({"python": "2.7.18"}, "Python is"), ({"torch": {"version": "1.0.0+cu90", "cuda": "9.0"}}, "torch is")],
    ids=["python", "torch"],
)
def test_exact_refuses_a_lock_of_another_machine(world: World, other: Json, said: str) -> None:
    """Nothing is changed. Without `exact` as much as can be is installed."""
    name = f"exact-{next(iter(other))}"
    manifest, before = lock_of(world.pack(name), **other), world.packages
    refused = world.install(manifest=manifest, exact=True, verify=False)
    assert (refused["state"], code(refused)) == ("failed", "lock_mismatch")
    assert said in refused["error"]["message"]
    assert (world.there(name), world.packages) == (False, before)
    taken = world.install(manifest=manifest, verify=False)
    assert (taken["state"], world.there(name)) == ("completed", True)


def test_exact_refuses_a_package_that_cannot_be_had(world: World) -> None:
    manifest, before = lock_of(world.pack("exact-gone"), packages={"nowhere-to-be-had": "9.9"}), world.packages
    refused = world.install(manifest=manifest, exact=True, verify=False)
    assert (refused["state"], code(refused)) == ("failed", "lock_unavailable")
    assert (world.there("exact-gone"), world.packages) == (False, before)


def test_exact_puts_everything_back_when_it_fails_in_the_middle(world: World) -> None:
    """The packs are cloned and the package is installed; then a script breaks what the lock says."""
    world.index.wheel("middle-tool", "1.0")
    packs = [world.pack("exact-before"), world.pack("exact-middle", install_py=REMOVES_THE_TOOL)]
    manifest, before = lock_of(*packs, packages={"middle-tool": "1.0"}), world.packages
    failed = world.install(manifest=manifest, exact=True, verify=False)
    assert (failed["state"], code(failed)) == ("failed", "lock_not_exact")
    assert "Everything was put back." in failed["error"]["message"]
    assert not world.there("exact-before") and not world.there("exact-middle")
    assert world.packages == before


def test_exact_is_an_install_where_all_is_as_the_lock_says(world: World) -> None:
    world.index.wheel("exact-tool", "1.0")
    done = world.install(manifest=lock_of(world.pack("exact-good"), packages={"exact-tool": "1.0"}), exact=True)
    assert (done["state"], done["outcome"], world.there("exact-good")) == ("completed", "all", True)
    assert "exact_tool-1.0.dist-info" in world.packages


# -- what is installed, and how ---------------------------------------------------------------------------------------


def test_existing_says_what_becomes_of_a_pack_that_is_there(world: World) -> None:
    """Kept at its commit, brought to the newest in the same clone, or cloned anew."""
    pack = world.pack("existing")
    folder = world.standin.custom_nodes / "existing"
    world.install(pack, verify=False)
    same_clone = folder / ".git" / "of-this-clone"
    same_clone.touch()
    newer = add_commit(world.git, pack, {"new.txt": "new"})
    kept = node(world.install(pack, verify=False, existing="keep"), "existing")
    assert (kept["kept"], git(folder, "rev-parse", "HEAD")) == (True, pack.commit)
    world.install(pack, verify=False, existing="update")
    assert (git(folder, "rev-parse", "HEAD"), same_clone.exists()) == (newer.commit, True)
    again = world.install(pack, verify=False, existing="reinstall")
    assert again["outcome"] == "all", again
    assert not same_clone.exists()


def test_run_scripts_says_whether_install_scripts_run(world: World) -> None:
    packs = [world.pack(name, install_py=LEAVES_A_MARK) for name in ("script-left", "script-run")]
    assert world.install(packs[0], verify=False, run_scripts=False)["outcome"] == "all"
    assert world.install(packs[1], verify=False)["outcome"] == "all"
    marks = [world.standin.custom_nodes / pack.name / "install-script-ran" for pack in packs]
    assert [mark.exists() for mark in marks] == [False, True]


def test_verify_says_whether_comfyui_is_asked(world: World) -> None:
    pack = world.pack("verified")
    unasked, asked = world.install(pack, verify=False), world.install(pack)
    assert [node(each, "verified")["verified"] for each in (unasked, asked)] == [None, True]
    assert [node(each, "verified")["state"] for each in (unasked, asked)] == ["installed", "verified"]


def test_plan_only_plans_and_changes_nothing(world: World) -> None:
    world.index.wheel("planned-tool", "1.0")
    pack, before = world.pack("planned", requirements="planned-tool\n"), world.packages
    task_id = world.start(pack, plan_only=True)
    assert node(world.service.ended(task_id), "planned")["error"]["code"] == "plan_only"
    assert [change["package"] for change in world.service.get(f"/tasks/{task_id}")["plan"]] == ["planned-tool"]
    assert (world.there("planned"), world.packages) == (False, before)


def test_build_for_plan_says_whether_a_plan_may_build(world: World, tmp_path: Path) -> None:
    """Without it the plan names what would be built."""
    canaries = Canaries(tmp_path / "canaries")
    world.index.file("planned-build", "planned_build-1.0.tar.gz", canaries.archive("planned-build"))
    pack = world.pack("to-be-built", requirements="planned-build\n")
    found = {}
    for build in (False, True):
        task_id = world.start(pack, plan_only=True, build_for_plan=build)
        why = node(world.service.ended(task_id), "to-be-built")["error"]["code"]
        plan = world.service.get(f"/tasks/{task_id}")["plan"]
        found[build] = (why, [(each["package"], each["new"], each["needs_build"]) for each in plan], len(canaries.ran))
    assert found == {
        False: ("plan_incomplete", [("planned-build", None, True)], 0),
        True: ("plan_only", [("planned-build", "1.0", True)], 1),
    }


def test_on_failure_says_what_becomes_of_the_others(world: World) -> None:
    """Of a pack that is good, when another one is not."""
    good, gone = world.pack("beside-a-failure"), world.pack("missing-for-on-failure")
    world.git.set_rule(gone.repo, MISSING)
    undone = world.install(good, gone, verify=False, on_failure="rollback")
    assert (undone["state"], code(undone), world.there(good.name)) == ("failed", "rolled_back", False)
    kept = world.install(good, gone, verify=False)
    assert (kept["state"], kept["outcome"], world.there(good.name)) == ("completed", "partial", True)


def needing(world: World, name: str, body: str = "") -> Pack:
    """A pack that fails with the newest version of a library of its own, and asks for an older one."""
    library = f"lib_{name}"
    for version in ("1.0", "2.0"):
        world.index.wheel(library, version, modules={f"{library}.py": f"version = {version!r}\n"})
    world.install(world.pack(f"before-{name}", requirements=f"{library}\n"), verify=False)
    code = f"{body}\nimport {library}\nif {library}.version != '1.0': from {library} import gone\n"
    files = {"__init__.py": f"{code}NODE_CLASS_MAPPINGS = {{{name!r}: object}}\n"}
    return world.pack(name, files=files, requirements=f"{library}<2\n")


def test_repair_says_what_becomes_of_versions_that_help(world: World) -> None:
    """They are suggested and brought by one request, which is a task that can be rolled back; applied at once; or not
    looked for."""
    suggested = world.start(needing(world, "suggested"))
    found = world.service.ended(suggested)
    assert node(found, "suggested")["state"] == "failed"
    assert found["repair"]["state"] == "found", found["repair"]
    assert found["repair"]["packages"] == [{"package": "lib-suggested", "old": "2.0", "new": "1.0"}]
    assert "lib_suggested-2.0.dist-info" in world.packages
    answer = world.service.post(f"/tasks/{suggested}/repair", {})
    assert (answer.status_code, answer.json()["repair_of"]) == (202, suggested)
    repaired = answer.json()["task_id"]
    done = world.service.ended(repaired)
    assert (done["outcome"], node(done, "suggested")["verified"]) == ("all", True), done
    assert "lib_suggested-1.0.dist-info" in world.packages
    assert world.service.post(f"/tasks/{repaired}/repair", {}).json()["error"] == "nothing_to_repair"
    undone = world.service.post(f"/tasks/{repaired}/rollback", {}).json()["task_id"]
    assert world.service.ended(undone)["state"] == "completed"
    assert "lib_suggested-2.0.dist-info" in world.packages
    applied = world.install(needing(world, "applied"), repair="apply")
    assert (applied["repair"]["state"], node(applied, "applied")["verified"]) == ("applied", True)
    assert "lib_applied-1.0.dist-info" in world.packages
    off = world.install(needing(world, "notlookedfor"), repair="off")
    assert (off["repair"], node(off, "notlookedfor")["verified"]) == (None, True)


def test_repair_seconds_says_how_long_it_is_looked_for(world: World) -> None:
    body = "import sys, threading\nif '.nodeferry' in sys.prefix: threading.Event().wait(60)"
    done = world.install(needing(world, "slow", body), repair_seconds=2)
    assert (done["state"], done["repair"]["state"]) == ("completed", "nothing")
    assert done["repair"]["ended"] == "the time that it may take was over (2 s)"


def test_wheelhouse_says_where_wheels_of_ones_own_are(world: World, tmp_path: Path) -> None:
    """A folder on the instance; what it has need not be on the registry."""
    with PackageIndex(tmp_path / "own") as own:
        own.wheel("wheelhouse-tool", "1.0")
        folder = str(own.folder / "simple" / "wheelhouse-tool")
    without = world.install(world.pack("without-wheelhouse", requirements="wheelhouse-tool\n"), verify=False)
    assert node(without, "without-wheelhouse")["error"]["code"] == "requirement_not_found"
    pack = world.pack("with-wheelhouse", requirements="wheelhouse-tool\n")
    task_id = world.start(pack, verify=False, wheelhouse=folder)
    assert world.service.ended(task_id)["outcome"] == "all"
    assert [change["wheel"] for change in world.service.get(f"/tasks/{task_id}")["plan"]] == ["wheelhouse"]
    assert "wheelhouse_tool-1.0.dist-info" in world.packages


def test_ask_says_whether_a_run_waits_for_an_answer(world: World) -> None:
    """With `never` what changes least is done at once; a follow-up of a task that asks asks too."""
    pack = world.pack("asked-about")
    put_disabled(world.standin.custom_nodes, pack.name)
    unasked = world.install(pack, verify=False)
    assert [warning["code"] for warning in unasked["warnings"]] == ["question_not_asked"]
    task_id = world.start(pack, verify=False, ask="ask")
    wait_until(lambda: world.service.get(f"/tasks/{task_id}")["progress"]["questions"], 60, "it asks")
    assert world.service.post(f"/tasks/{task_id}/answer", {"id": "q1", "answer": "install"}).status_code == 202
    assert world.service.ended(task_id)["outcome"] == "all"
    assert world.there(pack.name)


def test_which_comfyui_says_how_sure_the_run_is_to_be(world: World) -> None:
    """Where a folder has to be confirmed and nobody is asked, nothing is begun; one that was named is confirmed."""
    pack = world.pack("in-the-right-one")
    with running_comfyui(world.standin):
        asked = {"manifest": {"urls": [pack.url]}, "options": {"wait_seconds": 0, "which_comfyui": "confirmed"}}
        unnamed = world.service.ended(world.service.install(world.standin.ssh_command, **asked))
        assert code(unnamed) == "ui_home_ambiguous"
        assert str(world.standin.ui_home) in unnamed["error"]["message"]
    assert not world.there(pack.name)
    assert world.install(pack, verify=False, which_comfyui="confirmed")["outcome"] == "all"


def test_allow_yanked_names_withdrawn_versions_that_may_be_installed(world: World) -> None:
    """For a package that needs exactly that one."""
    world.index.wheel("withdrawn-tool", "1.0")
    world.index.yank("withdrawn-tool")
    world.index.wheel("over-withdrawn", "1.0", ["withdrawn-tool==1.0"])
    pack = world.pack("wants-withdrawn", requirements="over-withdrawn\n")
    refused = world.install(pack, verify=False)
    assert node(refused, pack.name)["error"]["code"] == "package_yanked"
    done = world.install(pack, verify=False, allow_yanked=["withdrawn-tool==1.0"])
    assert (done["outcome"], "withdrawn_tool-1.0.dist-info" in world.packages) == ("all", True)


def test_require_says_how_many_packs_make_a_success(world: World) -> None:
    good, gone = world.pack("good-for-require"), world.pack("missing-for-require")
    world.git.set_rule(gone.repo, MISSING)
    each = [world.install(good, gone, verify=False, require=require) for require in ("any", "all")]
    assert [(done["outcome"], done["success"]) for done in each] == [("partial", True), ("partial", False)]


def test_restart_restarts_a_running_comfyui(world: World) -> None:
    pack = world.pack("restarted")
    with running_comfyui(world.standin):
        before = pids(world.standin)
        world.install(pack, verify=False)
        assert pids(world.standin) == before
        done = world.install(pack, restart=True)
        after = pids(world.standin)
    assert done["outcome"] == "all", done
    assert after and before and set(after).isdisjoint(before)


# -- how the instance is reached, and when ----------------------------------------------------------------------------


@pytest.fixture
def away(world: World) -> Iterator[World]:
    """The instance cannot be reached; at the end it can."""
    world.standin.stop_sshd()
    try:
        yield world
    finally:
        world.standin.stop_sshd()
        world.standin.start_sshd()


def test_wait_seconds_says_how_long_an_instance_may_take(away: World) -> None:
    pack = away.pack("waited-for")
    assert code(away.install(pack, verify=False)) == "connect_failed"
    task_id = away.start(pack, verify=False, wait_seconds=60)
    wait_until(lambda: away.service.progress(task_id)["message_code"] == "waiting_for_instance", 20, "it waits")
    away.standin.start_sshd()
    assert away.service.ended(task_id)["outcome"] == "all"


def test_auto_retry_repeats_what_may_pass(away: World) -> None:
    """By itself, as a task of its own; without it nothing comes."""
    pack = away.pack("retried")
    alone, first = away.start(pack, verify=False), away.start(pack, verify=False, auto_retry=5)
    assert [code(away.service.ended(task_id)) for task_id in (alone, first)] == ["connect_failed"] * 2

    def newest(task_id: str) -> str:
        following = away.service.get(f"/tasks/{task_id}")["retried_by"]
        return newest(following) if following else task_id

    wait_until(lambda: newest(first) != first, 20, "it is retried")
    away.standin.start_sshd()
    wait_until(lambda: away.service.progress(newest(first)).get("outcome") == "all", 60, "a retry succeeds")
    assert newest(alone) == alone


def test_host_key_sha256_is_the_only_key_that_is_accepted(world: World) -> None:
    pack = world.pack("by-its-key")
    refused = world.install(pack, verify=False, host_key_sha256="SHA256:" + "A" * 43)
    assert (refused["state"], code(refused), world.there(pack.name)) == ("failed", "host_key_mismatch", False)
    done = world.install(pack, verify=False, host_key_sha256=world.standin.host_key_sha256)
    assert (done["outcome"], world.there(pack.name)) == ("all", True)


def test_first_contact_says_whether_a_new_machine_is_trusted_unasked(world: World) -> None:
    pack, address = world.pack("first-met"), f"127.0.0.1:{world.standin.port}"
    forgotten = requests.delete(f"{world.service.url}/host-keys/{address}", json={}, timeout=10)
    assert forgotten.status_code in {200, 404}
    refused = world.install(pack, verify=False, first_contact="ask")
    assert (refused["state"], code(refused), world.there(pack.name)) == ("failed", "host_key_unknown", False)
    assert world.service.get("/host-keys")["host_keys"] == []
    assert world.install(pack, verify=False)["outcome"] == "all"


@pytest.mark.alone  # every other run on this machine would wait for the mark
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may make /workspace")
def test_wait_for_provisioning_says_whether_the_image_is_waited_for(world: World, mark: Path) -> None:
    """A rollback of an install that did not wait does not wait either."""
    pack = world.pack("provisioned")
    at_once = world.start(pack, verify=False, wait_for_provisioning=False)
    assert world.service.ended(at_once)["outcome"] == "all"
    undone = world.service.post(f"/tasks/{at_once}/rollback", {}).json()["task_id"]
    assert world.service.ended(undone)["state"] == "completed"
    assert mark.exists() and not world.there(pack.name)
    task_id = world.start(pack, verify=False)
    wait_until(lambda: world.service.progress(task_id)["message_code"] == "provisioning", 20, "it waits")
    mark.unlink()
    assert world.service.ended(task_id)["outcome"] == "all"


def test_every_option_has_a_test_here() -> None:
    """By its name."""
    named = [name.removeprefix("test_") for name in globals() if name.startswith("test_")]
    assert [option for option in OPTIONS if not any(name.startswith(f"{option}_") for name in named)] == []


def test_system_packages_says_whether_apt_get_brings_what_is_missing(world: World, tmp_path: Path) -> None:
    """install.py lacks a program; the instance's apt-get is one of ours, which the login finds first."""
    apt = StandInApt(tmp_path / "apt", ["ffmpeg"])
    file = apt.file_of("ffmpeg")
    script = f"import os, sys\nif not os.path.exists({str(file)!r}):\n    sys.exit('ffmpeg: command not found')\n"
    bashrc = world.standin.home / ".bashrc"
    before = bashrc.read_text() if bashrc.exists() else None
    bashrc.write_text(f"export PATH={apt.bin}:$PATH\n{before or ''}")
    try:
        without = world.install(world.pack("lacks-a-program", install_py=script), verify=False)
        pack = world.pack("gets-a-program", install_py=script)
        found = world.install(pack, verify=False, system_packages="install")
    finally:
        bashrc.unlink() if before is None else bashrc.write_text(before)
    error = node(without, "lacks-a-program")["error"]
    assert error["code"] == "program_missing" and "apt-get install -y ffmpeg" in error["hint"]
    if os.geteuid() == 0:
        assert node(found, "gets-a-program")["status"] == "success" and file.exists(), found
    else:
        assert "system_packages_failed" in [each["code"] for each in found["warnings"]]


def test_policies_are_stricter_rules_for_one_install(world: World) -> None:
    """What the service allows a request can refuse."""
    pack = world.pack("with-policies", install_py=LEAVES_A_MARK)
    mark = world.standin.custom_nodes / pack.name / "install-script-ran"
    refused = world.install(pack, verify=False, policies=["scripts=refuse"])
    assert (node(refused, pack.name)["error"]["code"], mark.exists()) == ("script_refused", False)
    assert world.install(pack, verify=False)["outcome"] == "all"
    assert mark.exists()
