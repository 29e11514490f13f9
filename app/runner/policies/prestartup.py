"""A pack's prestartup_script.py. ComfyUI runs it at each start as long as the pack is there: in our import check and in
a restart too. So a pack whose script is refused is not put in place, and one that is there already is not imported."""

from __future__ import annotations

import hashlib
import os
import threading
from pathlib import Path
from typing import AbstractSet, Dict, Optional, Sequence, Tuple

from app.protocol.manifest import NodePack
from app.protocol.snapshot import Problem
from app.runner.context import Context, PackResult
from app.runner.files.move import move
from app.runner.policies.run_policies import Item, RunPolicies, read_script

NAME = "prestartup_script.py"
ASIDE = ".refused"
"""Behind the name of a script that came after the pack: ComfyUI does not run it."""
_WAITS = Problem("prestartup_refused", "It waits for an answer about its prestartup_script.py.")
_HINT = 'Read the script. To allow it, start again with another policy, or with "ask": "ask" and the policy ask.'
_Key = Tuple[str, str]


class Prestartups:
    """Those of one run. From any thread."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._policies = RunPolicies.of(context)
        self._lock = threading.Lock()
        self._asked_for: Dict[_Key, Item] = {}
        self._decided: Dict[_Key, bool] = {}

    @classmethod
    def of(cls, context: Context) -> Prestartups:
        """The run's, made at its first use."""
        known = context.shared.setdefault(cls.__name__, cls(context))
        assert isinstance(known, cls)
        return known

    def problem(self, result: PackResult, folder: Path) -> Optional[Problem]:
        """Why the pack that lies in `folder` is not put in place, or not used. Where that is to be asked first,
        `result.held` is set besides. Raises OSError."""
        if self._policies.allows("prestartup") or not _is_run(result.pack, folder):
            return None
        item = Item.of_file(result.pack.name, folder / NAME)
        key = (item.pack, str(item.facts["sha256"]))
        if self._policies.asks("prestartup"):
            if self._context.options.plan_only or self._decided.get(key):
                return None
            if key not in self._decided:
                with self._lock:
                    self._asked_for[key] = item
                result.held = True
                return _WAITS
        return self._refused(result, item)

    def ask(self) -> None:
        """Asks about all that wait for it, at once. Raises RunCancelled."""
        with self._lock:
            items, self._asked_for = self._asked_for, {}
        allowed = self._policies.allowed("prestartup", [item for _, item in sorted(items.items())])
        self._decided.update({key: item.pack in allowed for key, item in items.items()})

    def may_run(self, name: str, folder: Path) -> bool:
        """Whether ComfyUI may be started with this pack as it lies there: not with what nobody was asked about."""
        path = folder / NAME
        if self._policies.allows("prestartup") or not os.path.lexists(str(path)):
            return True
        try:
            return self._decided.get((name, hashlib.sha256(read_script(path)).hexdigest()), False)
        except OSError:
            return False

    def put_aside(self, results: Sequence[PackResult]) -> None:
        """Renames what packs have got since they were looked at: an install.py can write it."""
        for result in results:
            top = result.is_cloned and "/" not in result.pack.folder
            if top and not self.may_run(result.pack.name, result.folder):
                why = _put_aside(result.folder)
                text = "%s got a prestartup_script.py after it was looked at, which nobody has allowed: %s."
                result.problem = Problem("prestartup_refused", text % (result.pack.name, why), _HINT)

    def put_aside_in(self, new: AbstractSet[str], by: str) -> None:
        """The same in folders that a script has made in custom_nodes."""
        for name in sorted(new):
            folder = self._context.custom_nodes / name
            if not self.may_run(name, folder):
                text = "The install.py of %s made custom_nodes/%s with a %s, which nobody has allowed: %s."
                self._context.warn("prestartup_refused", text % (by, name, NAME, _put_aside(folder)), _HINT)

    def _refused(self, result: PackResult, item: Item) -> Problem:
        why = self._policies.why("prestartup")
        if result.kept:
            text = "It has a %s, which ComfyUI runs at each start, and %s. It was there before and was left untouched; "
            text += "this run did not import it."
        else:
            text = "It has a %s, which ComfyUI would run at each start, and %s. So it was not put in place."
        return Problem("prestartup_refused", text % (item.what, why), _HINT)


def _is_run(pack: NodePack, folder: Path) -> bool:
    """ComfyUI runs only those of its entries, not those of packs inside of others."""
    return "/" not in pack.folder and os.path.lexists(str(folder / NAME))


def _put_aside(folder: Path) -> str:
    try:
        (folder / (NAME + ASIDE)).unlink(missing_ok=True)
        move(folder / NAME, folder / (NAME + ASIDE))
    except OSError as exc:
        return "it could not be renamed: %s" % exc.strerror
    return "it was renamed to %s%s" % (NAME, ASIDE)
