"""Whether ComfyUI imports each pack: its own verdicts, and who it is when the whole process comes down.

A pack that crashes, hangs or exits takes ComfyUI's table of verdicts with it. Who it was is found by starting
ComfyUI with fewer packs: first without the one that was being imported, as far as the output tells, else by halves.
Whoever was taken out is started alone, but for one that hangs and that its stack names: a hang costs its limit.
ComfyUI is started without packs again only where nothing else shows that it starts at all. No folder is moved."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Dict, List, Optional, Sequence, Set

from app.protocol.snapshot import Problem
from app.runner.comfyui.crash_problem import problem_of
from app.runner.comfyui.output import Import, by_entry, hanging_in, imports_of, suspect
from app.runner.comfyui.quick_test import WHITELIST, ComfyUI, Start
from app.runner.context import Context
from app.runner.policies.withheld import withheld

_PRINTED_CHARS = 64 * 1024
_AS_ROOT = (
    "ComfyUI's folder belongs to %s, but ComfyUI does not start as that user: %s. The packs were imported as root, so "
    "it is not known whether that user can load them."
)
_AS_ROOT_HINT = "If root runs ComfyUI, nothing has to be done. Otherwise make its Python readable for that user."
_UNKNOWN = "Nobody knows whether the packs load: "
_MOST_NAMES = 3
_MOST_REASONS = 12
_NAME_CHARS = 80


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
        self._alone: Dict[str, bool] = {}
        """Whether it brings ComfyUI down by itself, of those that were started alone."""
        self._certain: Set[str] = set()
        """Who hangs, by the stack."""
        self._table_seen = False
        self._bare_gets_through: Optional[bool] = None
        """Whether it opens its database without packs; None as long as it has not started without packs."""
        self._starts_now = False
        """Whether it is seen to start with what is installed now."""
        self._reasons: List[str] = []

    def starts(self) -> str:
        """How often ComfyUI was started and why, in words; empty when it was not."""
        if not self._reasons:
            return ""
        count, left = len(self._reasons), len(self._reasons) - _MOST_REASONS
        times = "once" if count == 1 else "%d times" % count
        more = ["%d more" % left] if left > 0 else []
        return "ComfyUI was started %s: %s" % (times, ", ".join([*self._reasons[:_MOST_REASONS], *more]))

    def bare(self, *, low_priority: bool = False, again: bool = False) -> str:
        """Starts ComfyUI without packs (`low_priority`: what others do comes first): why that fails, empty when it does
        not. It runs as ComfyUI's user; where that is only a guess and wrong, as root. Raises RunCancelled."""
        why = self._start_bare("without packs again" if again else "without packs", low_priority=low_priority)
        if not why or low_priority or not self._user_is_a_guess():
            return why
        user = self._comfyui.user
        self._comfyui.become_root()
        as_root = self._start_bare("without packs as root")
        if not as_root:
            self._context.warn("imported_as_root", _AS_ROOT % (user, why), _AS_ROOT_HINT)
        return as_root

    def _user_is_a_guess(self) -> bool:
        ownership = self._context.ownership
        return self._comfyui.user is not None and ownership is not None and not ownership.comfy.seen

    def _start_bare(self, reason: str, *, low_priority: bool = False) -> str:
        try:
            why = self._comfyui.why_not()
            if why:
                return why
            self._reasons.append(reason)
            start = self._comfyui.bare(low_priority=low_priority)
        except OSError as exc:
            return "it cannot be started: %s" % (exc.strerror or exc)
        if not start.finished.ok:
            return "without any pack, %s" % start.how()
        self._bare_gets_through, self._starts_now = start.got_through, not low_priority
        return ""

    def check(self, failed: str = "") -> Verdicts:
        """The verdicts on all that is in custom_nodes. ComfyUI has started without packs before, or this is why it did
        not (`failed`). Raises RunCancelled."""
        try:
            return self._check(failed)
        except OSError as exc:
            return _unknown("ComfyUI cannot be started: %s." % (exc.strerror or exc))
        except _OutOfTime:
            return _unknown("a pack makes ComfyUI crash, and finding out which one takes too long.")
        finally:
            self._comfyui.clean()

    def _check(self, failed: str) -> Verdicts:
        names = self._comfyui.present()
        why = self._cannot_be_asked(failed)
        if why:
            return _unknown("ComfyUI does not start, %s." % why)
        self._reasons.append("with all packs")
        first = self._comfyui.with_all()
        imports = self._told(first)
        if imports is None and self._bare_gets_through is None:
            why = self.bare(again=True)
            if why:
                return _unknown("ComfyUI does not start, %s." % why)
            imports = self._told(first)
        if imports is not None:
            return Verdicts(imports)
        return self._search([name for name in names if not name.startswith("-")], first)

    def _cannot_be_asked(self, failed: str) -> str:
        """Why ComfyUI cannot be started with packs; empty when that is worth a try. Its start beside the clones may
        have `failed` because it met half of a package: the start with all packs shows as well whether it starts."""
        if withheld(self._context) and WHITELIST not in self._comfyui.options():
            return "it is too old to be started without the packs that are refused"
        if not failed or (self._context.changed and not self._user_is_a_guess() and not self._comfyui.why_not()):
            return ""
        return self.bare(again=True)

    def _search(self, names: List[str], first: Start) -> Verdicts:
        """Somebody brings ComfyUI down. `first`: how it ended with all."""
        if WHITELIST not in self._comfyui.options():
            why = self._does_not_start()
            text = "a pack makes ComfyUI crash (%s), and this ComfyUI is too old to be started with some packs only."
            return _unknown(why or text % first.how())
        self._deadline = time.monotonic() + self._context.limits.import_search
        last = first
        if names and not self._named(first, names):  # started with all of them, it does not tell whom it tries
            why = self._does_not_start()
            if why:
                return _unknown(why)
            last = self._with_only(names, "with all packs telling which it tries")
            imports = self._told(last)
            if imports is not None:
                return Verdicts(imports)
        return self._without_culprits(names, last)

    def _does_not_start(self) -> str:
        """What is to be said when ComfyUI does not start any more even without packs; empty when it does. It is not
        started for that once it has come to its end with some of them."""
        why = "" if self._starts_now else self.bare(again=True)
        return "ComfyUI does not start any more, %s." % why if why else ""

    def _without_culprits(self, names: List[str], last: Start) -> Verdicts:
        """Takes out one after the other until ComfyUI comes to its end. `last`: how it ended with all."""
        rest = list(names)
        culprits: List[str] = []
        while rest:
            found = self._named(last, rest)
            why = self._does_not_start() if culprits else ""
            if why:
                return _unknown(why)
            found = found or self._one_among(rest) or self._among(rest)
            if not found:
                text = "several packs together make ComfyUI crash, each alone does not (%s)."
                return _unknown(text % last.how())
            for name in found:
                self._ended.setdefault(name, last)
            culprits += found
            rest = [name for name in rest if name not in found]
            if rest:
                last = self._with_only(rest, "without %s" % _in_words(culprits))
                imports = self._told(last)
                if imports is not None:
                    return self._proven(imports, culprits, rest)
        why = self._does_not_start()
        return _unknown(why) if why else self._proven({}, culprits, rest)

    def _named(self, start: Start, names: Sequence[str]) -> List[str]:
        """Who was being imported, as far as the output tells."""
        hanging = hanging_in(start.output, names) if start.finished.stopped else None
        if hanging:
            self._certain.add(hanging)
        found = hanging or suspect(start.output, names)
        return [found] if found else []

    def _proven(self, imports: Dict[str, Import], culprits: List[str], rest: List[str]) -> Verdicts:
        """Each is tried alone: somebody may have been taken out for what another had begun."""
        cleared = [name for name in culprits if name not in self._certain and not self._fails([name], "to prove it")]
        taken = [name for name in culprits if name not in cleared]
        silent = [name for name in taken if self._ended[name].got_through]
        guilty = {name: problem_of(self._ended[name]) for name in taken if name not in silent}
        printed = {name: self._ended[name].output[-_PRINTED_CHARS:] for name in guilty}
        if cleared:
            again = self._told(self._with_only([*rest, *cleared], "with %s again" % _in_words(cleared)))
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
        return not start.finished.ok or bool(self._bare_gets_through) or self._table_seen

    def _one_among(self, names: Sequence[str]) -> List[str]:
        """One of `names`, which together bring ComfyUI down, that does so by itself, by halves: where the first half
        does not, the second one is taken to. Empty when that leads to none."""
        while len(names) > 1:
            middle = len(names) // 2
            names = names[:middle] if self._fails(names[:middle]) else names[middle:]
        return list(names) if self._fails(names) else []

    def _among(self, names: Sequence[str]) -> List[str]:
        """All of `names`, which together bring ComfyUI down, that do so by themselves: by halves, both of which are
        tried, since several packs together may do so too."""
        if len(names) == 1:
            return list(names) if self._fails(names) else []
        middle = len(names) // 2
        return [name for half in (names[:middle], names[middle:]) if self._fails(half) for name in self._among(half)]

    def _fails(self, names: Sequence[str], why: str = "to find who it is") -> bool:
        if len(names) == 1 and names[0] in self._alone:
            return self._alone[names[0]]
        what = "%s alone" % _in_words(names) if len(names) == 1 else "%d packs" % len(names)
        start = self._with_only(names, "with %s %s" % (what, why))
        fails = self._told(start) is None
        if len(names) == 1:
            self._alone[names[0]] = fails
            if fails:
                self._ended[names[0]] = start
        return fails

    def _with_only(self, names: Sequence[str], reason: str) -> Start:
        if time.monotonic() > self._deadline:
            raise _OutOfTime
        self._reasons.append(reason)
        return self._comfyui.with_only(names)

    def _told(self, start: Start) -> Optional[Dict[str, Import]]:
        """ComfyUI's table by entry of custom_nodes; None when it did not come to it. No packs, no table."""
        imports = imports_of(start.output)
        if imports is None:
            return {} if start.finished.ok and not self._comfyui.present() else None
        if self._bare_gets_through is not False and not start.got_through:
            return None  # a pack may have printed it: ComfyUI's own comes at the end of the imports
        self._table_seen = self._starts_now = True
        return by_entry(imports, self._context.custom_nodes, self._context.layout.others)


def _unknown(why: str) -> Verdicts:
    return Verdicts(unknown=_UNKNOWN + why, starts=False)


def _in_words(names: Sequence[str]) -> str:
    more = " and %d more" % (len(names) - _MOST_NAMES) if len(names) > _MOST_NAMES else ""
    return ", ".join(name[:_NAME_CHARS] for name in names[:_MOST_NAMES]) + more
