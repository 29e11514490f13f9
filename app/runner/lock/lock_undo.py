"""What an exact lock puts back when it cannot be had whole: packs to where they were, packages to their versions."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Dict, List, Mapping, Optional, Sequence

from app.protocol.manifest import NodePack
from app.protocol.snapshot import Problem
from app.protocol.states import NodeState
from app.runner.clone import existing
from app.runner.context import Context, PackResult
from app.runner.packages.requirement_files import canonical
from app.runner.packages.uv import Uv

_UNDONE = Problem("lock_not_exact", "The lock could not be had whole, so this pack was put back as it was.")


class Before:
    """How things were. Made before anything is changed."""

    def __init__(self, context: Context, packs: Sequence[NodePack], uv: Optional[Uv], log: Path) -> None:
        self._context = context
        self._uv = uv
        self._log = log
        self._packages = {canonical(name): version for name, version in context.packages.items()}
        self._heads: Dict[str, Optional[str]] = {}
        """The branch, or the commit, of what was there; None for what was not."""
        for pack in packs:
            folder = context.custom_nodes / pack.folder
            self._heads[pack.name] = self._head(folder) if existing.is_there(folder) else None

    def _head(self, folder: Path) -> str:
        git = self._context.git()
        return git.line("symbolic-ref", "--quiet", "--short", "HEAD", cwd=folder) or git.head(folder) or ""

    def restore(self, results: Sequence[PackResult], packages: Mapping[str, str]) -> List[str]:
        """Puts back; `packages` are those of now. What could not be put back."""
        left = self._restore_packages({canonical(name): version for name, version in packages.items()})
        for result in reversed(results):
            if result.there and not self._restore_pack(result):
                left.append(result.pack.name)
        return left

    def _restore_pack(self, result: PackResult) -> bool:
        """Nested packs come after their parents, hence before them here."""
        head = self._heads.get(result.pack.name)
        if head is None:
            shutil.rmtree(str(result.folder), ignore_errors=True)
            ok = not result.folder.exists()
        else:
            ok = not head or self._context.git(self._log).local("checkout", "-q", head, cwd=result.folder).ok
        self._context.node(result.pack.name, NodeState.FAILED, _UNDONE)
        return ok

    def _restore_packages(self, now: Mapping[str, str]) -> List[str]:
        added = sorted(name for name in now if name not in self._packages)
        changed = ["%s==%s" % item for item in sorted(self._packages.items()) if now.get(item[0]) != item[1]]
        if self._uv is None or not (added or changed):
            return []
        left: List[str] = []
        if added and not self._uv.uninstall(added, self._log).ok:
            left += added
        if changed:
            file = self._context.task.folder / "lock-before.txt"
            file.write_text("\n".join(changed) + "\n", "utf-8")
            if not self._uv.install(file, self._log, lambda _line: None).ok:
                left += changed
        return left
