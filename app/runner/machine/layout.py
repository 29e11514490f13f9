"""Where one ComfyUI has its packs: its base directory, and the folders that extra_model_paths.yaml adds.

Sources: ComfyUI's folder_paths.py (`--base-directory`, `add_model_folder_path`) and utils/extra_config.py. Packs go to
the first folder of custom_nodes, as with ComfyUI-Manager.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import AbstractSet, Any, Iterator, List, Optional, Tuple

from app.protocol.yaml_text import parse_yaml
from app.runner.machine.comfyui_processes import Process, running_in
from app.runner.machine.launch_options import LaunchOptions
from app.runner.machine.start_settings import start_settings
from app.runner.process.errors import RunFault

_EXTRA = "extra_model_paths.yaml"
_MOST_BYTES = 256 * 1024
_MOST_FOLDERS = 50


@dataclass(frozen=True)
class Layout:
    """`base`: the base directory, None for ComfyUI's own folder. `custom_nodes`: where packs go, None for the one in
    the base. `others`: further folders that ComfyUI loads packs from. `source`: who says so, empty for nobody.
    `problems`: what could not be read, in words."""

    base: Optional[Path] = None
    custom_nodes: Optional[Path] = None
    others: Tuple[Path, ...] = ()
    options: LaunchOptions = field(default_factory=LaunchOptions)
    source: str = ""
    problems: Tuple[str, ...] = ()

    def argv(self, known: AbstractSet[str]) -> List[str]:
        """The options with which a quick test finds the same packs and models. `known`: those that this ComfyUI has."""
        found = ["--base-directory", str(self.base)] if self.base and "--base-directory" in known else []
        configs = [str(path) for path in self.options.extra_configs if path.is_file()]
        return [*found, "--extra-model-paths-config", *configs] if configs else found

    def in_words(self) -> str:
        """What is not as usual; empty where all is."""
        said = ["packs go to %s" % self.custom_nodes] if self.custom_nodes else []
        said += ["more packs are in %s" % ", ".join(map(str, self.others))] if self.others else []
        return "%s (%s)" % ("; ".join(said), self.source) if said else ""


def base_of(process: Process) -> Path:
    """The base directory of a running ComfyUI, links resolved."""
    return Path(os.path.realpath(str(process.options.base_directory or process.folder)))


def running_with(ui_home: Path, base: Optional[Path]) -> List[Process]:
    """The ComfyUIs that run in this folder with this base directory."""
    wanted = Path(os.path.realpath(str(base or ui_home)))
    return [process for process in running_in(ui_home) if base_of(process) == wanted]


def layout_of(ui_home: Path, base: Optional[Path] = None) -> Layout:
    """Where the ComfyUI in this folder has its packs. A running one says it; else what starts it on this machine.
    `base`: the base directory that the request means. Raises RunFault `ui_home_ambiguous`."""
    running = running_in(ui_home)
    bases = sorted({base_of(process) for process in running})
    if base is not None:
        wanted = Path(os.path.realpath(str(base)))
        matching = [process for process in running if base_of(process) == wanted]
        if matching:
            return _with_extras(ui_home, matching[0].options, "it runs so, %s" % matching[0])
        options, source = start_settings(ui_home)
        own = options.base_directory and Path(os.path.realpath(str(options.base_directory))) == wanted
        return _with_extras(ui_home, options if own else LaunchOptions(base_directory=wanted), source or "as asked for")
    if len(bases) > 1:
        text = "Several ComfyUIs run from %s, with different base directories: %s."
        listed = ", ".join(map(str, bases))
        raise RunFault("ui_home_ambiguous", text % (ui_home, listed), "Give one of them as ui_home.")
    if running:
        return _with_extras(ui_home, running[0].options, "it runs so, %s" % running[0])
    return _with_extras(ui_home, *start_settings(ui_home))


def layout_at(ui_home: Path, base: Path, custom_nodes: Path) -> Layout:
    """The one that an earlier run noted."""
    own = custom_nodes == ui_home / "custom_nodes"
    return Layout(None if base == ui_home else base, None if own else custom_nodes)


def _with_extras(ui_home: Path, options: LaunchOptions, source: str) -> Layout:
    base = options.base_directory
    if base is not None and os.path.realpath(str(base)) == os.path.realpath(str(ui_home)):
        base = None
    usual = (base or ui_home) / "custom_nodes"
    folders, problems = [usual], []
    for config in (ui_home / _EXTRA, *options.extra_configs):
        try:
            for folder, is_default in _pack_folders(config):
                known = [path for path in folders if os.path.realpath(str(path)) == os.path.realpath(str(folder))]
                if is_default:
                    folders = [*(known or [folder]), *(path for path in folders if path not in known)]
                elif not known:
                    folders.append(folder)
        except (OSError, ValueError) as exc:
            problems.append("%s: %s" % (config, getattr(exc, "strerror", None) or exc))
    first, others = folders[0], tuple(path for path in folders[1:_MOST_FOLDERS] if path.is_dir())
    source = source or (_EXTRA if others or first != usual else "")
    own = None if first == ui_home / "custom_nodes" else first
    return Layout(base, own, others, options, source, tuple(problems))


def _pack_folders(config: Path) -> Iterator[Tuple[Path, bool]]:
    """The folders of packs in a file like extra_model_paths.yaml, and whether they are to come first. None where the
    file does not exist. Raises OSError, ValueError."""
    if not config.is_file():
        return
    with open(str(config), "rb") as file:
        sections = parse_yaml(file.read(_MOST_BYTES).decode("utf-8", "replace"))
    for section in sections.values() if isinstance(sections, dict) else ():
        if isinstance(section, dict) and isinstance(section.get("custom_nodes"), str):
            for line in section["custom_nodes"].split("\n"):
                if line.strip():
                    yield _folder(config, section.get("base_path"), line.strip()), section.get("is_default") is True


def _folder(config: Path, base: Any, line: str) -> Path:
    top = os.path.dirname(os.path.abspath(str(config)))
    if isinstance(base, str) and base:
        top = os.path.join(top, os.path.expandvars(os.path.expanduser(base)))
    return Path(os.path.normpath(os.path.join(top, line)))
