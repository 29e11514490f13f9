"""Whether ComfyUI imports each pack: its own verdicts, and who it is when the whole process comes down.

A pack that crashes, hangs or exits takes ComfyUI's table of verdicts with it. Who it was is found by starting
ComfyUI with fewer packs: first without the one that was being imported, as far as the output tells, else by halves.
Whoever was taken out is started alone, but for one that hangs and that its stack names: a hang costs its limit.
No folder is moved."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Dict, List, Optional, Sequence, Set

from app.protocol.snapshot import Problem
from app.runner.comfyui.crash_problem import problem_of
from app.runner.comfyui.output import Import, by_entry, hanging_in, imports_of, suspect
from app.runner.comfyui.quick_test import WHITELIST, ComfyUI, Start
from app.runner.context import Context

_PRINTED_CHARS = 64 * 1024
_AS_ROOT = (
    "ComfyUI's folder belongs to %s, but ComfyUI does not start as that user: %s. The packs were imported as root, so "
    "it is not known whether that user can load them."
)
_AS_ROOT_HINT = "If root runs ComfyUI, nothing has to be done. Otherwise make its Python readable for that user."
_UNKNOWN = "Nobody knows whether the packs load: "


@dataclass
class Verdicts:
    """By entry of custom_nodes: what ComfyUI said, who brings it down, and what it printed with those. `silent`: with
    them it comes to its end and tells nothing. `unknown`: why others have no verdict, if so. `starts`: nothing was seen
    that would keep ComfyUI from starting with all that is there."""

    imports: Dict[str, Import] = field(default_factory=dict)
    culprits: Dict[str, Problem] = field(default_factory=dict)
    printed: Dict[str, str] = field(default_factory=dict)
    silent: Sequence[str] = ()
    unknown: str = ""
    starts: bool = True


class _OutOfTime(Exception):
    """The search for a culprit takes too long."""


class ImportCheck:
    """The check of one run. Raises RunCancelled from everything that starts ComfyUI."""

    def __init__(self, context: Context, comfyui: ComfyUI) -> None:
        self._context = context
        self._comfyui = comfyui
        self._deadline = 0.0
        self._ended: Dict[str, Start] = {}
        """How ComfyUI ended with this one alone, or with it as the suspect."""
        self._certain: Set[str] = set()
        """Who hangs, by the stack."""
        self._table_seen = False
        self._bare_gets_through = False

    def bare(self, *, low_priority: bool = False) -> str:
        """Starts ComfyUI without packs (`low_priority`: what others do comes first): why that fails, empty when it does
        not. It runs as ComfyUI's user; where that is only a guess and wrong, as root."""
        why = self._start_bare(low_priority=low_priority)
        ownership, user = self._context.ownership, self._comfyui.user
        if not why or low_priority or user is None or ownership is None or ownership.comfy.seen:
            return why
        self._comfyui.become_root()
        as_root = self._start_bare()
        if not as_root:
            self._context.warn("imported_as_root", _AS_ROOT % (user, why), _AS_ROOT_HINT)
        return as_root

    def _start_bare(self, *, low_priority: bool = False) -> str:
        try:
            why = self._comfyui.why_not()
            if why:
                return why
            start = self._comfyui.bare(low_priority=low_priority)
        except OSError as exc:
            return "it cannot be started: %s" % (exc.strerror or exc)
        self._bare_gets_through = start.got_through
        return "" if start.finished.ok else "without any pack, %s" % start.how()

    def check(self) -> Verdicts:
        """The verdicts on all that is in custom_nodes. ComfyUI has started without packs before."""
        try:
            return self._check()
        except OSError as exc:
            return _unknown("ComfyUI cannot be started: %s." % (exc.strerror or exc))
        except _OutOfTime:
            return _unknown("a pack makes ComfyUI crash, and finding out which one takes too long.")
        finally:
            self._comfyui.clean()

    def _check(self) -> Verdicts:
        names = self._comfyui.present()
        first = self._comfyui.with_all()
        imports = self._told(first)
        if imports is not None:
            return Verdicts(imports)
        why = self.bare()
        if why:
            return _unknown("ComfyUI does not start any more, %s." % why)
        if WHITELIST not in self._comfyui.options():
            text = "a pack makes ComfyUI crash (%s), and this ComfyUI is too old to be started with some packs only."
            return _unknown(text % first.how())
        self._deadline = time.monotonic() + self._context.limits.import_search
        return self._without_culprits([name for name in names if not name.startswith("-")], first)

    def _without_culprits(self, names: List[str], first: Start) -> Verdicts:
        """Takes out one after the other until ComfyUI comes to its end. `first`: how it ended with all."""
        rest, last = list(names), first
        culprits: List[str] = []
        while rest:
            found = self._named(last, rest)
            if not found and last is first:  # started with all of them, it does not tell whom it tries
                last = self._with_only(rest)
                imports = self._told(last)
                if imports is not None:
                    return Verdicts(imports)
                continue
            found = found or self._among(rest)
            if not found:
                text = "several packs together make ComfyUI crash, each alone does not (%s)."
                return _unknown(text % last.how())
            for name in found:
                self._ended.setdefault(name, last)
            culprits += found
            rest = [name for name in rest if name not in found]
            if rest:
                last = self._with_only(rest)
                imports = self._told(last)
                if imports is not None:
                    return self._proven(imports, culprits, rest)
        return self._proven({}, culprits, rest)

    def _named(self, start: Start, names: Sequence[str]) -> List[str]:
        """Who was being imported, as far as the output tells."""
        hanging = hanging_in(start.output, names) if start.finished.stopped else None
        if hanging:
            self._certain.add(hanging)
        found = hanging or suspect(start.output, names)
        return [found] if found else []

    def _proven(self, imports: Dict[str, Import], culprits: List[str], rest: List[str]) -> Verdicts:
        """Each is tried alone: somebody may have been taken out for what another had begun."""
        cleared = [name for name in culprits if name not in self._certain and not self._fails([name])]
        taken = [name for name in culprits if name not in cleared]
        silent = [name for name in taken if self._ended[name].got_through]
        guilty = {name: problem_of(self._ended[name]) for name in taken if name not in silent}
        printed = {name: self._ended[name].output[-_PRINTED_CHARS:] for name in guilty}
        if cleared:
            again = self._told(self._with_only([*rest, *cleared]))
            if again is None:
                text = "packs that load alone make ComfyUI crash together with others: %s."
                return Verdicts(imports, guilty, printed, silent, _UNKNOWN + text % ", ".join(cleared), starts=False)
            imports = again
        if not all(self._is_an_end(self._ended[name]) for name in guilty):
            return _unknown("this ComfyUI does not list its imports.")
        return Verdicts(imports, guilty, printed, silent, starts=not guilty)

    def _is_an_end(self, start: Start) -> bool:
        """Whether ComfyUI really ended early, and did not only keep its table for itself: one that ends with status 0
        looks alike, but for the database that it opens, or the table that it shows with other packs."""
        return not start.finished.ok or self._bare_gets_through or self._table_seen

    def _among(self, names: Sequence[str]) -> List[str]:
        """Those of `names`, which together bring ComfyUI down, that do so by themselves: by halves."""
        if len(names) == 1:
            return list(names)
        middle = len(names) // 2
        return [name for half in (names[:middle], names[middle:]) if self._fails(half) for name in self._among(half)]

    def _fails(self, names: Sequence[str]) -> bool:
        start = self._with_only(names)
        if self._told(start) is not None:
            return False
        if len(names) == 1:
            self._ended[names[0]] = start
        return True

    def _with_only(self, names: Sequence[str]) -> Start:
        if time.monotonic() > self._deadline:
            raise _OutOfTime
        return self._comfyui.with_only(names)

    def _told(self, start: Start) -> Optional[Dict[str, Import]]:
        """ComfyUI's table by entry of custom_nodes; None when it did not come to it. No packs, no table."""
        imports = imports_of(start.output)
        if imports is None:
            return {} if start.finished.ok and not self._comfyui.present() else None
        if self._bare_gets_through and not start.got_through:
            return None  # a pack printed it: ComfyUI's own comes at the end of the imports
        self._table_seen = True
        return by_entry(imports, self._context.custom_nodes)


def _unknown(why: str) -> Verdicts:
    return Verdicts(unknown=_UNKNOWN + why, starts=False)
