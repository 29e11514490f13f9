"""Which packs fail by a version, and of what: an installed package, ComfyUI itself, or what was left out."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Dict, List, Optional, Sequence, Tuple

from app.runner.context import PackResult
from app.runner.environment.environment import Environment
from app.runner.environment.installed_files import find
from app.runner.requirements.lines import canonical
from app.runner.verify.import_check import Verdicts

_MODULE = re.compile(
    r"cannot import name '[^'\n]{1,200}' from (?:partially initialized module )?'(?P<a>\w[\w.]{0,200})'"
    r"|module '(?P<b>\w[\w.]{0,200})' has no attribute '[^'\n]{1,200}'"
    r"|No module named '(?P<c>\w[\w.]{0,200})'"
)
_CHECKED = re.compile(
    r"(?P<name>[A-Za-z0-9][\w.-]{0,100}?)[<>=!~][^\n]{0,100} is required [^\n]{0,200}but found (?P=name)==|"
    r"requires (?P<other>[A-Za-z0-9][\w.-]{0,100}?)\s?"
    r"(?:[<>=!~]=?\s?\d|(?:version )?\d[\w.]{0,20} or (?:newer|later|higher))"
)
_NUMPY = re.compile(r"_ARRAY_API not found|compiled using NumPy 1|numpy\.dtype size changed|removed in the NumPy 2")
_FRAME = re.compile(r'^\s*File "(?P<path>/[^"\n]{1,1000})", line \d+', re.MULTILINE)
_RAISED = re.compile(r"^(?:TypeError|AttributeError|ImportError|ModuleNotFoundError|RuntimeError): ", re.MULTILINE)
_COMFYUI = ("comfy", "comfy_api", "comfy_extras", "comfy_execution", "folder_paths", "server", "nodes", "execution")
_TEXT_CHARS = 200_000


@dataclass(frozen=True)
class Symptom:
    """A pack that does not load, and may at other versions. `packages`: those whose version may be why, by canonical
    name, the likeliest first; `by_comfyui`: it asks for another ComfyUI; `left_out`: what it requires was not
    installed, or not within its bounds; `said`: the last line of what its import printed."""

    result: PackResult
    packages: Tuple[str, ...] = ()
    by_comfyui: bool = False
    left_out: bool = False
    said: str = ""

    @property
    def name(self) -> str:
        """The pack's name."""
        return self.result.pack.name

    @property
    def folder(self) -> str:
        """Its entry in custom_nodes."""
        return self.result.pack.folder

    @property
    def is_by_version(self) -> bool:
        """Whether anything points to a version."""
        return bool(self.packages) or self.by_comfyui or self.left_out


_LEFT_OUT = frozenset({"older_version_wanted", "requirement_conflict"})


def symptoms_of(results: Sequence[PackResult], found: Verdicts, environment: Environment) -> List[Symptom]:
    """Of the packs that are there and do not load, but for those in another pack's folder."""
    owners = Owners(environment)
    symptoms = []
    for result in results:
        folder = result.pack.folder
        imported = found.imports.get(folder)
        fails = folder in found.culprits or (imported is not None and not imported.good and not imported.no_nodes)
        if result.is_cloned and "/" not in folder and fails:
            printed = found.printed.get(folder, "") if imported is None else imported.text or imported.message
            symptoms.append(symptom_of(result, printed, owners))
    return symptoms


def symptom_of(result: PackResult, printed: str, owners: Owners) -> Symptom:
    """What a pack's import printed, read."""
    text = printed[-_TEXT_CHARS:]
    packages: List[str] = []
    by_comfyui = False
    for match in reversed(list(_MODULE.finditer(text))):
        module = next(filter(None, match.groups()))
        top, _, inner = module.partition(".")
        if top in _COMFYUI:
            by_comfyui = True
        elif match.group("c") is None or inner:  # a package that is not there at all is no other version
            packages += owners.of_module(top)
    for match in _CHECKED.finditer(text):
        packages += owners.named(match.group("name") or match.group("other"))
    if _NUMPY.search(text):
        packages += owners.named("numpy")
    frames = [match.group("path") for match in _FRAME.finditer(text)]
    if frames and not packages and not by_comfyui and _RAISED.search(text):
        packages += owners.of_file(frames[-1])
    left_out = result.problem is not None and result.problem.code in _LEFT_OUT
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return Symptom(result, tuple(dict.fromkeys(packages)), by_comfyui, left_out, lines[-1][:300] if lines else "")


class Owners:
    """Which installed package a module or a file is of."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._tops: Optional[Dict[str, List[str]]] = None

    def named(self, name: str) -> List[str]:
        """The package of this name, if it is there."""
        return [canonical(name)] if canonical(name) in self._environment.packages else []

    def of_module(self, top: str) -> List[str]:
        """The packages that have this top-level module."""
        return self.named(top) or self._by_top().get(top, [])[:2]

    def of_file(self, path: str) -> List[str]:
        """The packages in whose folder a file lies."""
        for root in self._environment.site_packages:
            if path.startswith(root + os.sep):
                return self.of_module(path[len(root) + 1 :].split(os.sep, 1)[0].removesuffix(".py"))
        return []

    def _by_top(self) -> Dict[str, List[str]]:
        if self._tops is None:
            self._tops = {}
            for name, packages in find(self._environment.site_packages).items():
                root = str(packages[0].metadata.parent) + os.sep
                tops = {
                    file.path[len(root) :].split(os.sep, 1)[0].removesuffix(".py")
                    for file in packages[0].files or ()
                    if file.path.startswith(root)
                }
                for top in tops:
                    self._tops.setdefault(top, []).append(name)
        return self._tops
