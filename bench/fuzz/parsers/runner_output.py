"""What the runner reads of the programs that it starts: git, uv, pip, packs' scripts, ComfyUI, interpreters."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from pathlib import Path
from typing import cast

from app.protocol import reasons as codes
from app.protocol.manifest import NodePack
from app.protocol.snapshot import Problem
from app.runner.comfyui import output as comfyui
from app.runner.comfyui.crash_stacks import packs_in_stack
from app.runner.context import PackResult
from app.runner.environment.inspection import _answer_in as answer_in
from app.runner.hints import addresses, line_words, other_packs, reasons, system_packages
from app.runner.hints.uv_words import explain
from app.runner.machine.git import Git
from app.runner.machine.git_progress import GitProgress
from app.runner.packs.refs import _HEAD_IS as HEAD_IS
from app.runner.packs.refs import _listed as listed_refs
from app.runner.packs.refs import _similar as similar_refs
from app.runner.packs.submodule_addresses import _REDIRECTED as REDIRECTED
from app.runner.packs.submodule_addresses import _SCP as SCP
from app.runner.packs.submodule_addresses import _URL as URL
from app.runner.packs.submodule_addresses import _instead as instead
from app.runner.packs.submodule_addresses import listed
from app.runner.packs.submodules import _words as words_of
from app.runner.process.children import Finished
from app.runner.process.redrawn_lines import RedrawnLines
from app.runner.resolve import bad_lines, blame, plan, plan_details, wheel_sources
from app.runner.resolve.build_output import MAX_CHARS, build_detail
from app.runner.resolve.uv import is_for_want_of_network
from bench.fuzz.judge import CORPORA, Parser

_SAMPLES = CORPORA.parents[1] / "hints/samples.txt"
_MOST_CHARS = 10_000
_NAMES = ("pack", "ComfyUI-Pack", "other.pack")
_NOWHERE = Path("/nonexistent/custom_nodes")


def _wrong_problem(problem: Problem | None) -> str | None:
    """A problem that nobody could be told."""
    if problem is None:
        return None
    if problem.code not in codes.REASONS:
        return f"{problem.code!r} is no reason"
    if not problem.message.strip() or len(problem.message) > _MOST_CHARS:
        return f"{len(problem.message)} characters: {problem.message!r:.200}"
    return None


def check_git_output(data: bytes) -> str | None:
    """Progress within its bounds, refs with whole commits, and a reason."""
    wrong = _progress(data) or _redrawn(data)
    if wrong:
        return wrong
    finished = Finished(128, data)
    found = listed_refs(finished.output)
    if not all(re.fullmatch("[0-9a-f]{40}", commit) for commit in found.values()):
        return f"{found!r:.200} are no commits"
    similar_refs("main", found)
    HEAD_IS.search(finished.output)
    REDIRECTED.search(finished.output)
    if len(words_of(finished)) > 1_000:
        return "too many words"
    return _wrong_problem(reasons.of_git(finished))


def _progress(data: bytes) -> str | None:
    parser = GitProgress()
    for start in range(0, len(data), 4096):
        received = parser.feed(data[start : start + 4096])
        if received is None:
            continue
        if not 0 <= received.percent <= 100 or (received.eta or 0) < 0:
            return f"{received!r}"
    return None


def _redrawn(data: bytes) -> str | None:
    lines = RedrawnLines()
    kept = b"".join(lines.feed(data[start : start + 997]) for start in range(0, len(data), 997)) + lines.end()
    return f"{len(kept)} bytes of {len(data)}" if len(kept) > len(data) + 1 else None


def check_git_config(data: bytes) -> str | None:
    """Submodules inside of their checkout, and options that are one line each."""
    for _, path, url in listed(cast("Git", _Said(data)), _NOWHERE):
        if path.startswith(("/", "-")) or ".." in path.split("/"):
            return f"the path {path!r}"
        found = SCP.match(url) or URL.match(url)
        if found and (not found.group("host").isascii() or re.search(r"\s", found.group("path"))):
            return f"{found.groups()!r}"
        if any("\n" in option for option in instead("https://mirror.example.com/o/", url)):
            return f"the option for {url!r}"
    return None


class _Said:
    """A git that has printed this."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def ask(self, *_args: str, cwd: Path) -> bytes:
        """What it prints, wherever it is asked."""
        return self._data


def check_package_output(data: bytes) -> str | None:
    """uv's and pip's output: plans, whom it blames, what cannot be had, sizes."""
    finished = Finished(1, data)
    text = finished.output
    for change in plan.changes(text, {"numpy": "1.26.4"}):
        if not re.fullmatch(r"[A-Za-z0-9._-]+", change.package) or re.search(r"\s", change.new or ""):
            return f"{change!r}"
    result = PackResult(NodePack("pack", "https://example.com/o/pack"), _NOWHERE / "pack")
    items = [plan.PackRequirements(result, Path("/x/pack.txt"), ["numpy<2", "torch"])]
    wrong = _wrong_problem(blame.of_pack(items[0], finished, items, ["numpy>=2"])) or _wrong_problem(
        blame.of_package("numpy", finished)
    )
    if wrong:
        return wrong
    blame.suspects(items, text)
    blame.failed_package(text)
    blame.is_of_an_address(finished)
    bad_lines.unknown_names(text)
    is_for_want_of_network(finished)
    if len(explain(text)) > 400:
        return "a long explanation"
    for line in ("numpy<2", "cv2", "python>=3.9"):
        line_words.left_out(line, reasons.of_packages(finished), text, "3.11.7")
    return _uv_details(text)


def _uv_details(text: str) -> str | None:
    plan_details.owners(plan_details.parents(text), {"pack.txt": "pack"})
    sizes = plan_details.sizes_of(text, text)
    if not all(0 < size < 1 << 63 for size in sizes.values()):
        return f"{sizes!r:.200}"
    plan_details.built_of([], text)
    built = wheel_sources.built_in_output(text)
    return f"{built!r:.200}" if any("\n" in version for version in built.values()) else None


def check_script_output(data: bytes) -> str | None:
    """What install.py and builds print: a reason, details of builds, packages that the system lacks."""
    finished = Finished(1, data)
    text = finished.output
    wrong = _wrong_problem(reasons.of_script(finished)) or _wrong_problem(
        other_packs.of_missing_module(text, _NOWHERE, "pack")
    )
    if wrong:
        return wrong
    for line in text.splitlines()[:2_000]:
        detail = build_detail(line)
        if detail is not None and (len(detail) > MAX_CHARS or not detail.isprintable()):
            return f"{detail!r}"
    if len(system_packages.packages_for(text)) > system_packages.MOST:
        return "too many packages"
    found = addresses.in_output(text)
    return f"{found!r:.200}" if len(found) > 4 else None


def check_comfyui_output(data: bytes) -> str | None:
    """The table of imports, and whom a crash names."""
    text = data.decode("utf-8", "replace")
    for each in (comfyui.imports_of(text) or {}).values():
        if each.seconds < 0 or len(each.message) > comfyui.MESSAGE_CHARS:
            return f"{each!r:.200}"
        wrong = None if each.good else _wrong_problem(reasons.of_import(each.text or each.message))
        if wrong:
            return wrong
    comfyui.by_entry(comfyui.imports_of(text) or {}, _NOWHERE)
    comfyui.last_words(text)
    named = {comfyui.suspect(text, _NAMES), comfyui.hanging_in(text, _NAMES)} - {None}
    if not named | set(packs_in_stack(comfyui.plain_lines(text), _NAMES)) <= set(_NAMES):
        return f"{named!r} are no packs"
    return _wrong_problem(reasons.of_import(text))


def check_interpreter_answer(data: bytes) -> str | None:
    """What an interpreter says about itself, among what its imports print."""
    found = answer_in(data.decode("utf-8", "replace"), "/usr/bin/python3")
    return None if found is None or found.describe() else "it is not described"


def _samples(whose: str) -> Callable[[], list[bytes]]:
    """The recorded messages of programs, from the tests of the signatures."""

    @functools.cache
    def read() -> list[bytes]:
        parts = re.split(r"(?m)^@@ ", _SAMPLES.read_text("utf-8"))[1:]
        return [part.partition("\n")[2].encode() for part in parts if part.split("|")[1].strip() == whose]

    return read


_GIT_WORDS = (
    b"Receiving objects:  45% (450/1000), 12.30 MiB | 4.10 MiB/s\r",
    b"remote: ",
    b"fatal: ",
    b"error: ",
    b"warning: ",
    b"redirecting to https://",
    b"0" * 40 + b"\trefs/heads/main\n",
    b"ref: refs/heads/main\tHEAD\n",
    b"\r",
    b"^{}",
    b"fatal: unable to access 'https://",
    b"': The requested URL returned error: ",
    b"Cloning into '",
    b"\x1b[K",
    b"%",
)
_CONFIG_WORDS = (
    b"submodule.x.path\nx\0",
    b"submodule.x.url\ngit@github.com:o/n.git\0",
    b".path",
    b".url",
    b"..",
    b"/",
    b"\0",
    b"-",
    b"ssh://git@host:22/",
    b"git://",
    b"ext::sh -c id",
    b"file:///",
    b"=",
    b"ssh.github.com",
)
_UV_WORDS = (
    b" + numpy==2.0\n",
    b" - numpy==1.0\n",
    b" ~ x @ file:///x (from file:///x)\n",
    b"error: ",
    "\n  × ".encode(),
    "╰─▶ ".encode(),
    "├─▶ ".encode(),
    b"Because ",
    b"you require ",
    b" depends on ",
    b"unsatisfiable.",
    b"Failed to build `",
    b"Caused by: ",
    b" was yanked",
    b"was not found in the package registry",
    b"    # via ",
    b'[[packages]]\nname = "x"\n',
    b'{ url = "https://x/x.whl", size = 9 }',
    b"Selecting: x==1 [preference] (x-1.whl)",
    b"Could not find a version that satisfies the requirement ",
    b"(from versions: none)",
    b"ERROR: ",
    b"`",
    b"[stderr]\n",
    b"   Built x==1\n",
    b"`cp311`",
    b"with the following Python tag: ",
    b"on the following platforms: ",
)
_SCRIPT_WORDS = (
    b"Traceback (most recent call last):\n",
    b'  File "/x/custom_nodes/pack/a.py", line 1, in <module>\n',
    b"Error: ",
    b"ModuleNotFoundError: No module named 'x'\n",
    b"fatal error: x.h: No such file or directory\n",
    b"[12/80] ",
    b"/",
    b"[ 45%] Building CXX object a.cpp.o\n",
    b"gcc -c x.c -o x.o\n",
    b"https://example.com/x.bin",
    b"Warning",
    b"\x1b[31m",
    b"could not find libraries [",
    b"HTTPSConnectionPool(host='x', port=443): Max retries exceeded with url: /x",
    b"'",
)
_COMFYUI_WORDS = (
    b"Import times for custom nodes:\n",
    b"   0.1 seconds (IMPORT FAILED): /x/custom_nodes/pack\n",
    b"Cannot import /x/custom_nodes/pack module for custom nodes: x\n",
    b"   0.0 seconds: /x/custom_nodes/pack\n",
    b"Trying to load custom node /x/custom_nodes/pack\n",
    b"Fatal Python error: Aborted\n",
    b"[INFO] ",
    b"\x1b[0m",
    b"Current thread 0x1 (most recent call first):\n",
    b'  File "/x/custom_nodes/pack/a.py", line 1 in f\n',
    b"Failed to execute startup-script: /x/custom_nodes/pack/prestartup_script.py / x\n",
    b"2026-01-01 00:00:00,000 ",
    b"Skip /x module for custom nodes due to the lack of NODE_CLASS_MAPPINGS.\n",
    *_SCRIPT_WORDS[:4],
)

PARSERS = (
    Parser("git_output", check_git_output, _GIT_WORDS, _samples("g")),
    Parser("git_config", check_git_config, _CONFIG_WORDS),
    Parser("package_output", check_package_output, _UV_WORDS, _samples("p")),
    Parser("script_output", check_script_output, _SCRIPT_WORDS, _samples("s")),
    Parser("comfyui_output", check_comfyui_output, _COMFYUI_WORDS, _samples("i")),
    Parser("interpreter", check_interpreter_answer, (b"NODEFERRY_ENVIRONMENT ", b"{", b"}", b'"torch": ', b"null")),
)
