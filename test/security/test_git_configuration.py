"""A repository's own configuration runs nothing, whatever a run does in it; the machine's own goes on counting, and
nobody's work is lost for it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from app.protocol.events import Warned
from app.standin.git_rules import PRIVATE
from app.standin.git_server import GitServer
from app.standin.packs import Pack, add_commit, make_pack
from test.runner.conftest import old_python, rig, rig_factory, uv_rig
from test.runner.rig import Rig, Run, git, node

__all__ = ["old_python", "rig", "rig_factory", "uv_rig"]
pytestmark = pytest.mark.slow
_HOOKS = (
    "post-checkout",
    "post-merge",
    "reference-transaction",
    "fsmonitor-watchman",
    "post-index-change",
    "pre-auto-gc",
)
_MODES = {
    "keep": {"existing": "keep"},
    "update": {"existing": "update"},
    "reinstall": {"existing": "reinstall"},
    "plan": {"existing": "update", "plan_only": True},
}


def message(run: Run, name: str) -> str:
    error = run.snapshot().nodes[name].error
    return f"{error.message} {error.hint}" if error else ""


class Trap:
    """A program that leaves a word where it was run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()

    def program(self, word: str) -> str:
        path = self.folder / f"{word}.sh"
        path.write_text(f"#!/bin/sh\ntouch {self.folder}/ran-{word}\nexec cat\n")
        path.chmod(0o755)
        return str(path)

    @property
    def ran(self) -> set[str]:
        return {path.name for path in self.folder.glob("ran-*")}


def hooks_in(own: Path, trap: Trap) -> None:
    (own / "hooks").mkdir(parents=True, exist_ok=True)
    for name in _HOOKS:
        shutil.copy(trap.program(f"hook-{name}"), own / "hooks" / name)


def poison(own: Path, trap: Trap) -> None:
    """What a `.git` may have of keys that name programs. One stands in an included file, under a condition."""
    keys = {
        "core.fsmonitor": trap.program("fsmonitor"),
        "core.hooksPath": str(own / "hooks"),
        "core.sshCommand": trap.program("ssh"),
        "core.alternateRefsCommand": trap.program("alternates"),
        "core.pager": trap.program("pager"),
        "core.editor": trap.program("editor"),
        "core.askPass": trap.program("askpass"),
        "credential.helper": f"!{trap.program('credential')}",
        "credential.http://127.0.0.1.helper": f"!{trap.program('credential-of-address')}",
        "filter.evil.clean": trap.program("clean"),
        "filter.evil.process": trap.program("process"),
        "filter.evil.required": "true",
        "diff.external": trap.program("diff"),
        "diff.evil.command": trap.program("diff-command"),
        "diff.evil.textconv": trap.program("textconv"),
        "merge.evil.driver": trap.program("merge"),
        "gpg.program": trap.program("gpg"),
        "log.showSignature": "true",
        "remote.origin.uploadpack": trap.program("uploadpack"),
        "uploadpack.packObjectsHook": trap.program("pack-objects"),
        "alias.lfs": f"!{trap.program('lfs')}",
        "init.templateDir": str(own / "template"),
        "hook.evil.command": trap.program("named-hook"),
        "hook.evil.event": "post-checkout",
        "lfs.standalonetransferagent": "evil",
        "lfs.customtransfer.evil.path": trap.program("lfs-transfer"),
        "fetch.bundleURI": f"ext::{trap.program('bundle')}",
        "submodule.recurse": "true",
        "includeIf.onbranch:**.path": "more",
    }
    put(own / "config", keys)
    put(own / "more", {"filter.evil.smudge": trap.program("smudge")})
    hooks_in(own, trap)
    hooks_in(own / "template", trap)


def put(config: Path, keys: Mapping[str, str]) -> None:
    """As `git config` writes them, in one go."""
    with config.open("a") as file:
        for key, value in keys.items():
            section, _, name = key.partition(".")
            subsection, _, name = name.rpartition(".")
            head = f'{section} "{subsection}"' if subsection else section
            file.write(f'[{head}]\n\t{name} = "{value}"\n')


def restless(folder: Path) -> None:
    """git has to look at each file again."""
    for path in folder.rglob("*"):
        if ".git" not in path.parts and path.is_file():
            os.utime(path)


@pytest.fixture
def trap(tmp_path: Path) -> Trap:
    return Trap(tmp_path / "trap")


@pytest.fixture
def pack(git_server: GitServer) -> Pack:
    attributes = "* filter=evil diff=evil merge=evil\n"
    return make_pack(git_server, "o", "pack", files={".gitattributes": attributes, "a.txt": "a\n"})


@pytest.mark.parametrize("mode", _MODES)
def test_a_folder_s_own_git_configuration_runs_nothing(
    rig: Rig, git_server: GitServer, pack: Pack, trap: Trap, mode: str
) -> None:
    """The pack is kept, updated or planned all the same, and the warning names the keys."""
    there = rig.custom_nodes / "pack"
    git(rig.custom_nodes, "clone", "-q", pack.url, "pack")
    poison(there / ".git", trap)
    restless(there)
    newer = add_commit(git_server, pack, {"a.txt": "b\n", "new.txt": "n\n"})
    run = rig.install([node(pack)], options=_MODES[mode])
    assert not trap.ran
    assert run.state("pack") == ("skipped plan_only" if mode == "plan" else "installed"), message(run, "pack")
    wanted = pack.commit if mode in {"keep", "plan"} else newer.commit
    assert commit_of(there) == wanted
    told = [each.message for each in run.told(Warned, code="git_config_ignored")]
    assert len(told) == 1, told
    assert "core.sshcommand" in told[0] or "core.fsmonitor" in told[0]


def commit_of(folder: Path) -> str:
    """As the files say, without git."""
    head = (folder / ".git" / "HEAD").read_text().strip()
    return (folder / ".git" / head[5:]).read_text().strip() if head.startswith("ref: ") else head


def test_a_rollback_runs_nothing_of_it(uv_rig: Rig, git_server: GitServer, pack: Pack, trap: Trap) -> None:
    """What the run's own scripts have written into `.git` afterwards, too."""
    git(uv_rig.custom_nodes, "clone", "-q", pack.url, "pack")
    add_commit(git_server, pack, {"a.txt": "b\n"})
    done = uv_rig.install([node(pack)], options={"existing": "update"})
    poison(uv_rig.custom_nodes / "pack" / ".git", trap)
    restless(uv_rig.custom_nodes / "pack")
    back = uv_rig.install(None, rollback_of=done.task_id)
    assert back.snapshot().nodes["pack"].state, back.said()
    assert not trap.ran
    assert commit_of(uv_rig.custom_nodes / "pack") == pack.commit


def test_a_submodule_s_own_configuration_runs_nothing(rig: Rig, git_server: GitServer, trap: Trap) -> None:
    """In `.git/modules`, also of one that is not checked out, and the command that is to update it."""
    inner = make_pack(git_server, "o", "inner", files={".gitattributes": "* filter=evil\n"})
    modules = f'[submodule "lib"]\n\tpath = lib\n\turl = {inner.url}\n'
    outer = make_pack(git_server, "o", "outer", submodules={"lib": inner}, files={".gitmodules": modules})
    git(rig.custom_nodes, "clone", "-q", "--recurse-submodules", outer.url, "outer")
    there = rig.custom_nodes / "outer"
    poison(there / ".git" / "modules" / "lib", trap)
    git(there, "config", "submodule.lib.update", f"!{trap.program('update')}")
    git(there, "config", "protocol.ext.allow", "always")
    shutil.rmtree(there / "lib")
    (there / "lib").mkdir()
    add_commit(git_server, outer, {"new.txt": "n\n"})
    run = rig.install([node(outer)], options={"existing": "update"})
    assert run.state("outer") == "installed", message(run, "outer")
    assert (there / "lib" / "VERSION").exists()
    assert not trap.ran


def elsewhere(there: Path, trap: Trap) -> None:
    git(there, "config", "core.worktree", str(trap.folder))


def named_oddly(there: Path, trap: Trap) -> None:
    git(there, "config", "filter.plain.clean", trap.program("clean"))
    config = there / ".git" / "config"
    config.write_text(config.read_text().replace('"plain"', '"a=b"'))


def proxied(there: Path, trap: Trap) -> None:
    git(there, "config", "core.gitProxy", trap.program("proxy"))


def pipe(there: Path, trap: Trap) -> None:
    os.mkfifo(there / ".git" / "config.worktree")


DAMAGES = (elsewhere, named_oddly, proxied, pipe)


def test_a_folder_in_which_git_cannot_be_kept_from_harm_is_left_alone(
    rig: Rig, git_server: GitServer, tmp_path: Path
) -> None:
    """Told, and nothing is written anywhere."""
    names = [damage.__name__ for damage in DAMAGES]
    packs = [make_pack(git_server, "o", name, files={"a.txt": "a\n"}) for name in names]
    traps = [Trap(tmp_path / name) for name in names]
    for damage, pack, trap in zip(DAMAGES, packs, traps, strict=True):
        git(rig.custom_nodes, "clone", "-q", pack.url, pack.name)
        damage(rig.custom_nodes / pack.name, trap)
        add_commit(git_server, pack, {"a.txt": "b\n"})
    run = rig.install([node(pack) for pack in packs], options={"existing": "update"})
    for pack, trap in zip(packs, traps, strict=True):
        assert run.state(pack.name) == "failed git_config_refused", pack.name
        assert "untouched" in message(run, pack.name)
        assert ".git/config" in message(run, pack.name)
        assert not trap.ran
        assert not (trap.folder / "a.txt").exists()
        assert commit_of(rig.custom_nodes / pack.name) == pack.commit


def test_a_repository_among_a_pack_s_files_is_not_worked_in(rig: Rig, pack: Pack, trap: Trap, tmp_path: Path) -> None:
    """Its own `.git` is broken, and the folder itself is made like a bare repository: git would take it for one."""
    there = rig.custom_nodes / "pack"
    git(rig.custom_nodes, "clone", "-q", "--bare", pack.url, "pack")
    (there / ".git").mkdir()
    poison(there, trap)
    run = rig.install([node(pack)], options={"existing": "update"})
    assert run.state("pack").startswith("failed"), run.state("pack")
    assert not trap.ran


def test_the_machine_s_own_configuration_goes_on_counting(rig: Rig, git_server: GitServer, trap: Trap) -> None:
    """Its filters and its helper for logins run, beside a folder's that name others; git-lfs's own filter and hooks
    are told to nobody."""
    pack = make_pack(git_server, "o", "pack", files={".gitattributes": "*.txt filter=mine\n", "a.txt": "a\n"})
    git(rig.custom_nodes, "clone", "-q", pack.url, "pack")
    there, settings = rig.custom_nodes / "pack", str(rig.home / ".gitconfig")
    git(there, "config", "filter.lfs.process", "git-lfs filter-process")
    git(there, "config", "filter.lfs.smudge", "git-lfs smudge -- %f")
    git(there, "config", "filter.lfs.required", "true")
    git(rig.home, "config", "--file", settings, "filter.mine.smudge", trap.program("mine"))
    git(rig.home, "config", "--file", settings, "filter.mine.clean", "cat")
    git(rig.home, "config", "--file", settings, "filter.mine.required", "true")
    add_commit(git_server, pack, {"a.txt": "b\n"})
    quiet = rig.install([node(pack)], options={"existing": "update"})
    assert quiet.state("pack") == "installed", message(quiet, "pack")
    assert not quiet.told(Warned, code="git_config_ignored")
    assert trap.ran == {"ran-mine"}
    git(there, "config", "filter.mine.smudge", trap.program("theirs"))
    add_commit(git_server, pack, {"a.txt": "c\n"})
    run = rig.install([node(pack)], options={"existing": "update"})
    assert run.state("pack") == "installed", message(run, "pack")
    assert trap.ran == {"ran-mine"}
    assert "filter.mine.smudge" in run.told(Warned, code="git_config_ignored")[0].message


def test_logins_come_from_the_machine_and_not_from_the_folder(rig: Rig, git_server: GitServer, trap: Trap) -> None:
    """A server that wants one: the machine's helper is asked for an update, the folder's is not."""
    pack = make_pack(git_server, "o", "pack")
    git(rig.custom_nodes, "clone", "-q", pack.url, "pack")
    git(rig.home, "config", "--file", str(rig.home / ".gitconfig"), "credential.helper", f"!{trap.program('mine')}")
    git(rig.custom_nodes / "pack", "config", "credential.helper", "")
    git(rig.custom_nodes / "pack", "config", "--add", "credential.helper", f"!{trap.program('theirs')}")
    git_server.set_rule("o/pack", PRIVATE)
    run = rig.install([node(pack)], options={"existing": "update"})
    assert run.state("pack").startswith("failed")
    assert trap.ran == {"ran-mine"}


def test_stashes_go_along_and_the_old_folder_fetches_nothing(rig: Rig, pack: Pack, trap: Trap) -> None:
    """The old folder claims that what it lacks is to be had by a program of its own."""
    git(rig.custom_nodes, "clone", "-q", pack.url, "pack")
    there = rig.custom_nodes / "pack"
    (there / "a.txt").write_text("mine\n")
    git(there, "stash")
    git(there, "config", "extensions.partialClone", "evil")
    git(there, "config", "core.repositoryFormatVersion", "1")
    git(there, "config", "remote.evil.promisor", "true")
    git(there, "config", "remote.evil.url", str(trap.folder))
    git(there, "config", "remote.evil.uploadpack", trap.program("uploadpack"))
    run = rig.install([node(pack)], options={"existing": "reinstall"})
    assert run.state("pack") == "installed", message(run, "pack")
    assert git(there, "stash", "list")
    assert not trap.ran
