"""Which files a package has, and whether they are all there: packages that uv and pip installed, and made-up ones."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from app.runner.environment.change_record import PREFIX
from app.runner.environment.environment import Environment
from app.runner.environment.installed_files import InstalledFiles, RecordedFile, damage, find, sizes_of
from app.runner.environment.transaction import begin
from test.plan.box import Box

_A_WHILE_AGO = time.time() - 3600


@pytest.mark.registry
def test_a_package_that_uv_installed_is_whole_until_a_file_goes(box: Box) -> None:
    box.index.wheel(
        "Some-Thing", "1.0", modules={"some_thing/__init__.py": "x = 1\n", "some_thing/inner.py": "y = 2\n"}
    )
    box.have("some-thing")
    assert box.environment is not None
    folder = box.environment.packages
    package = find([str(folder)], ["some_thing"])["some-thing"][0]
    assert (package.version, damage(package)) == ("1.0", "")
    (folder / "some_thing" / "inner.py").unlink()
    assert damage(package) == "some_thing/inner.py is missing"
    assert damage(package, since=_A_WHILE_AGO) == "some_thing/inner.py is missing"
    assert damage(package, since=time.time() + 60) == "", "it had gone before"


def _made(folder: Path, entry: str, files: dict[str, str]) -> InstalledFiles:
    (folder / "mod.py").write_text("x = 1\n")
    for name, text in files.items():
        path = folder / entry / name if name else folder / entry
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
    (found,) = find([str(folder)]).values()
    return found[0]


@pytest.mark.parametrize(
    "path",
    [
        *("mod.py", "a/b.py", "a b/ü.py", "a/.b", "a/...", "..a/b"),
        *(
            "../../../bin/tool",
            "/abs/./file",
            "./mod.py",
            "a//b",
            "a/../b",
            "a/./b",
            "a/",
            "a/..",
            ".",
            "../" * 40 + "x",
        ),
    ],
)
def test_paths_are_those_that_an_installer_would_remove(tmp_path: Path, path: str) -> None:
    """Joined with the folder and normalised, whatever parts they have."""
    package = _made(tmp_path, "thing-1.4.dist-info", {"RECORD": f"{path},sha256=x,6\n"})
    assert package.files == (RecordedFile(os.path.normpath(os.path.join(tmp_path, path)), "sha256=x", 6),)


_PKG_INFO = {"PKG-INFO": "Name: thing\nVersion: 1.4\n"}


@pytest.mark.parametrize(
    ("entry", "files", "listed"),
    [
        ("thing-1.4.dist-info", {"RECORD": "mod.py,sha256=x,6\nthing-1.4.dist-info/RECORD,,\n"}, True),
        ("thing-1.4.dist-info", {"RECORD": "mod.py,,\r\n../../../bin/tool,,\r\n/abs/file,,\r\n"}, True),
        ("thing-1.4.dist-info", {"METADATA": "Name: thing\n"}, False),
        ("thing-1.4.dist-info", {"RECORD": ""}, False),
        ("thing-1.4.dist-info", {"RECORD": "mod.py,,\n\udcff\udcfe,,\n"}, False),
        ("thing-1.4-py3.10.egg-info", {"": "Name: thing\nVersion: 1.4\n"}, False),
        ("thing-1.4.egg-info", {**_PKG_INFO, "top_level.txt": "mod\n"}, True),
        ("thing-1.4.egg-info", {**_PKG_INFO, "installed-files.txt": "../mod.py\nPKG-INFO\n"}, True),
        ("thing-1.4.egg-info", _PKG_INFO, False),
        ("thing-1.4.egg-info", {**_PKG_INFO, "top_level.txt": "../../etc\n"}, False),
    ],
)
def test_the_list_of_its_files_in_each_form(tmp_path: Path, entry: str, files: dict[str, str], listed: bool) -> None:
    """A package without one cannot be removed by any installer."""
    package = _made(tmp_path, entry, files)
    assert (package.name, package.version) == ("thing", "1.4")
    found = [file.path for file in package.files or ()]
    assert (str(tmp_path / "mod.py") in found) is listed
    assert (package.files is not None) is listed


def test_a_file_cut_short_is_damage(tmp_path: Path) -> None:
    """A full disk leaves such files."""
    package = _made(tmp_path, "thing-1.4.dist-info", {"RECORD": "mod.py,,6\nmod.pyc,,\n"})
    assert damage(package) == "", "compiled files come and go"
    (tmp_path / "mod.py").write_text("x")
    assert damage(package) == "mod.py is of another size"


def test_a_file_that_another_package_has_put_there_is_no_damage(tmp_path: Path) -> None:
    """Two variants of a library share their paths; what neither of them has is damage all the same."""
    for name, size in (("one", 6), ("two", 9)):
        folder = tmp_path / f"{name}-1.0.dist-info"
        folder.mkdir()
        (folder / "RECORD").write_text(f"mod.py,,{size}\n")
    (tmp_path / "mod.py").write_text("x = 1234\n")
    one, two = (packages[0] for _, packages in sorted(find([str(tmp_path)]).items()))
    listed = sizes_of([one, two])
    assert damage(one) == "mod.py is of another size"
    assert (damage(one, listed=listed), damage(two, listed=listed)) == ("", "")
    (tmp_path / "mod.py").write_text("x")
    assert damage(one, listed=listed) == "mod.py is of another size"


def test_what_a_package_lists_elsewhere_is_not_kept_for_a_change(tmp_path: Path) -> None:
    """Its list may name any file of the machine, one without an end (/dev/zero) among them."""
    (tmp_path / "secret").write_text("not the package's")
    folder = tmp_path / "venv" / "lib"
    folder.mkdir(parents=True)
    _made(folder, "thing-1.4.dist-info", {"METADATA": "", "RECORD": "mod.py,,\n../../secret,,\n/dev/zero,,\n"})
    environment = Environment("python", prefix=str(tmp_path / "venv"), site_packages=(str(folder),))
    transaction = begin(environment, ["thing"], "a-task")
    (kept,) = folder.glob(f"{PREFIX}*")
    places = list((kept / "thing").iterdir())
    assert (tmp_path / "secret").stat().st_nlink == 1
    assert len(places) == len(transaction.record.kept) == 3, "the module, and the metadata"
    transaction.commit()
    assert sorted(path.name for path in folder.iterdir()) == ["mod.py", "thing-1.4.dist-info"]
