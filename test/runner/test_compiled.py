"""The zipapp's modules, loaded from what an earlier call has compiled. Each test runs the real zipapp, with the oldest
and the newest Python that this machine has."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from app.remote.packer import pack_runner
from app.runner import compiled
from test.runner.conftest import python_of

_TASK = "00000000-0000-0000-0000-000000000000"
_ANSWER = b'r {"status": "unknown"'
_FEW = 4
"""Modules that are compiled by each call: those that find the others."""

_COUNTED = """
import runpy, sys
seen = []
sys.addaudithook(lambda event, args: seen.append(args[1]) if event == "compile" else None)
try:
    runpy.run_path({pyz!r}, run_name="__main__")
finally:
    found = {{name for name in seen if str(name).startswith({pyz!r})}}
    print(len(found), file=sys.stderr)
"""
_PLANT = """
import marshal, sys, zlib
begin = b"nodeferry compiled 1\\n"
raw = open(sys.argv[1], "rb").read()
key, modules = marshal.loads(raw[len(begin) + 4:])
modules["app.runner.main"] = False, marshal.dumps(compile("print('planted'); main = int", "planted", "exec"))
kept = marshal.dumps((key, modules))
open(sys.argv[1], "wb").write(begin + zlib.crc32(kept).to_bytes(4, "big") + kept)
"""
_WITHOUT_RIGHTS = """
import ctypes, os, sys
for capability in (1, 2):  # root obeys the rights of files, too: capabilities(7)
    ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""
_SMALL_FILES = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))
os.execv(sys.argv[1], sys.argv[1:])
"""
_AT_ONCE = """
import sys, threading
sys.path.insert(0, {pyz!r})
sys.setswitchinterval(1e-6)
from app.runner import compiled
compiled.install()
from app.runner.requirements import lines, markers, versions
begin, failed = threading.Barrier(9), []
def use(number):
    begin.wait()
    try:
        for call in (lambda: lines.asked_by("a>=1"), lambda: markers.holds("os_name == 'x'", {{"os_name": "x"}}),
                     lambda: versions.satisfies("1", ">=1"))[number % 3:]:
            call()
    except BaseException as exc:
        failed.append(repr(exc))
threads = [threading.Thread(target=use, args=(number,)) for number in range(9)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(failed)
"""


class Zipapp:
    """The runner in a folder of its own, and what lies beside it."""

    def __init__(self, folder: Path, python: str) -> None:
        self.folder, self.python = folder, python
        folder.mkdir()
        self.path = folder / "runner.pyz"
        self.path.write_bytes(pack_runner().content)
        self.kept = folder / "runner.pyz.compiled"
        self.home = folder.parent / "home"
        self.home.mkdir()

    def run(self, program: str, *argv: str, before: Sequence[str] = ()) -> subprocess.CompletedProcess[bytes]:
        """A program of this Python, to its end."""
        return subprocess.run(
            [*before, self.python, "-I", "-S", "-c", program, *argv],
            capture_output=True,
            timeout=60,
            check=False,
            env={"HOME": str(self.home)},
        )

    def status(self, *before: str) -> int:
        """Asks for a status, and gets the right answer and no word besides. How many modules were compiled."""
        done = self.run(_COUNTED.format(pyz=str(self.path)), "status", _TASK, before=before)
        assert _ANSWER in done.stdout, done
        assert done.returncode == 0
        return int(done.stderr)

    def names(self) -> list[str]:
        """What lies in its folder."""
        return sorted(os.listdir(self.folder))


@pytest.fixture(params=["oldest", "newest"])
def zipapp(tmp_path: Path, request: pytest.FixtureRequest) -> Zipapp:
    return Zipapp(tmp_path / "bin", python_of(newest=request.param == "newest"))


def test_its_packages_are_those_that_the_packer_takes() -> None:
    names = zipfile.ZipFile(io.BytesIO(pack_runner().content)).namelist()
    assert {name.split("/")[0] for name in names if "/" in name and name.endswith(".py")} == set(compiled._PACKAGES)


def test_a_second_call_compiles_nothing_but_what_finds_the_rest(zipapp: Zipapp) -> None:
    """And what it loads is for us alone."""
    assert zipapp.status() > 20
    assert zipapp.status() <= _FEW
    assert zipapp.names() == ["runner.pyz", "runner.pyz.compiled"]
    assert zipapp.kept.stat().st_mode & 0o777 == 0o600


def test_what_later_calls_compile_is_added(zipapp: Zipapp) -> None:
    """`probe` needs more than `status`; each finds its own afterwards."""
    zipapp.status()
    size = zipapp.kept.stat().st_size
    argv = ["probe", "-", "--ui-home", str(zipapp.home)]
    first = zipapp.run(_COUNTED.format(pyz=str(zipapp.path)), *argv)
    second = zipapp.run(_COUNTED.format(pyz=str(zipapp.path)), *argv)
    assert int(first.stderr) > _FEW >= int(second.stderr)
    assert zipapp.kept.stat().st_size > size
    assert zipapp.status() <= _FEW


def test_another_zipapp_of_the_same_name_is_compiled_anew(zipapp: Zipapp) -> None:
    """Of the same size and time, too: the new one's code runs."""
    zipapp.status()
    before = zipapp.path.stat()
    zipapp.path.unlink()
    zipapp.path.write_bytes(pack_runner().content)
    os.utime(zipapp.path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert zipapp.status() > 20
    assert zipapp.status() <= _FEW


def _other_mode(kept: Path) -> None:
    kept.chmod(0o640)


def _other_link(kept: Path) -> None:
    os.link(kept, kept.parent / "other")


def _by_link(kept: Path) -> None:
    kept.rename(kept.parent / "other")
    kept.symlink_to("other")


def _other_owner(kept: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give files away")
    os.chown(kept, 65534, 65534)


@pytest.mark.parametrize("change", [_other_mode, _other_link, _by_link, _other_owner])
def test_what_somebody_else_may_have_written_is_never_loaded(zipapp: Zipapp, change: Callable[[Path], None]) -> None:
    """Though it fits in all else; the same file is loaded where only we can have written it."""
    zipapp.status()
    assert zipapp.run(_PLANT, str(zipapp.kept)).returncode == 0
    planted = zipapp.run(_COUNTED.format(pyz=str(zipapp.path)), "status", _TASK)
    assert planted.stdout == b"planted\n"
    change(zipapp.kept)
    assert zipapp.status() > 20


def _empty(kept: Path) -> None:
    os.truncate(kept, 0)


def _short(kept: Path) -> None:
    os.truncate(kept, kept.stat().st_size // 2)


def _long(kept: Path) -> None:
    os.truncate(kept, 1 << 40)


def _other_byte(kept: Path) -> None:
    raw = bytearray(kept.read_bytes())
    raw[len(raw) // 2] ^= 1
    kept.write_bytes(raw)


def _pipe(kept: Path) -> None:
    kept.unlink()
    os.mkfifo(kept, 0o600)


def _folder(kept: Path) -> None:
    kept.unlink()
    kept.mkdir(0o600)


@pytest.mark.parametrize("change", [_empty, _short, _long, _other_byte, _pipe, _folder])
def test_what_is_damaged_is_compiled_anew(zipapp: Zipapp, change: Callable[[Path], None]) -> None:
    zipapp.status()
    change(zipapp.kept)
    assert zipapp.status() > 20
    assert zipapp.status() <= _FEW or zipapp.kept.is_dir()
    assert not [name for name in zipapp.names() if name.endswith(".new")]


def test_in_a_folder_that_cannot_be_written_nothing_is_kept(zipapp: Zipapp) -> None:
    zipapp.folder.chmod(0o555)
    try:
        for _ in range(2):
            assert zipapp.status(zipapp.python, "-I", "-S", "-c", _WITHOUT_RIGHTS) > 20
    finally:
        zipapp.folder.chmod(0o755)
    assert zipapp.names() == ["runner.pyz"]


def test_where_the_file_does_not_fit_nothing_is_kept(zipapp: Zipapp) -> None:
    """As on a full disk: a write fails halfway, and what was written goes."""
    for _ in range(2):
        assert zipapp.status(zipapp.python, "-I", "-S", "-c", _SMALL_FILES) > 20
        assert zipapp.names() == ["runner.pyz"]
    assert zipapp.status() > 20
    assert zipapp.status() <= _FEW


def test_what_a_killed_call_left_goes_after_a_while(zipapp: Zipapp) -> None:
    new = zipapp.folder / "runner.pyz.compiled.new"
    new.touch(0o600)
    assert zipapp.status() > 20
    assert zipapp.names() == ["runner.pyz", "runner.pyz.compiled.new"], "another call may write it at this moment"
    os.utime(new, (1, 1))
    zipapp.status()
    zipapp.status()
    assert zipapp.names() == ["runner.pyz", "runner.pyz.compiled"]


def test_many_first_calls_at_once_do_no_harm(zipapp: Zipapp) -> None:
    argv = [zipapp.python, "-I", "-S", str(zipapp.path), "status", _TASK]
    calls = [subprocess.Popen(argv, stdout=subprocess.PIPE, env={"HOME": str(zipapp.home)}) for _ in range(6)]
    for call in calls:
        assert _ANSWER in call.communicate(timeout=60)[0]
    assert zipapp.names() == ["runner.pyz", "runner.pyz.compiled"]
    assert zipapp.status() <= _FEW


def test_threads_that_import_at_once_see_whole_modules(zipapp: Zipapp) -> None:
    """Python 3.9 itself shows one thread the half of a module that another is still loading from a zipapp."""
    for _ in range(4):
        done = zipapp.run(_AT_ONCE.format(pyz=str(zipapp.path)))
        assert done.stdout == b"[]\n", done


def test_tracebacks_quote_the_source_and_data_is_found(zipapp: Zipapp) -> None:
    """Of modules that were loaded from what was kept."""
    program = f"""
import json, linecache, pkgutil, sys
sys.path.insert(0, {str(zipapp.path)!r})
from app.runner import compiled
compiled.install()
from app.runner.process import paths
compiled.save()
line = linecache.getline(paths.__file__, 1, vars(paths))
data = pkgutil.get_data("app.runner.process.paths", "paths.py")
print(json.dumps([line, data.decode().splitlines(True)[0], paths.__file__, paths.Task.__module__]))
"""
    for _ in range(2):
        line, data, file, module = json.loads(zipapp.run(program).stdout)
        assert line == data
        assert line.startswith('"""Where the runner keeps things')
        assert (file, module) == (f"{zipapp.path}/app/runner/process/paths.py", "app.runner.process.paths")


def test_python_that_is_to_write_no_bytecode_writes_none(zipapp: Zipapp) -> None:
    argv = [zipapp.python, "-I", "-S", "-B", str(zipapp.path), "status", _TASK]
    subprocess.run(argv, stdout=subprocess.DEVNULL, env={"HOME": str(zipapp.home)}, timeout=60, check=True)
    assert zipapp.names() == ["runner.pyz"]


def test_it_is_not_used_outside_of_a_zipapp() -> None:
    """The service's own process and the tests import files."""
    before = list(sys.meta_path)
    compiled.install()
    compiled.save()
    assert sys.meta_path == before
