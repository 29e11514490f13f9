"""Over which protocols git goes: the service's setting decides for submodules, redirects, rewritten addresses, Git LFS,
and for the gits of uv and pip, whatever the machine's or a repository's own configuration says."""

from __future__ import annotations

import socketserver
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest

from app.standin.git_cgi import git_program
from app.standin.git_rules import RepoRule
from app.standin.git_server import GitServer
from app.standin.packs import Pack, make_pack
from test.plan.box import Box
from test.plan.conftest import box, box_factory, index
from test.runner.conftest import old_python, rig, rig_factory
from test.runner.rig import Rig, Run, git, node

__all__ = ["box", "box_factory", "index", "old_python", "rig", "rig_factory"]
pytestmark = pytest.mark.slow
_SETTING = "NODEFERRY_ALLOWED_GIT_SCHEMES"


@contextmanager
def git_daemon(folder: Path) -> Iterator[str]:
    """Serves repositories by git's own protocol; the address of the folder."""

    class Serve(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            argv = [git_program(), "daemon", "--inetd", "--export-all", f"--base-path={folder}", str(folder)]
            subprocess.run(argv, stdin=self.request, stdout=self.request, stderr=subprocess.DEVNULL, check=False)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Serve) as server:
        thread = Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield f"git://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def trusting(rig: Rig) -> None:
    """A machine whose own git goes anywhere, as some images have it."""
    for key in ("protocol.allow", "protocol.file.allow", "protocol.ext.allow", "protocol.git.allow"):
        git(rig.home, "config", "--file", str(rig.home / ".gitconfig"), key, "always")


def with_submodule(server: GitServer, name: str, inner: Pack, url: str) -> Pack:
    modules = f'[submodule "lib"]\n\tpath = lib\n\turl = {url}\n'
    return make_pack(server, "o", name, submodules={"lib": inner}, files={".gitmodules": modules})


def message(run: Run, name: str) -> str:
    error = run.snapshot().nodes[name].error
    return f"{error.message} {error.hint}" if error else ""


def test_a_submodule_goes_only_where_the_setting_allows(rig: Rig, git_server: GitServer) -> None:
    """The pack is there without it, as with any submodule that cannot be had, and it is told which, and what the
    setting is. Nothing is fetched, and nothing is run. One that is allowed, by a relative address, comes."""
    trusting(rig)
    canary = rig.home / "canary"
    inner = make_pack(git_server, "o", "inner")
    bare = git_server.path_of("o", "inner")
    with git_daemon(git_server.path_of("o", "x").parent.parent) as daemon:
        urls = {
            "file": bare.as_uri(),
            "path": str(bare),
            "ext": f"ext::sh -c touch% {canary}",
            "git": f"{daemon}/o/{bare.name}",
            "fd": "fd::0",
        }
        packs = [with_submodule(git_server, f"by-{scheme}", inner, url) for scheme, url in urls.items()]
        packs.append(with_submodule(git_server, "relative", inner, "../inner"))
        run = rig.install([node(pack) for pack in packs], schemes=["http"])
    for scheme in urls:
        said = message(run, f"by-{scheme}")
        assert run.state(f"by-{scheme}") == "installed submodule_missing", said
        word = "file" if scheme == "path" else scheme
        assert "lib of " in said, said
        assert f"({word})" in said, said
        assert _SETTING in said, said
        assert not (rig.custom_nodes / f"by-{scheme}" / "lib" / "VERSION").exists()
    assert not canary.exists()
    assert run.state("relative") == "installed"
    assert (rig.custom_nodes / "relative" / "lib" / "VERSION").exists()


def test_http_is_no_way_to_a_submodule_where_it_is_not_allowed(rig: Rig, git_server: GitServer) -> None:
    """The pack comes by another scheme, which the setting has."""
    trusting(rig)
    inner = make_pack(git_server, "o", "inner")
    pack = with_submodule(git_server, "pack", inner, inner.url)
    bare = git_server.path_of("o", "pack")
    with git_daemon(bare.parent.parent) as daemon:
        nodes = [{"name": "pack", "repo_url": f"{daemon}/o/{bare.name}"}]
        refused = rig.install(nodes, schemes=["git"])
        asked = git_server.requests()
        allowed = rig.install(nodes, schemes=["git", "http"], options={"existing": "update"})
    assert refused.state("pack") == "installed submodule_missing", message(refused, "pack")
    assert "(http)" in message(refused, "pack")
    assert not asked
    assert allowed.state("pack") == "installed", message(allowed, "pack")
    assert (rig.custom_nodes / pack.name / "lib" / "VERSION").exists()


def test_redirects_and_rewritten_addresses_obey_the_setting(rig: Rig, git_server: GitServer) -> None:
    """A server leads git to https, and configurations lead it to the disk: the machine's, and that of a pack that is
    there, whose update does not follow it."""
    trusting(rig)
    there, moved = make_pack(git_server, "o", "there"), make_pack(git_server, "o", "moved")
    bare = git_server.path_of("o", "there")
    git(rig.custom_nodes, "clone", "-q", there.url, "there")
    git(rig.custom_nodes / "there", "config", f"url.{bare}.insteadOf", there.url)
    settings = str(rig.home / ".gitconfig")
    git(rig.home, "config", "--file", settings, f"url.{bare}.insteadOf", "http://mirrored.invalid/o/n")
    git_server.set_rule("o/moved", RepoRule(moved_to="https://127.0.0.1:9/o/moved"))
    nodes = [node(there), node(moved), {"name": "mirrored", "repo_url": "http://mirrored.invalid/o/n"}]
    run = rig.install(nodes, schemes=["http"], options={"existing": "update"})
    for name, scheme in (("moved", "https"), ("mirrored", "file")):
        assert run.state(name) == "failed git_scheme_refused", message(run, name)
        assert f"({scheme})" in message(run, name)
        assert _SETTING in message(run, name)
    assert run.state("there") == "failed git_scheme_refused", message(run, "there")


def test_uv_fetches_requirements_only_by_allowed_schemes(box: Box, git_server: GitServer) -> None:
    """Submodules of what it fetches too. Its own copies on the disk go on working."""
    trusting(box)
    project = '[project]\nname = "remote-lib"\nversion = "1"\n[build-system]\nrequires = []\n'
    project += 'build-backend = "backend"\nbackend-path = ["."]\n'
    files = {"pyproject.toml": project, "backend.py": _BACKEND}
    make_pack(git_server, "o", "library", files=files)
    inner = make_pack(git_server, "o", "inner")
    modules = f'[submodule "lib"]\n\tpath = lib\n\turl = {git_server.path_of("o", "inner").as_uri()}\n'
    make_pack(git_server, "o", "nested", files={**files, ".gitmodules": modules}, submodules={"lib": inner})
    good = box.pack("good", f"remote-lib @ git+{git_server.url}/o/library")
    nested = box.pack("nested-one", f"remote-lib @ git+{git_server.url}/o/nested")
    with git_daemon(git_server.path_of("o", "x").parent.parent) as daemon:
        by_http = {**good, "name": "by-http", "repo_url": f"{daemon}/owner/{git_server.path_of('owner', 'good').name}"}
        runs = {
            "by-http": box.run_of(by_http, schemes=["git"]),
            "nested-one": box.run_of(nested, schemes=["http"]),
            "good": box.run_of(good, schemes=["http"]),
        }
    for name, scheme in (("by-http", "http"), ("nested-one", "file")):
        assert runs[name].state(name) == "failed git_scheme_refused", message(runs[name], name)
        assert f"({scheme})" in message(runs[name], name)
    assert runs["good"].state("good") == "installed", message(runs["good"], "good")


_BACKEND = """
import zipfile
def build_wheel(folder, config_settings=None, metadata_directory=None):
    name = "remote_lib-1-py3-none-any.whl"
    with zipfile.ZipFile(f"{folder}/{name}", "w") as wheel:
        wheel.writestr("remote_lib.py", "")
        wheel.writestr("remote_lib-1.dist-info/METADATA", "Metadata-Version: 2.1\\nName: remote-lib\\nVersion: 1\\n")
        wheel.writestr("remote_lib-1.dist-info/WHEEL", "Wheel-Version: 1.0\\nTag: py3-none-any\\n")
        wheel.writestr("remote_lib-1.dist-info/RECORD", "")
    return name
"""
