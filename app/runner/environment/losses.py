"""What an environment has lost: packages that were there, or that a run brought, and are not there any more."""

from __future__ import annotations

from typing import AbstractSet, Dict, Mapping, Optional, Set

from app.runner.environment.environment import Environment
from app.runner.environment.installed_files import damage, find, sizes_of


def losses(
    before: Environment,
    now: Environment,
    changed: Mapping[str, Optional[str]],
    since: float,
    absent: AbstractSet[str] = frozenset(),
) -> Dict[str, str]:
    """What is missing or broken, by package, in words. `changed`: the versions that the run itself brought, None for
    what it removed on purpose; `since` (Unix seconds) and `absent` (files): what was broken earlier is nobody's loss. A
    package that has another version than expected is not lost, and neither is one whose files a pack has patched, nor
    an older copy of one that is there twice."""
    expected = {**before.packages, **changed}
    lost = {
        name: "%s %s is not installed any more" % (name, version)
        for name, version in expected.items()
        if version is not None and name not in now.distributions
    }
    listed: Dict[str, Set[Optional[int]]] = {}
    for name, packages in find(now.site_packages, expected).items():
        if name not in now.distributions:
            continue
        counting = [each for each in packages if each.version == now.packages[name]] or packages
        if not any(damage(each, since, absent=absent, patched=True) for each in counting):
            continue
        if not listed:
            listed = sizes_of(package for each in find(now.site_packages).values() for package in each)
        said = [damage(package, since, listed, absent=absent, patched=True) for package in counting]
        wrong = next(filter(None, said), "")
        if wrong:
            lost[name] = "%s %s is damaged: %s" % (name, now.packages[name], wrong)
    return lost
