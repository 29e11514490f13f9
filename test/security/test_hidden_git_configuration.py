"""What a repository's own configuration would have git run is found wherever git itself would find it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from app.standin.git_server import GitServer
from app.standin.packs import Pack, add_commit, make_pack
from test.runner.conftest import old_python, rig, rig_factory
from test.runner.rig import Rig, git, node
from test.security.test_git_configuration import Trap, restless

__all__ = ["old_python", "rig", "rig_factory"]
pytestmark = pytest.mark.slow


def evil(trap: Trap) -> str:
    """Configuration whose filter git runs for each file."""
    program = trap.program("filter")
    return f'[filter "evil"]\n\tclean = {program}\n\tsmudge = {program}\n'


def before_a_megabyte(own: Path, trap: Trap) -> None:
    """More than is read of what git prints."""
    config = own / "config"
    noise = "".join(f"\tk{number} = {'x' * 500}\n" for number in range(3000))
    config.write_text(config.read_text() + evil(trap) + "[noise]\n" + noise)


def by_the_prefix_of_git(own: Path, trap: Trap) -> None:
    (trap.folder / "more").write_text(evil(trap))
    git(own.parent, "config", "include.path", f"%(prefix)/..{trap.folder}/more")


def behind_a_link(own: Path, trap: Trap) -> None:
    """`link/..` is not the folder that the link is in."""
    (trap.folder / "below").mkdir()
    (trap.folder / "more").write_text(evil(trap))
    (own / "link").symlink_to(trap.folder / "below")
    git(own.parent, "config", "include.path", "link/../more")


def _moved(own: Path, trap: Trap, place: Path) -> None:
    """git's own folder is there, with the filter; an honest one is where it is not looked for."""
    honest = own.with_name("honest")
    shutil.copytree(own, honest)
    shutil.move(str(own), str(place))
    (place / "config").write_text((place / "config").read_text() + evil(trap))
    shutil.move(str(honest), str(trap.folder / "honest"))


def pointed_to_with_a_space(own: Path, trap: Trap) -> None:
    _moved(own, trap, trap.folder / " own")
    os.rename(trap.folder / "honest", trap.folder / "own")
    os.symlink(trap.folder, own.with_name("t"))
    os.symlink(trap.folder / " own", own.with_name(" own"))
    os.symlink(trap.folder / "own", own.with_name("own"))
    own.write_text("gitdir:  own\n")


def pointed_to_before_a_nul(own: Path, trap: Trap) -> None:
    _moved(own, trap, trap.folder / "own")
    own.write_bytes(b"gitdir: %s\0/honest\n" % os.fsencode(trap.folder / "own"))


def pointed_to_behind_a_link(own: Path, trap: Trap) -> None:
    (trap.folder / "below").mkdir()
    _moved(own, trap, trap.folder / "own")
    own.with_name("link").symlink_to(trap.folder / "below")
    shutil.move(str(trap.folder / "honest"), own.with_name("own"))
    own.write_text("gitdir: link/../own\n")


def in_a_submodule(own: Path, trap: Trap, name: str = "lib") -> None:
    """git's own folder of a submodule is there, and its files are not."""
    config = own / "modules" / name / "config"
    config.write_text(config.read_text() + evil(trap))
    shutil.rmtree(own.parent / name)
    (own.parent / name).mkdir()


def in_a_submodule_that_is_named_like_a_folder_of_git(own: Path, trap: Trap) -> None:
    in_a_submodule(own, trap, "info")


def in_a_submodule_behind_a_link(own: Path, trap: Trap) -> None:
    in_a_submodule(own, trap)
    shutil.move(str(own / "modules" / "lib"), str(trap.folder / "lib"))
    (own / "modules" / "lib").symlink_to(trap.folder / "lib")


def around_the_place_that_a_link_leads_to(own: Path, trap: Trap) -> None:
    """The pack is a link to a folder of a repository, where `.git` is broken."""
    config = own / "config"
    config.write_text(config.read_text() + evil(trap))
    there, whole = own.parent, trap.folder / "whole"
    shutil.move(str(there), str(whole))
    (whole / "sub").mkdir()
    (whole / "sub" / ".git").mkdir()
    there.symlink_to(whole / "sub")


UPDATED, LEFT = "installed", "failed git_config_refused"
HIDDEN: dict[Callable[[Path, Trap], None], str] = {
    before_a_megabyte: LEFT,
    by_the_prefix_of_git: LEFT,
    behind_a_link: UPDATED,
    pointed_to_with_a_space: UPDATED,
    pointed_to_before_a_nul: UPDATED,
    pointed_to_behind_a_link: UPDATED,
    in_a_submodule_that_is_named_like_a_folder_of_git: UPDATED,
    in_a_submodule_behind_a_link: UPDATED,
    around_the_place_that_a_link_leads_to: "failed name_taken",
}


def made(git_server: GitServer, hide: Callable[[Path, Trap], None], inner: Pack) -> Pack:
    files = {".gitattributes": "* filter=evil\n", "a.txt": "a\n"}
    if "submodule" not in hide.__name__:
        return make_pack(git_server, "o", hide.__name__, files=files)
    name = "info" if "named" in hide.__name__ else "lib"
    files[".gitmodules"] = f'[submodule "{name}"]\n\tpath = {name}\n\turl = {inner.url}\n'
    return make_pack(git_server, "o", hide.__name__, submodules={name: inner}, files=files)


def test_a_filter_is_found_where_git_finds_it(rig: Rig, git_server: GitServer, tmp_path: Path) -> None:
    """Each pack is updated without it, or left alone."""
    inner = make_pack(git_server, "o", "inner", files={".gitattributes": "* filter=evil\n"})
    packs = {hide: made(git_server, hide, inner) for hide in HIDDEN}
    traps = {hide: Trap(tmp_path / f"trap-{number}") for number, hide in enumerate(HIDDEN)}
    for hide, pack in packs.items():
        git(rig.custom_nodes, "clone", "-q", "--recurse-submodules", pack.url, pack.name)
        hide(rig.custom_nodes / pack.name / ".git", traps[hide])
        restless(rig.custom_nodes / pack.name)
        add_commit(git_server, pack, {"a.txt": "b\n", "new.txt": "n\n"})
    run = rig.install([node(pack) for pack in packs.values()], options={"existing": "update"})
    assert [hide.__name__ for hide in HIDDEN if traps[hide].ran] == []
    assert {hide: run.state(pack.name) for hide, pack in packs.items()} == HIDDEN
