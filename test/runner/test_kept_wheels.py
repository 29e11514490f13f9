"""What was built once is not built again: by a retry, on the next machine with the same volume, or with the user's own
wheels; and never used where it does not fit. Real uv and pip, and an index that counts builds and sends no
cache headers."""

from __future__ import annotations

import base64
import http.server
import json
import os
import shutil
import threading
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from app.protocol.events import PackagesPlanned
from app.runner.resolve.kept_wheels import built_in_cache, digest_of, listed
from app.standin.environment import make_environment
from app.standin.git_server import GitServer
from app.standin.packs import make_pack
from test.runner.conftest import RigFactory
from test.runner.rig import Rig, Run, node
from test.support.package_index import PackageIndex

LINUX = "py3-none-linux_x86_64"


@pytest.fixture
def index(tmp_path: Path) -> Iterator[PackageIndex]:
    with PackageIndex(tmp_path / "index", cache_headers=False) as index:
        yield index


@pytest.fixture
def machine(rig_factory: RigFactory, uv_program: Path, index: PackageIndex) -> Any:
    """Makes a fresh machine that has uv; `kept`: a folder of another one's kept wheels, as a volume brings it along."""

    def make(kept: Path | None = None) -> Rig:
        rig = rig_factory()
        rig.environ |= {"PATH": f"{uv_program.parent}:/usr/bin:/bin", "UV_DEFAULT_INDEX": index.url}
        rig.environ["PIP_CONFIG_FILE"] = os.devnull
        if kept is not None:
            shutil.copytree(kept, kept_in(rig))
        return rig

    return make


def kept_in(rig: Rig) -> Path:
    return rig.state / "wheels"


def install(rig: Rig, git: GitServer, name: str, requirements: str, **options: Any) -> Run:
    """A run for one new pack with these requirements."""
    pack = make_pack(git, "o", name, requirements=requirements)
    run = rig.install([node(pack)], options=options)
    assert run.state(name) == "installed", run.said()
    return run


def without_packages(rig: Rig, torch: str | None = None) -> None:
    """The environment as it was at first, maybe with another torch; uv's cache as it is."""
    shutil.rmtree(rig.ui_home / "venv")
    rig.environment = make_environment(rig.ui_home / "venv", with_pip=False)
    if torch is not None:
        module = rig.environment.packages / "torch" / "__init__.py"
        module.write_text(f'from torch import cuda, version\n__version__ = "{torch}"\n')


def has(rig: Rig, name: str, version: str) -> bool:
    assert rig.environment is not None
    return (rig.environment.packages / f"{name.replace('-', '_')}-{version}.dist-info").is_dir()


def warnings_of(run: Run) -> Mapping[str, str]:
    return {warning.code: warning.message for warning in run.snapshot().warnings}


# -- not built again ---------------------------------------------------------------------------------------------------


def test_a_retry_builds_nothing_again(machine: Any, git_server: GitServer, index: PackageIndex) -> None:
    """The index sends no cache headers, so that uv alone would fetch and build the same source archive again."""
    index.counted_sdist("built-tool", "1.0")
    rig = machine()
    install(rig, git_server, "first", "built-tool\n")
    assert index.builds == ["built-tool==1.0"]
    without_packages(rig)
    shutil.rmtree(rig.home / ".cache", ignore_errors=True)
    run = install(rig, git_server, "again", "built-tool\n")
    assert index.builds == ["built-tool==1.0"]
    assert has(rig, "built-tool", "1.0")
    assert not warnings_of(run)


def test_the_next_machine_with_the_same_volume_builds_nothing(
    machine: Any, git_server: GitServer, index: PackageIndex
) -> None:
    index.counted_sdist("built-tool", "1.0", tag=LINUX)
    first = machine()
    install(first, git_server, "first", "built-tool\n")
    second = machine(kept_in(first))
    install(second, git_server, "again", "built-tool\n")
    assert index.builds == ["built-tool==1.0"]
    assert has(second, "built-tool", "1.0")


def test_what_is_built_below_another_package_is_kept_too(
    machine: Any, git_server: GitServer, index: PackageIndex
) -> None:
    index.counted_sdist("built-below", "2.0")
    index.wheel("above", "1.0", ["built-below>=1"])
    first = machine()
    install(first, git_server, "first", "above\n")
    second = machine(kept_in(first))
    install(second, git_server, "again", "above\n")
    assert index.builds == ["built-below==2.0"]


# -- and never where it does not fit -----------------------------------------------------------------------------------


def test_another_torch_builds_compiled_code_again(machine: Any, git_server: GitServer, index: PackageIndex) -> None:
    """A wheel without compiled code serves every torch."""
    index.counted_sdist("compiled-tool", "1.0", tag=LINUX)
    index.counted_sdist("script-tool", "1.0")
    first = machine()
    install(first, git_server, "first", "compiled-tool\nscript-tool\n")
    second = machine(kept_in(first))
    without_packages(second, torch="2.99.0+cu128")
    install(second, git_server, "again", "compiled-tool\nscript-tool\n")
    assert sorted(index.builds) == ["compiled-tool==1.0", "compiled-tool==1.0", "script-tool==1.0"]
    assert len(listed(kept_in(second))) == 3


def test_the_indexs_newer_version_is_built_although_an_older_one_is_kept(
    machine: Any, git_server: GitServer, index: PackageIndex
) -> None:
    index.counted_sdist("built-tool", "1.0")
    rig = machine()
    install(rig, git_server, "first", "built-tool\n")
    index.counted_sdist("built-tool", "1.1")
    second = machine(kept_in(rig))
    install(second, git_server, "again", "built-tool\n")
    assert index.builds == ["built-tool==1.0", "built-tool==1.1"]
    assert has(second, "built-tool", "1.1")


def test_a_pack_that_wants_a_change_gets_the_indexs_newer_version_too(
    machine: Any, git_server: GitServer, index: PackageIndex
) -> None:
    """Its plan is made of wheels alone at first, where uv would go past a version that has to be built."""
    index.counted_sdist("built-tool", "1.0")
    index.wheel("moved-tool", "1.0")
    first = machine()
    install(first, git_server, "first", "built-tool\n")
    index.counted_sdist("built-tool", "1.1")
    second = machine(kept_in(first))
    install(second, git_server, "before", "moved-tool\n")
    index.wheel("moved-tool", "2.0")
    install(second, git_server, "again", "moved-tool>=2\nbuilt-tool\n")
    assert has(second, "moved-tool", "2.0") and has(second, "built-tool", "1.1")


def test_a_damaged_kept_wheel_is_told_and_built_again(machine: Any, git_server: GitServer, index: PackageIndex) -> None:
    index.counted_sdist("built-tool", "1.0")
    first = machine()
    install(first, git_server, "first", "built-tool\n")
    (kept,) = listed(kept_in(first))
    content = bytearray(kept.path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    kept.path.write_bytes(content)
    second = machine(kept_in(first))
    run = install(second, git_server, "again", "built-tool\n")
    assert index.builds == ["built-tool==1.0", "built-tool==1.0"]
    assert "built_tool-1.0-py3-none-any.whl" in warnings_of(run)["kept_wheel_spoiled"]
    (again,) = listed(kept_in(second))
    assert again.name == kept.name and again.sha256 == digest_of(again.path)


def test_what_was_built_of_a_repository_is_not_kept(machine: Any, git_server: GitServer, index: PackageIndex) -> None:
    """Its version says too little of what it is."""
    source = index.sdist("direct-tool", "1.0")
    rig = machine()
    install(rig, git_server, "first", f"direct-tool @ {source}\n")
    assert has(rig, "direct-tool", "1.0")
    assert listed(kept_in(rig)) == []
    assert built_in_cache(rig.home / ".cache" / "uv", {"direct-tool": "1.0"}, 0.0) == []


def test_a_folder_that_others_may_write_to_is_not_offered(
    machine: Any, git_server: GitServer, index: PackageIndex
) -> None:
    index.counted_sdist("built-tool", "1.0")
    first = machine()
    install(first, git_server, "first", "built-tool\n")
    second = machine(kept_in(first))
    (kept_in(second) / "any").chmod(0o777)
    install(second, git_server, "again", "built-tool\n")
    assert index.builds == ["built-tool==1.0", "built-tool==1.0"]


# -- options.wheelhouse -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["folder", "page", "index"])
def test_a_wheelhouse_is_used_instead_of_a_build(
    form: str, machine: Any, git_server: GitServer, index: PackageIndex, tmp_path: Path
) -> None:
    index.counted_sdist("built-tool", "1.0")
    with PackageIndex(tmp_path / "own") as own:
        address = own.wheel("built-tool", "1.0")
        (own.folder / "simple" / "index.html").write_text('<a href="built-tool/">built-tool</a>')
        folder = str(own.folder / "simple" / "built-tool")
        given = {"folder": folder, "page": address.rpartition("/")[0] + "/", "index": own.url}[form]
        run = install(machine(), git_server, "first", "built-tool\n", wheelhouse=given)
    assert index.builds == []
    (plan,) = run.told(PackagesPlanned)
    assert [(change.package, change.wheel) for change in plan.changes] == [("built-tool", "wheelhouse")]


@pytest.mark.parametrize("form", ["folder", "address", "login"])
def test_a_wheelhouse_that_cannot_be_used_is_named_and_left_out(
    form: str, machine: Any, git_server: GitServer, index: PackageIndex
) -> None:
    index.counted_sdist("built-tool", "1.0")
    given = {"folder": "/nowhere/wheels", "address": "http://127.0.0.1:9/wheels/"}.get(form, index.url + "no-such/")
    run = install(machine(), git_server, "first", "built-tool\n", wheelhouse=given)
    assert given in warnings_of(run)["wheelhouse_unavailable"]
    assert index.builds == ["built-tool==1.0"]


class _OnlyAtFirst(http.server.BaseHTTPRequestHandler):
    """A wheelhouse that the runner sees when it looks, and nobody after that."""

    def do_GET(self) -> None:
        body = b'<a href="built_tool-1.0-py3-none-any.whl">built</a>'
        self.send_response(200 if self.headers["User-Agent"] == "nodeferry" else 404)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        pass


class _WithLogin(http.server.SimpleHTTPRequestHandler):
    """A folder for whoever has the password."""

    def do_GET(self) -> None:
        given = base64.b64encode(b"somebody:a-secret-of-mine").decode()
        if self.headers["Authorization"] == f"Basic {given}":
            super().do_GET()
            return
        self.send_response(401)
        self.send_header("WWW-Authenticate", 'Basic realm="wheels"')
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        pass


def test_a_login_in_netrc_is_used_and_stands_nowhere(
    machine: Any, git_server: GitServer, index: PackageIndex, tmp_path: Path
) -> None:
    index.counted_sdist("built-tool", "1.0")
    with PackageIndex(tmp_path / "own") as own:
        own.wheel("built-tool", "1.0")
    rig = machine()
    (rig.home / ".netrc").write_text("machine 127.0.0.1 login somebody password a-secret-of-mine\n")
    handler = partial(_WithLogin, directory=str(own.folder / "simple" / "built-tool"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            given = f"http://127.0.0.1:{server.server_port}/"
            run = install(rig, git_server, "first", "built-tool\n", wheelhouse=given)
        finally:
            server.shutdown()
            thread.join(10)
    assert (index.builds, has(rig, "built-tool", "1.0")) == ([], True)
    assert not warnings_of(run)
    told = [path.read_bytes() for path in run.folder.rglob("*") if path.is_file()]
    assert not [text for text in told if b"a-secret-of-mine" in text]


def test_a_wheelhouse_that_goes_away_in_the_middle_is_left_out_from_then_on(
    machine: Any, git_server: GitServer, index: PackageIndex
) -> None:
    index.counted_sdist("built-tool", "1.0")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _OnlyAtFirst) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            given = f"http://127.0.0.1:{server.server_port}/"
            run = install(machine(), git_server, "first", "built-tool\n", wheelhouse=given)
        finally:
            server.shutdown()
            thread.join(10)
    told = [warning for warning in run.snapshot().warnings if warning.code == "wheelhouse_unavailable"]
    assert [given in warning.message for warning in told] == [True]
    assert index.builds == ["built-tool==1.0"]


def test_the_indexs_newer_version_is_preferred_to_the_wheelhouse(
    machine: Any, git_server: GitServer, index: PackageIndex, tmp_path: Path
) -> None:
    index.wheel("some-tool", "2.0")
    with PackageIndex(tmp_path / "own") as own:
        own.wheel("some-tool", "1.0")
        (own.folder / "simple" / "index.html").write_text('<a href="some-tool/">some-tool</a>')
        rig = machine()
        install(rig, git_server, "first", "some-tool\n", wheelhouse=own.url)
    assert has(rig, "some-tool", "2.0")


# -- where there is no uv ----------------------------------------------------------------------------------------------


def test_pip_is_offered_them_too(
    rig_factory: RigFactory, git_server: GitServer, index: PackageIndex, tmp_path: Path
) -> None:
    index.counted_sdist("built-tool", "1.0")
    with PackageIndex(tmp_path / "own") as own:
        own.wheel("built-tool", "1.0")
        rig = rig_factory(venv=False)
        rig.environment = make_environment(rig.ui_home / "venv", with_pip=True)
        in_the_way = rig.state / "tools" / "uv"
        in_the_way.parent.mkdir(parents=True)
        in_the_way.write_text("no room for a uv of our own")
        rig.environ |= {"PATH": "/usr/bin:/bin", "PIP_INDEX_URL": index.url}
        wheels = str(own.folder / "simple" / "built-tool")
        run = install(rig, git_server, "first", "built-tool\n", wheelhouse=wheels)
    assert "uv_unavailable" in warnings_of(run)
    assert (index.builds, has(rig, "built-tool", "1.0")) == ([], True)


def test_a_note_says_what_a_wheel_was_built_for(machine: Any, git_server: GitServer, index: PackageIndex) -> None:
    index.counted_sdist("compiled-tool", "1.0", tag=LINUX)
    rig = machine()
    run = install(rig, git_server, "first", "compiled-tool\n")
    (kept,) = listed(kept_in(rig))
    note = json.loads(Path(f"{kept.path}.json").read_text())
    assert note["facts"]["torch"].startswith("2.") and note["facts"]["cuda"] == "12.8"
    assert (note["task_id"], note["bytes"]) == (run.task_id, kept.path.stat().st_size)
