"""The command line of `install`, and the request that it asks for."""

from __future__ import annotations

import argparse
import errno
import json
import os
import sys
from typing import Any, BinaryIO, Dict, List, Mapping, NoReturn, Tuple

from app.protocol import amounts
from app.protocol.known_bad import read_known_bad
from app.protocol.lockfile import read_lock
from app.protocol.manager_snapshot import named
from app.protocol.manifest import ManifestFault, parse_csv, parse_nodes, parse_urls, split_source
from app.protocol.options import OPTIONS, Option, Options
from app.protocol.other_files.read import read_file
from app.protocol.snapshot_text import decoded, load
from app.protocol.terminal_text import one_line

_FORMAT = argparse.RawDescriptionHelpFormatter
_MORE = """\
examples:
  python3 {file} install --url https://github.com/OWNER/REPOSITORY
  python3 {file} install --csv list.csv --ui-home /workspace/ComfyUI --restart
  cat list.csv | python3 {file} install --csv - --plan-only

A list begins with the line Name,RepoUrl,Subfolder,RequirementsFile (Ref may follow); empty cells are fine.
Ctrl-C cancels in order. Everything is logged below ~/.local/state/nodeferry.

exit status: 0 all packs are installed (or planned), 3 some, 1 none or the run failed, 130 cancelled, 2 for a command
line or a list that cannot be; then nothing was begun.
"""


def request_of(argv: List[str]) -> Dict[str, Any]:
    """What the engine is to do. Exits with 2, and a sentence on stderr, for what cannot be; with 0 for --help."""
    parser = _parser()
    args = parser.parse_args(argv)
    try:
        manifest = _manifest(args)
        form = _check(manifest, _schemes(args))
        if args.exact:
            _nothing_left_out(manifest)
    except ManifestFault as fault:
        parser.error("the list cannot be installed: %s" % fault)
    except (OSError, ValueError) as exc:
        parser.error("the list cannot be read: %s" % exc)
    try:
        known_bad = json.loads(_read(args.known_bad)) if args.known_bad else []
        read_known_bad(known_bad)
    except (OSError, ValueError, RecursionError) as exc:
        parser.error("--known-bad cannot be used: %s" % exc)
    try:
        options = Options.read({name: _value(args, option) for name, option in _options().items()})
    except ValueError as exc:
        parser.error(str(exc))
    if args.exact and form != "lock":
        parser.error("--exact is for a --lock")
    return {
        "ui_home": None if args.ui_home is None else os.path.abspath(args.ui_home),
        "venv_path": None if args.venv_path is None else os.path.abspath(args.venv_path),
        "manifest": manifest,
        "options": {name: getattr(options, name) for name in _options()},
        "schemes": _schemes(args),
        "version": "by hand",
        "known_bad": known_bad,
    }


def _options() -> Dict[str, Option]:
    """Those of a run's options that have a flag here."""
    return {name: option for name, option in OPTIONS.items() if not option.not_standalone}


def _value(args: argparse.Namespace, option: Option) -> Any:
    """What was given; where it was not, and a person is at a terminal, what terminals send."""
    given = getattr(args, option.name)
    if given is None and option.on_terminal is not None:
        return option.on_terminal if is_terminal() else option.default
    return given


def is_terminal() -> bool:
    """Whether a person can read and answer. A list may have come through the input."""
    return all(stream is not None and not stream.closed and stream.isatty() for stream in (sys.stdin, sys.stdout))


def _argument(option: Option) -> Dict[str, Any]:
    """What argparse is told of the option's flag."""
    default = None if option.on_terminal is not None else option.default
    about: Dict[str, Any] = {"dest": option.name, "default": default, "help": option.flag_help}
    if option.type is bool:
        return {**about, "action": "store_const", "const": not option.default}
    if option.is_list:
        return {**about, "default": list(option.default), "action": "append", "metavar": option.metavar}
    return {**about, "type": option.type, "choices": option.choices or None, "metavar": option.metavar or None}


def _manifest(args: argparse.Namespace) -> Mapping[str, Any]:
    """Raises OSError, ValueError."""
    if args.url:
        return {"urls": args.url}
    if args.csv:
        return {"csv": _read(args.csv)}
    if args.nodes:
        given = json.loads(_read(args.nodes))
        if isinstance(given, list):
            return {"nodes": given}
        if not isinstance(given, dict):
            raise ValueError("it is no JSON object, and no list of node packs")
        return given
    text = _read(args.lock)
    if "node_packs" in text:
        lock = load(text)[0]
        inner = lock.get("lock") if isinstance(lock, dict) else None  # the service's whole answer
        return {"lock": inner if isinstance(inner, dict) else lock}
    return read_file(text, _schemes(args), "the file").to_install("the file")


def _nothing_left_out(manifest: Mapping[str, Any]) -> None:
    """Raises ManifestFault naming everything of a snapshot that cannot be had."""
    left_out = (manifest.get("lock") or manifest).get("left_out") if "csv" not in manifest else None
    if left_out:
        raise ManifestFault("lock", "--exact leaves nothing out. %s" % named(left_out, len(left_out)))


def _check(manifest: Mapping[str, Any], schemes: List[str]) -> str:
    """The manifest's form, checked before anything is begun. Raises ManifestFault."""
    form, value = split_source(manifest)
    if form == "lock":
        read_lock(value, schemes)
    elif form in ("csv", "nodes", "urls"):
        {"csv": parse_csv, "nodes": parse_nodes, "urls": parse_urls}[form](value, schemes)
    return form


def _schemes(args: argparse.Namespace) -> List[str]:
    return ["https", "ssh", *args.scheme]


def _read(path: str) -> str:
    """UTF-8 or UTF-16, whatever the locale is. Raises OSError, for more than any list has too."""
    if path == "-":
        return _text(sys.stdin.buffer, path)
    with open(path, "rb") as file:
        return _text(file, path)


def _text(file: BinaryIO, path: str) -> str:
    raw = file.read(_MOST_BYTES + 1)
    if len(raw) > _MOST_BYTES:
        raise OSError(errno.EFBIG, "larger than %s" % amounts.size(_MOST_BYTES), path)
    return decoded(raw)


_MOST_BYTES = 4 * 1024 * 1024


_SOURCES: Tuple[Tuple[str, Dict[str, Any]], ...] = (
    ("--csv", {"metavar": "FILE", "help": "the list: Name,RepoUrl,Subfolder,RequirementsFile; - reads stdin"}),
    ("--url", {"metavar": "URL", "action": "append", "help": "a pack's repository; may be given many times"}),
    ("--nodes", {"metavar": "FILE", "help": "the list as JSON: node packs, or a manifest as the API takes it"}),
    ("--lock", {"metavar": "FILE", "help": "the lock of an earlier install: exactly its commits and packages"}),
    ("--snapshot", {"metavar": "FILE", "dest": "lock", "help": "a snapshot of ComfyUI-Manager, JSON or YAML"}),
    (
        "--file",
        {"metavar": "FILE", "dest": "lock", "help": "another tool's file: comfy-build.yaml, provisioning.yaml …"},
    ),
    ("--manifest", {"metavar": "FILE", "dest": "nodes", "help": argparse.SUPPRESS}),  # as --nodes was called before
)
_OTHERS: Tuple[Tuple[str, Dict[str, Any]], ...] = (
    ("--ui-home", {"metavar": "DIR", "help": "ComfyUI's folder; found by itself where it can be"}),
    ("--venv-path", {"metavar": "DIR", "help": "ComfyUI's Python environment; found by itself where it can be"}),
    (
        "--scheme",
        {"action": "append", "default": [], "metavar": "NAME", "help": "another scheme of repositories: http"},
    ),
    ("--known-bad", {"metavar": "FILE", "help": "JSON: packs and packages that are refused besides the known cases"}),
)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """A list comes from elsewhere, and so do the words that are said of it."""
        super().error(one_line(message))


def _parser() -> argparse.ArgumentParser:
    text = "Installs ComfyUI node packs on this machine, here and now."
    file = os.path.basename(sys.argv[0] or "FILE")
    parser = _Parser(
        prog="python3 %s install" % file,
        description=text,
        epilog=_MORE.replace("{file}", file),
        formatter_class=_FORMAT,
        allow_abbrev=False,
    )
    source = parser.add_mutually_exclusive_group(required=True)
    for name, about in _SOURCES:
        source.add_argument(name, **about)
    for name, about in _OTHERS:
        parser.add_argument(name, **about)
    for option in _options().values():
        parser.add_argument(option.flag, **_argument(option))
    return parser
