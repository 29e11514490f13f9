"""How ComfyUI is started on this machine, where none runs: what images and their owners wrote down.

Sources: the start scripts of vast.ai's and ai-dock's images (`COMFYUI_ARGS`, supervisord), RunPod's (comfyui_args.txt),
yanwk's (`CLI_ARGS`), mmartial's (`COMFY_CMDLINE_EXTRA`, `BASE_DIRECTORY`); supervisord's and systemd's own files. It
is only read, and nothing of it is run.
"""

from __future__ import annotations

import glob
import os
import re
import shlex
from pathlib import Path
from typing import Iterator, List, Mapping, Tuple

from app.runner.machine.launch_options import LaunchOptions, launch_options
from app.runner.process.processes import environ_of

_VARIABLES = ("COMFYUI_ARGS", "COMFYUI_FLAGS", "CLI_ARGS", "COMFY_CMDLINE_EXTRA", "COMFY_ARGS", "COMFYUI_EXTRA_ARGS")
_BASES = ("COMFYUI_BASE_DIRECTORY", "BASE_DIRECTORY")
_ARGUMENT_FILES = ("comfyui_args.txt",)
_MACHINE_ARGUMENTS = ("etc/comfyui_args.conf",)
_UNITS = (
    "etc/supervisor/conf.d/*.conf",
    "etc/supervisor/supervisord/conf.d/*.conf",
    "etc/supervisor/supervisord.conf",
    "etc/supervisord.conf",
    "etc/systemd/system/*comfy*.service",
)
_SCRIPT = re.compile(
    r"^(?:command|ExecStart)\s*=\s*(?:/bin/|/usr/bin/)?(?:ba)?(?:sh\s+)?(/[^\s;]+\.sh)\b", re.MULTILINE
)
_FOLDER = re.compile(r"^(?:directory|WorkingDirectory)\s*=\s*(/\S+)", re.MULTILINE)
_ENTERED = re.compile(r"^[ \t]*(?:cd[ \t]+|directory\s*=\s*|WorkingDirectory\s*=\s*)\"?([/$][^\s;&\"]*)", re.MULTILINE)
_EXPANDED = re.compile(r"\$\{(\w+)(?::?-([^}]*))?\}|\$(\w+)")
_MOST_FILES, _MOST_BYTES = 40, 64 * 1024


def start_settings(ui_home: Path, root: str = "/") -> Tuple[LaunchOptions, str]:
    """What it will be started with, as far as it concerns packs, and who says so; no options and no word where nobody
    does. What names a base directory that does not exist counts as nothing. `root`: of the machine's own files."""
    environ = {**environ_of(1), **os.environ}  # the container's own, of which sshd hands none on, and the login's
    for source, words, cwd in _said(ui_home, environ, root):
        options = launch_options(words, cwd)
        base = options.base_directory
        if (base is not None and base.is_dir()) or (base is None and (options.extra_configs or options.without_packs)):
            return options, source
    return LaunchOptions(), ""


def _said(ui_home: Path, environ: Mapping[str, str], root: str) -> Iterator[Tuple[str, List[str], str]]:
    """Who says it, the words behind main.py, and the folder that they start from."""
    home = str(ui_home)
    for name in _ARGUMENT_FILES:
        path = str(ui_home.parent / name)
        yield path, _words("\n".join(line.partition("#")[0] for line in _text(path).splitlines()), environ), home
    for path in (os.path.join(root, name) for name in _MACHINE_ARGUMENTS):
        yield path, _words(_text(path), environ), home
    for path, text in _units(root):
        folder = (_FOLDER.findall(text) or [home])[0]
        for words in _command_lines(text, ui_home, environ):
            yield path, words, folder
    for name in _VARIABLES:
        yield "the variable %s" % name, _words(environ.get(name, ""), environ), home
    for name in _BASES:
        if environ.get(name, "").startswith("/"):
            yield "the variable %s" % name, ["--base-directory", environ[name]], home


def _units(root: str) -> Iterator[Tuple[str, str]]:
    """The files that say what is started, and the scripts that they name."""
    paths = [path for pattern in _UNITS for path in sorted(glob.glob(os.path.join(root, pattern)))][:_MOST_FILES]
    for path in paths:
        text = _text(path)
        yield path, text
        for script in _SCRIPT.findall(text):
            yield script, _text(script)


def _command_lines(text: str, ui_home: Path, environ: Mapping[str, str]) -> Iterator[List[str]]:
    """The words behind main.py in each line that starts it, unless that is another folder's."""
    home = os.path.realpath(str(ui_home))
    entered = [
        _EXPANDED.sub(lambda found: _value(found, environ), path) for path in _ENTERED.findall(text.replace("\0", ""))
    ]
    elsewhere = bool(entered) and home not in map(os.path.realpath, entered)
    for line in re.sub(r"\\\n", " ", text).splitlines():
        words = _words(line, environ) if "main.py" in line and not line.lstrip().startswith("#") else []
        at = next((number for number, word in enumerate(words) if os.path.basename(word) == "main.py"), None)
        if at is None:
            continue
        folder = os.path.dirname(words[at])
        if os.path.realpath(folder) == home if os.path.isabs(folder) else not elsewhere:
            yield words[at + 1 :]


def _words(text: str, environ: Mapping[str, str]) -> List[str]:
    """As a shell would split it, variables filled in. What it could not split is left out."""
    try:
        return shlex.split(_EXPANDED.sub(lambda found: _value(found, environ), text[:_MOST_BYTES]))
    except ValueError:
        return []


def _value(found: re.Match[str], environ: Mapping[str, str]) -> str:
    return environ.get(found.group(1) or found.group(3), found.group(2) or "")


def _text(path: str) -> str:
    try:
        if not os.path.isfile(path):
            return ""
        with open(path, "rb") as file:
            return file.read(_MOST_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""
