"""A lock beside what there is: what differs, what cannot be had here, and what is there besides."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from app.protocol.lockfile import Lock, mismatches
from app.protocol.snapshot import Problem
from app.runner.context import Context
from app.runner.environment.environment import Environment
from app.runner.environment.same_library import family_of
from app.runner.environment.torch_family import is_protected
from app.runner.requirements.lines import bounds_of, canonical, name_of
from app.runner.requirements.versions import is_version, satisfies
from app.runner.resolve.protection import constraints

MOST_NAMED = 20
_NOT_OURS = frozenset({"pip", "uv"})
"""Tools of the environment, in versions of its own."""
_NO_PACKS = frozenset({"__pycache__", "example_node.py.example", "websocket_image_save.py"})
_EXTRA_HINT = "Remove what you do not want, or install the lock into a fresh ComfyUI."
_COMMIT = re.compile(r"^[0-9a-f]{40}$")


class Difference(NamedTuple):
    """A package that is not as in the lock. `there`: None for one that is not installed."""

    name: str
    installed: Optional[str]
    wanted: str

    def __str__(self) -> str:
        return "%s is %s, the lock has %s" % (self.name, self.installed or "not installed", self.wanted)


def differences(lock: Lock, packages: Mapping[str, str]) -> List[Difference]:
    """The lock's packages that are not installed in their versions."""
    installed = {canonical(name): version for name, version in packages.items()}
    return [
        Difference(name, installed.get(canonical(name)), version)
        for name, version in sorted(lock.packages.items())
        if installed.get(canonical(name)) != version and canonical(name) not in _NOT_OURS
    ]


def cannot_be(context: Context, lock: Lock) -> List[str]:
    """What cannot be here as the lock has it, a sentence each; looked at before anything is changed."""
    python, gpus = context.environment, gpus_of(context.journal.snapshot.probe)
    version, torch, cuda = (python.version, *torch_of(python)) if python else ("", None, None)
    found = mismatches(lock, version, torch, cuda, gpus=gpus, machine=os.uname().machine)
    found += ["%s cannot be installed: %s" % (entry["name"], entry["reason"]) for entry in lock.left_out]
    if lock.packages and (context.python_problem or not python):
        problem = context.python_problem
        found.append(
            "Packages cannot be installed: %s" % (problem.message if problem else "ComfyUI's Python was not found")
        )
    elif lock.packages:
        found += sorted(refused(context, lock).values())
    return found


def refused(context: Context, lock: Lock) -> Dict[str, str]:
    """Versions that would break what is there, and why: the torch family stays, ComfyUI's own requirements stay met,
    and two variants of one library would overwrite each other's files."""
    wanted = {name_of(line): bounds_of(line) for line in constraints({}, context.ui_home)}
    installed = set(context.packages)
    found = {}
    for name, now, version in differences(lock, context.packages):
        bounds = wanted.get(canonical(name))
        other = sorted(installed.intersection(family_of(canonical(name))))
        if is_protected(name):
            found[name] = "%s is never replaced and stays at %s, the lock has %s" % (
                name,
                now or "not installed",
                version,
            )
        elif not is_version(version):
            text = "%s cannot be installed: its version %s is a system's or a builder's own, which no index has"
            found[name] = text % (name, version)
        elif bounds and satisfies(version, bounds) is False:
            found[name] = "%s stays: this ComfyUI needs %s%s, the lock has %s" % (name, name, bounds, version)
        elif other and canonical(name) not in installed:
            found[name] = "%s was not installed, because it would overwrite %s" % (name, ", ".join(other))
    return found


def remarks(context: Context, lock: Lock) -> List[Problem]:
    """What is not as where the lock was made, and is left as it is, with `exact` too."""
    found = []
    commit = context.journal.snapshot.probe.get("comfyui_commit")
    if lock.comfyui_commit and lock.comfyui_commit != commit:
        text = "ComfyUI itself is at %s, the lock has %s. It was left untouched." % (
            "commit %s" % commit if commit else "an unknown commit",
            lock.comfyui_commit,
        )
        found.append(Problem("comfyui_differs", text, _checkout_hint(context.ui_home, lock.comfyui_commit)))
    gpus = gpus_of(context.journal.snapshot.probe)
    if lock.gpu and gpus and set(gpus) != set(lock.gpu):
        text = "The GPU is %s; the lock was made with %s." % (", ".join(gpus), ", ".join(lock.gpu))
        found.append(Problem("gpu_differs", text, ""))
    packs = extra_packs(context, lock)
    if packs:
        text = "These node packs are not in the lock, and were left untouched: %s." % some(packs, ", ")
        found.append(Problem("not_in_lock", text, _EXTRA_HINT))
    packages = extra_packages(context.packages, lock)
    if packages:
        text = "These packages are not in the lock, and were left untouched: %s." % some(packages, ", ")
        found.append(Problem("not_in_lock", text, _EXTRA_HINT))
    return found


def _checkout_hint(ui_home: Path, commit: str) -> str:
    if not _COMMIT.match(commit):
        return "Bring ComfyUI to that version yourself, if you need it."
    home = shlex.quote(str(ui_home))
    return "To change that: git -C %s fetch origin %s && git -C %s checkout %s" % (home, commit, home, commit)


def extra_packs(context: Context, lock: Lock) -> List[str]:
    """What ComfyUI loads from custom_nodes and the lock does not name."""
    known = {pack.folder.split("/")[0].lower() for pack in lock.packs}
    return sorted(
        name
        for name in os.listdir(str(context.custom_nodes))
        if name.lower() not in known
        and name not in _NO_PACKS
        and not name.startswith(".")
        and not name.endswith(".disabled")
        and ((context.custom_nodes / name).is_dir() or name.endswith(".py"))
    )


def extra_packages(packages: Mapping[str, str], lock: Lock) -> List[str]:
    """The installed packages that the lock does not name; a lock that names none says nothing of packages."""
    known = {canonical(name) for name in lock.packages}
    return sorted(
        name for name in packages if known and canonical(name) not in known | _NOT_OURS | {"setuptools", "wheel"}
    )


def torch_of(environment: Environment) -> Tuple[Optional[str], Optional[str]]:
    """torch's version and its CUDA's; None for what is not there."""
    return environment.torch_version, environment.torch.cuda if environment.torch else None


def gpus_of(probe: Mapping[str, Any]) -> Optional[List[str]]:
    """The GPUs' names; None while it is not known whether there are any."""
    return [str(gpu.get("name")) for gpu in probe["gpu"] or ()] if "gpu" in probe else None


def some(texts: Sequence[str], between: str = "; ") -> str:
    """The first of the texts, and how many more there are."""
    more = "%sand %d more" % (between, len(texts) - MOST_NAMED) if len(texts) > MOST_NAMED else ""
    return between.join(text.rstrip(".") for text in texts[:MOST_NAMED]) + more
