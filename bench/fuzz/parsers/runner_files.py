"""Files and answers of strangers that the runner reads: a pack's requirements and project, installed packages, the
machine's settings, pages of an index, ComfyUI's registry of packs."""

from __future__ import annotations

import functools
import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from app.runner.environment import installed_files
from app.runner.environment.package_metadata import packages_in
from app.runner.files.mounts import _mounts_in as mounts_in
from app.runner.machine import uv_config
from app.runner.machine.launch_options import launch_options
from app.runner.machine.pip_settings import PipSettings
from app.runner.machine.start_settings import start_settings
from app.runner.packs import installed
from app.runner.packs.node_registry import NodeRegistry
from app.runner.packs.node_registry import _object_in as object_in
from app.runner.requirements import lines as one_line
from app.runner.requirements import markers, upper_bounds, versions
from app.runner.requirements.files import read_file
from app.runner.resolve.pages import links_in
from bench.fuzz.judge import Parser

_MOST_LINES = 40
_MARKERS: Mapping[str, str] = {"python_version": "3.11", "sys_platform": "linux", "platform_machine": "x86_64"}


@functools.cache
def _folder() -> Path:
    """A folder of this process, in memory where there is such a place."""
    shared = Path("/dev/shm")
    where = tempfile.TemporaryDirectory(prefix="nf-fuzz-", dir=shared if shared.is_dir() else None)
    _kept.append(where)
    return Path(where.name)


_kept: list[tempfile.TemporaryDirectory[str]] = []


def _fresh(name: str) -> Path:
    folder = _folder() / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


def check_requirements(data: bytes) -> str | None:
    """Lines that are one line each, and of each the package, its bounds, and what is told of those left out."""
    folder = _folder() / "pack"
    folder.mkdir(exist_ok=True)
    (folder / "requirements.txt").write_bytes(data)
    (folder / "more.txt").write_bytes(data[: len(data) // 2])
    found = read_file(folder / "requirements.txt", folder)
    told = [found.problem, found.left_out.problem(has_others=True)]
    for text in [*found.notes, *(problem.message for problem in told if problem)]:
        if not text.isprintable() or len(text) > 3_000:
            return f"{text!r:.300} is not clean"
    for line in found.lines:
        if "\n" in line or "\r" in line or "\0" in line or not line.strip():
            return f"the line {line!r:.200}"
    return next(filter(None, map(_line, found.lines[:_MOST_LINES])), None)


def _line(line: str) -> str | None:
    asked = one_line.asked_by(line)
    if asked.name and not re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", asked.name):
        return f"the name {asked.name!r}"
    one_line.as_constraint(line)
    one_line.as_installed(line, frozenset({"numpy"}))
    upper_bounds.without_upper_bound(line, {asked.name: "2.0"})
    upper_bounds.without_bounds(line)
    markers.holds(line.partition(";")[2], _MARKERS)
    for version in re.split(r"[<>=!~,]+", asked.bounds or "")[:5]:
        versions.readable(version)
        versions.satisfies("1.0", asked.bounds or "")
    return None


def check_installed(data: bytes) -> str | None:
    """Metadata and lists of files of installed packages: names that are names, paths that are whole."""
    site = _fresh("site")
    for folder, names in (
        ("numpy-1.0.dist-info", ("METADATA", "RECORD", "direct_url.json", "INSTALLER")),
        ("old-2.0.egg-info", ("PKG-INFO", "requires.txt", "installed-files.txt", "top_level.txt")),
    ):
        (site / folder).mkdir()
        for name in names:
            (site / folder / name).write_bytes(data)
    for package in packages_in([str(site)]):
        package.to_json()
        if not re.fullmatch(r"[A-Za-z0-9._-]+", package.name) or not package.version.strip():
            return f"{package.name!r} {package.version!r}"
    packages = [each for found in installed_files.find([str(site)]).values() for each in found]
    for each in packages:
        if any(not file.path.startswith("/") or "\0" in file.path for file in each.files or ()):
            return f"{each.files!r:.200}"
        installed_files.damage(each)
    installed_files.sizes_of(packages)
    return None


def check_settings(data: bytes) -> str | None:
    """pip.conf, uv.toml, and the scripts and units that start ComfyUI."""
    root = _fresh("machine")
    (root / "pip.conf").write_bytes(data)
    (root / "uv.toml").write_bytes(data)
    environ = {"PIP_CONFIG_FILE": str(root / "pip.conf"), "UV_CONFIG_FILE": str(root / "uv.toml"), "HOME": str(root)}
    PipSettings.read(str(root), environ)
    uv_config.read(environ)
    for place in ("ComfyUI/comfyui_args.txt", "etc/supervisor/conf.d/comfyui.conf", "start.sh", "opt/start.sh"):
        path = root / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    options, _ = start_settings(root / "ComfyUI", str(root))
    launch_options(data.decode("utf-8", "surrogateescape").split("\0"), "/x")
    return None if options is not None else "no options"


def check_proc(data: bytes) -> str | None:
    """/proc/self/mountinfo: whole paths."""
    for point, _kind in mounts_in(data):
        if "\0" in point and b"\0" not in data and b"\\000" not in data:
            return f"{point!r}"
    return None


def check_pages(data: bytes) -> str | None:
    """Pages of links: addresses that are whole, with one line of HTML each."""
    for link in links_in(data.decode("utf-8", "replace"), "https://example.com/simple/x/"):
        if "\n" in link.html.rstrip("\n") and "\n" not in link.url + "".join(value for _, value in link.attributes):
            return f"{link.html!r:.200}"
        urlsplit(link.url)
        link.file  # noqa: B018 - read for what it raises
    return None


class _Registry(NodeRegistry):
    """Every answer of it has these bytes."""

    def __init__(self, data: bytes) -> None:
        super().__init__("https://registry.example.com")
        self._data = data

    def _get(self, path: str) -> Mapping[str, Any]:
        return object_in(self._data) if path else {}


def check_registry(data: bytes) -> str | None:
    """An archive with an address that may be fetched, or none."""
    found = _Registry(data).find("https://github.com/o/pack", lambda: None)
    if found is None:
        return None
    clean = found.url.startswith("https:") and found.url.isprintable() and len(found.url) <= 2_000
    named = re.fullmatch(r"[\w.-]{1,100}", found.node_id, re.ASCII) and re.fullmatch(r"[\w.+-]{1,50}", found.version)
    return None if clean and named else f"{found!r:.300}"


def check_project(data: bytes) -> str | None:
    """A pack's pyproject.toml, and the files of its .git that are read without git."""
    nodes = _fresh("nodes")
    (nodes / "pack/.git/refs/heads").mkdir(parents=True)
    for name in ("pyproject.toml", ".git/config", ".git/HEAD", ".git/packed-refs", ".git/refs/heads/main"):
        (nodes / "pack" / name).write_bytes(data)
    (nodes / "module").mkdir()
    (nodes / "module/.git").write_bytes(data)
    (nodes / "module/pyproject.toml").write_bytes(data)
    for each in installed.scan(nodes):
        if "\n" in each.address + each.project + each.repository:
            return f"{each!r:.300}"
        installed.commit_of(each.path)
    return None


_REQUIREMENT_WORDS = (
    b"numpy",
    b"==1.0",
    b">=1,<2",
    b"~=1.4",
    b"===x",
    b"; python_version < '3.9'",
    b" # c",
    b"\\\n",
    b"-r more.txt\n",
    b"-c more.txt\n",
    b"-e ./x\n",
    b"-e git+https://github.com/o/n.git@v1#egg=n&subdirectory=x\n",
    b"--index-url ",
    b"--hash=sha256:" + b"0" * 64,
    b"--find-links ",
    b"${HOME}",
    b"[extra,more]",
    b" @ file:///x",
    b"x-1-py3-none-any.whl",
    b"--config-settings=",
    b"<!doctype html>",
    b"(",
    b")",
    b"||",
    b" and ",
    b" or ",
    b"\xef\xbb\xbf",
    b"\xff\xfe",
)
_INSTALLED_WORDS = (
    b"Metadata-Version: 2.1\n",
    b"Name: ",
    b"Version: ",
    b"Requires-Dist: ",
    b"Provides-Extra: ",
    b"../../../bin/x,,\n",
    b"numpy/__init__.py,sha256=x,12\n",
    b'"',
    b",",
    b"[extra:python_version<'3']\n",
    b'{"url": "https://x", "vcs_info": {}}',
    b"/etc/passwd,,9\n",
    b"9" * 5000,
    b"\0",
)
_SETTINGS_WORDS = (
    b"[global]\n",
    b"[install]\n",
    b"index-url = ",
    b"extra-index-url =\n  ",
    b"[[index]]\n",
    b"[pip]\n",
    b'url = "x"\n',
    b"%(x)s",
    b"command=/opt/start.sh\n",
    b"ExecStart=",
    b"cd ",
    b"python main.py --base-directory ",
    b"${X:-",
    b"$X",
    b"directory=/opt\n",
    b"'",
    b'"',
    b"\\\n",
    b"{",
    b"[",
    b"=",
    b"--extra-model-paths-config ",
    b"\0",
)
_PROC_WORDS = (b" - overlay overlay rw\n", b"\\040", b"\\777", b" / /x rw ", b"shared:1 ")
_PAGE_WORDS = (
    b'<a href="',
    b'">x-1-py3-none-any.whl</a>',
    b'<base href="',
    b"#sha256=",
    b"<!--",
    b"-->",
    b"<![CDATA[",
    b"&#",
    b"//[",
    b' data-yanked="',
    b"<script>",
    b"</script>",
    b"<?",
    b"&amp;",
    b"javascript:",
    b"http://[::1",
    b"\0",
    b"'",
)
_REGISTRY_WORDS = (
    b'"id": ',
    b'"repository": ',
    b'"downloadUrl": ',
    b'"version": ',
    b'"nodes": [',
    b"https://github.com/o/pack",
    b"[[[[",
)
_PROJECT_WORDS = (
    b"[project]\n",
    b'name = "x"\n',
    b'Repository = "https://github.com/o/n"\n',
    b'[remote "origin"]\n',
    b"\turl = ",
    b"ref: refs/heads/main\n",
    b"gitdir: ",
    b"0" * 40,
    b" refs/heads/main\n",
    b"..",
    b'"',
    b"\r\n",
    b"\0",
)

PARSERS = (
    Parser("requirements", check_requirements, _REQUIREMENT_WORDS),
    Parser("installed", check_installed, _INSTALLED_WORDS),
    Parser("settings", check_settings, _SETTINGS_WORDS),
    Parser("proc", check_proc, _PROC_WORDS),
    Parser("pages", check_pages, _PAGE_WORDS),
    Parser("registry", check_registry, _REGISTRY_WORDS, as_json=True),
    Parser("project", check_project, _PROJECT_WORDS),
)
