"""What of a lock is not installed here, and why: it would break what is there, or nobody could fetch it."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Dict, FrozenSet, List, NamedTuple, Optional, Sequence, Set

from app.protocol.lockfile import Lock, OnlyThere
from app.runner.context import Context
from app.runner.environment.environment import Environment
from app.runner.environment.same_library import FAMILIES
from app.runner.environment.torch_family import is_protected
from app.runner.lock import this_machine
from app.runner.lock.differences import Difference, differences
from app.runner.lock.policy_refusals import refused_of
from app.runner.requirements.lines import bounds_of, canonical, name_of
from app.runner.requirements.versions import is_version, satisfies
from app.runner.resolve.protection import constraints


class Decided(NamedTuple):
    """What is to be installed; `refused`: what is not, a sentence each by name; `in_the_way`: variants of a library
    that make room for the lock's."""

    wanted: List[Difference]
    refused: Dict[str, str]
    in_the_way: List[str]


def decide(context: Context, lock: Lock) -> Decided:
    """The torch family stays, ComfyUI's own requirements stay met, and two variants of one library do not come to lie
    over each other, unless the lock has them so. An exact lock of this very ComfyUI is proof that its versions work
    together, and brings its own variant of a library in place of another."""
    environment = context.environment
    if environment is None or context.python_problem:
        return Decided([], {}, [])
    own = {name_of(line): bounds_of(line) for line in constraints({}, context.ui_home)}
    proven = context.options.exact and this_machine.has_same_comfyui(context, lock)
    locked = frozenset(canonical(name) for name in lock.packages)
    in_the_way: Set[str] = set()
    found = differences(lock, environment.distributions)
    refused = refused_of(context, found)
    for item in (each for each in found if each.name not in refused):
        name = canonical(item.name)
        bounds = own.get(name)
        other = _other_variants(name, environment, locked) if item.installed is None else []
        why = _unavailable(item, lock, context.custom_nodes) or _of_torch_family(item, lock, context)
        if not why and bounds and not proven and satisfies(item.wanted, bounds) is False:
            why = "%s stays: this ComfyUI needs %s%s, the lock has %s" % (item.name, item.name, bounds, item.wanted)
        elif not why and other and (not context.options.exact or set(other) & set(own)):
            why = "%s was not installed, because it would overwrite %s" % (item.name, ", ".join(other))
        elif not why:
            in_the_way.update(each for each in other if _lies_inside(environment, each))
        if why:
            refused[item.name] = why
    return Decided([item for item in found if item.name not in refused], refused, sorted(in_the_way))


def moved_here(only_there: OnlyThere, lock: Lock, ui_home: Path) -> OnlyThere:
    """A package that came from a folder in the lock's ComfyUI (a pack that brings its own) comes from there in this
    one."""
    home = (lock.ui_home or "").rstrip("/")
    if not home or not only_there.path.startswith(home + "/"):
        return only_there
    return replace(only_there, path=str(ui_home) + only_there.path[len(home) :])


def _unavailable(item: Difference, lock: Lock, custom_nodes: Path) -> str:
    """Why nobody could install it, if so. What lies in a pack of the lock will be there."""
    if item.only_there is not None:
        reason, path = item.only_there.reason.rstrip("."), item.only_there.path
        in_pack = any(path.startswith("%s/" % (custom_nodes / pack.folder)) for pack in lock.packs)
        return (
            ""
            if item.can_be_tried or in_pack
            else "%s %s cannot be installed here: %s" % (item.name, item.wanted, reason)
        )
    if item.source is None and not is_version(item.wanted):
        return (
            "%s %s cannot be installed here: its version is one of a Linux distribution, and no package index has it"
            % (item.name, item.wanted)
        )
    return ""


def _of_torch_family(item: Difference, lock: Lock, context: Context) -> str:
    """Why a member of the torch family stays as it is, or stays out. One that is not there may come with the lock,
    where Python, torch, CUDA and processor are the lock's: it worked beside them."""
    if not is_protected(item.name):
        return ""
    if item.installed is not None:
        stays = (item.name, item.installed, item.wanted)
        return "%s is never replaced and stays at %s, the lock has %s" % stays
    if canonical(item.name) != "torch" and lock.torch and not this_machine.mismatches_here(context, lock):
        return ""
    return "%s %s was not installed, because it has to match the installed torch" % (item.name, item.wanted)


def _other_variants(name: str, environment: Environment, locked: FrozenSet[str]) -> List[str]:
    """The installed variants of a library that the lock does not have beside `name`."""
    family: Optional[Sequence[str]] = next((each for each in FAMILIES if name in each), None)
    return sorted(set(family or ()).intersection(environment.packages) - locked - {name})


def _lies_inside(environment: Environment, name: str) -> bool:
    """Whether a package lies in the environment itself: one of the system's is not overwritten, and not removed."""
    prefix = os.path.realpath(environment.prefix)
    return os.path.realpath(environment.distributions[name].location).startswith(prefix + os.sep)
