"""The cases: what is wrong, and what a user must then be told. An entry is a complete contribution."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.standin.git_rules import MISSING, PRIVATE, RepoRule
from app.standin.instance import StandIn
from app.standin.packs import PackSource

Prepare = Callable[[StandIn, str, str], None]
"""(instance, the pack's name, its repository's address)."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One pack and its expected end. `code` None: no error at all; several states or codes: separated by `|`.

    source: what is in it; `{folder}` in its requirements is a folder of the bench. rule: how git serves it; entry: more
    of its manifest entry; prepare: what is done to the instance before.
    """

    title: str
    state: str
    code: str | None
    source: PackSource = field(default_factory=PackSource)
    rule: RepoRule | None = None
    entry: Mapping[str, Any] = field(default_factory=dict)
    prepare: Prepare | None = None


@dataclass(frozen=True, slots=True)
class Scenario:
    """Faults that do not disturb each other, in one install, with two packs that must end well beside them.

    standin, request: more arguments of StandIn (its environment has no pip, unless said), more fields of the runner's
    request; plain, good: the states in which the two end, the one without requirements and the one with; good_code: the
    latter's reason; run_error: the reason for which the run itself fails, if it does.
    """

    title: str
    faults: Sequence[Fault] = ()
    standin: Mapping[str, Any] = field(default_factory=dict)
    request: Mapping[str, Any] = field(default_factory=dict)
    mount: str | None = None
    """`read-only`, or the size of a tmpfs: what custom_nodes is. Needs root."""
    plain: str = "verified"
    good: str = "verified"
    good_code: str | None = None
    run_error: str | None = None


def _needs(text: str | bytes, *imports: str, **more: Any) -> PackSource:
    if isinstance(text, bytes):
        return PackSource(files={"requirements.txt": text}, imports=imports, **more)
    return PackSource(requirements=text, imports=imports, **more)


def _scripted(script: str) -> PackSource:
    """A pack that cannot be imported before its script did its work."""
    text = "from pathlib import Path\nPath(__file__).with_name('made.txt').read_text()\n"
    return PackSource(install_py=script, files={"__init__.py": text + "NODE_CLASS_MAPPINGS = {}\n"})


def _importing(text: str) -> PackSource:
    return PackSource(files={"__init__.py": text})


def _change_it(standin: StandIn, name: str, url: str) -> None:
    folder = standin.custom_nodes / name
    subprocess.run(["git", "clone", "-q", url, str(folder)], check=True, capture_output=True, timeout=60)
    (folder / "VERSION").write_text("mine\n", "utf-8")


def _take_name(standin: StandIn, name: str, _url: str) -> None:
    (standin.custom_nodes / name).mkdir()
    (standin.custom_nodes / name / "notes.txt").write_text("mine\n", "utf-8")


_BIG = PackSource(payload_bytes=300_000)
_NOTHING = "failed"
_NO_SUCH = "nodeferry_no_such_module"

CLONES = (
    Fault("repository is missing", _NOTHING, "repository_not_found", rule=MISSING),
    Fault("repository is private", _NOTHING, "repository_not_found_or_private", rule=PRIVATE),
    Fault("host is not reached", _NOTHING, "host_not_reached", entry={"repo_url": "http://127.0.0.1:1/o/unreached"}),
    Fault("server limits the rate", _NOTHING, "rate_limited", rule=RepoRule(status=429)),
    Fault("download stalls", _NOTHING, "stalled", _BIG, rule=RepoRule(stall_after_bytes=50_000)),
    Fault("download is cut", _NOTHING, "transfer_cut", _BIG, rule=RepoRule(cut_after_bytes=50_000)),
    Fault("download is cut once", "verified", None, _BIG, rule=RepoRule(cut_after_bytes=50_000, times=1)),
    Fault("no such branch", _NOTHING, "bad_ref", entry={"ref": "no-such-branch"}),
    Fault("no such commit", _NOTHING, "bad_ref", entry={"ref": "0123456789abcdef0123456789abcdef01234567"}),
    Fault("its parent is missing", _NOTHING, "parent_missing", entry={"subfolder": "no-parent/child"}),
    Fault("tracked files were changed", _NOTHING, "local_changes", prepare=_change_it),
    Fault("its name is taken", _NOTHING, "name_taken", prepare=_take_name),
)
REQUIREMENTS = (
    Fault(
        "file of the manifest is missing",
        "failed|verified",
        "requirements_file_missing",
        entry={"requirements_file": "other.txt"},
    ),
    Fault("no such package", _NOTHING, "requirement_not_found", _needs("nodeferry-no-such-package\n", _NO_SUCH)),
    Fault("no such version", _NOTHING, "requirement_not_found", _needs("tabulate==9999\n", _NO_SUCH)),
    Fault("package does not build", _NOTHING, "build_failed", _needs("{folder}/broken-1.0.tar.gz\n", _NO_SUCH)),
    Fault("-r outside of the pack", _NOTHING, "bad_requirement", _needs("-r ../../requirements.txt\n", _NO_SUCH)),
    Fault("a line that is none", _NOTHING, "bad_requirement", _needs("<<<<<<< HEAD\n", _NO_SUCH)),
    Fault("file in UTF-16", "verified", None, _needs("colorama\n".encode("utf-16"), "colorama")),
    Fault("another torch", "failed|verified", "torch_version|torch_conflict|*", _needs("torch==1.13.1\n", "torch")),
    Fault(
        "torch from an index", "verified", "*", _needs("--index-url https://example.invalid/whl/cpu\ntorch\n", "torch")
    ),
)
SCRIPTS = (
    Fault("install.py fails", _NOTHING, "script_failed|module_missing", _scripted("import nodeferry_no_such_module\n")),
    Fault("install.py asks", _NOTHING, "script_asked|script_failed", _scripted("input('Download 3 GB? [y/N] ')\n")),
    Fault("install.py hangs", _NOTHING, "script_stalled", _scripted("import time\ntime.sleep(600)\n")),
)
IMPORTS = (
    Fault("import raises", _NOTHING, "*", PackSource(broken_import="RuntimeError('no such model')")),
    Fault("import lacks a module", _NOTHING, "*", _importing(f"import {_NO_SUCH}\n")),
    Fault("import exits", _NOTHING, "*", _importing("import sys\nsys.exit(3)\n")),
    Fault("import hangs", _NOTHING, "*", _importing("import time\ntime.sleep(600)\n")),
    Fault("import crashes", _NOTHING, "*", _importing("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n")),
)
_OLD_NUMPY = "import numpy\nassert numpy.__version__ < '2'\nNODE_CLASS_MAPPINGS = {}\n"
_NEW_NUMPY = "import numpy\nassert numpy.__version__ >= '2'\nNODE_CLASS_MAPPINGS = {}\n"
_CV2 = "import cv2\ncv2.resize\nNODE_CLASS_MAPPINGS = {}\n"


def _exactly(version: str) -> PackSource:
    """A pack that needs one version of a small package, and notices another."""
    text = f"import toml\nassert toml.__version__ == '{version}'\nNODE_CLASS_MAPPINGS = {{}}\n"
    return PackSource(requirements=f"toml=={version}\n", files={"__init__.py": text})


CONFLICTS = (
    Fault("numpy>=2", "verified", None, PackSource(requirements="numpy>=2\n", files={"__init__.py": _NEW_NUMPY})),
    Fault("numpy<2 beside it", "failed", "*", PackSource(requirements="numpy<2\n", files={"__init__.py": _OLD_NUMPY})),
    Fault("wants toml 0.10.2", "verified", None, _exactly("0.10.2")),
    Fault("wants toml 0.10.1 beside it", "failed", "*", _exactly("0.10.1")),
    Fault("opencv-python", "verified", "*", _needs("opencv-python\n", files={"__init__.py": _CV2})),
    Fault("opencv-python-headless beside it", "verified", "*", _needs("opencv-python-headless\n", "cv2")),
)
LIMITS = {
    "retry_waits": [0, 0.1, 0.1],
    "low_speed": 2,
    "git_idle": 20,
    "script_idle": 5,
    "script_total": 10,
    "import_idle": 10,
}
"""Seconds: short enough to wait for, long enough for what is only slow on a loaded machine."""
SCENARIOS = (
    Scenario("clones", CLONES, request={"options": {"existing": "update"}}),
    Scenario("requirements", REQUIREMENTS),
    Scenario("scripts and imports", SCRIPTS + IMPORTS),
    Scenario("conflicts", CONFLICTS),
    Scenario("with pip beside uv", standin={"with_pip": True}),
    Scenario("system-site-packages", standin={"system_site_packages": True, "with_pip": True}),
    Scenario(
        "PEP 668",
        request={"venv_path": "/usr/bin/python3"},
        plain="installed",  # that Python has no torch, so ComfyUI does not start
        good=_NOTHING,
        good_code="externally_managed",
    ),
    Scenario("custom_nodes read-only", mount="read-only", run_error="not_writable"),
    Scenario(
        "disk full", (Fault("too large", _NOTHING, "disk_full", PackSource(payload_bytes=6_000_000)),), mount="4m"
    ),
)


def make_broken_sdist(folder: Path) -> None:
    """`broken-1.0.tar.gz`: a source distribution whose build fails."""
    source = folder / "broken-1.0"
    source.mkdir(parents=True)
    (source / "setup.py").write_text("raise RuntimeError('cannot be built: no compiler for this')\n", "utf-8")
    (source / "PKG-INFO").write_text("Metadata-Version: 1.1\nName: broken\nVersion: 1.0\n", "utf-8")
    archive = ["tar", "czf", str(folder / "broken-1.0.tar.gz"), "-C", str(folder), source.name]
    subprocess.run(archive, check=True, capture_output=True, timeout=60)
