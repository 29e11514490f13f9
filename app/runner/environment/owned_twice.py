"""Packages that bring one module under two names, and overwrite each other (`ffmpeg-python` and `python-ffmpeg`): found
by the files that they list, whatever they are called.
"""

from __future__ import annotations

import os
from typing import Collection, Dict, List, Optional, Set, Tuple

from app.runner.environment import installed_files
from app.runner.environment.environment import Environment
from app.runner.environment.same_library import family_of

MOST = 8
_HARMLESS = frozenset(
    {"test", "tests", "testing", "doc", "docs", "example", "examples", "script", "scripts", "benchmarks"}
)
"""Folders that careless packages install beside their modules: nobody imports them."""
_CODE = (".py", ".so", ".pyd")


def owned_twice(environment: Environment, fresh: Collection[str]) -> List[str]:
    """A sentence for each pair, at most `MOST`. `fresh`: the packages (canonical names) that have come; pairs without
    any of them are nobody's news, and those of one library are told elsewhere."""
    if not fresh:
        return []
    files = installed_files.find(environment.paths)
    owners: Dict[Tuple[str, str], Set[str]] = {}
    own: Dict[str, List[str]] = {}
    for name in sorted(set(fresh) & files.keys()):
        own[name] = [each.path for each in files[name][0].files or () if each.path.endswith(_CODE) and each.size != 0]
    wanted = {path: name for name, paths in own.items() for path in paths}
    for name, copies in files.items():
        for each in copies[0].files or ():
            other = wanted.get(each.path)
            module = _module(each.path, environment.paths) if other is not None and other != name else None
            if other is not None and module and name not in family_of(other):
                first, second = sorted((name, other))
                owners.setdefault((first, second), set()).add(module)
    text = (
        "%s and %s both bring the module %s, and overwrite each other's files: the one that was installed last is used."
    )
    return [text % (*pair, ", ".join(sorted(modules)[:3])) for pair, modules in sorted(owners.items())][:MOST]


def _module(path: str, roots: Collection[str]) -> Optional[str]:
    """The top-level module that a file belongs to; None for what nobody imports."""
    for root in roots:
        if root and path.startswith(root.rstrip("/") + "/"):
            top = path[len(root.rstrip("/")) + 1 :].partition("/")[0]
            name = os.path.splitext(top)[0].partition(".")[0]
            return name if name.isidentifier() and name not in _HARMLESS else None
    return None
