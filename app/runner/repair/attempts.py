"""What a second round tries, one thing after another, and what became of each.

What helps stays in the copy for what is tried next, so that all that is found goes together.
"""

from __future__ import annotations

from functools import partial
from typing import Dict, FrozenSet, List, Mapping, Optional, Sequence, Set

from app.protocol.repairs import PackageMove, PackMove
from app.runner.comfyui.output import Import
from app.runner.context import Context
from app.runner.repair.candidates import Candidate
from app.runner.repair.commits import Commits
from app.runner.repair.libraries import Libraries
from app.runner.repair.symptoms import Symptom
from app.runner.repair.trials import Trials
from app.runner.requirements.lines import canonical
from app.runner.resolve.plan import Change

_TEXT_CHARS = 200


class Attempts:
    """One round's. For one thread. Its methods raise OutOfTime, OSError and RunCancelled."""

    def __init__(
        self, context: Context, trials: Trials, failing: Sequence[Symptom], good: Set[str], installed: Mapping[str, str]
    ) -> None:
        """`good`: the folders of packs that load; `installed`: the real environment's packages."""
        self.moves: Dict[str, PackageMove] = {}
        self.packs: List[PackMove] = []
        self.loads: List[str] = []
        """The names of packs that load now."""
        self.tried: Dict[str, List[str]] = {}
        """What became of each thing, by the pack for which it was tried."""
        self._context = context
        self._trials = trials
        self._failing = failing
        self._good = good
        self._installed = installed
        self._moved: List[str] = []
        """The folders of `packs`."""
        self._seen: Set[FrozenSet[Change]] = set()

    def left(self) -> List[Symptom]:
        """The packs that do not load yet."""
        return [symptom for symptom in self._failing if symptom.name not in self.loads]

    def try_libraries(self, symptom: Symptom) -> None:
        """Other versions of the packages that its failure names."""
        for package in symptom.packages:
            if symptom.name not in self.loads:
                Libraries(self._trials, package).search(partial(self._loads_with, symptom))

    def try_each(self, symptom: Symptom, candidates: Sequence[Candidate]) -> None:
        """Until it loads."""
        for candidate in candidates:
            if symptom.name in self.loads:
                return
            wanted = self._trials.plan(candidate.lines, keeps_all=candidate.keeps_all)
            self._try(symptom, wanted, candidate.words)

    def _loads_with(self, symptom: Symptom, wanted: Optional[Sequence[Change]], words: str) -> bool:
        self._try(symptom, wanted, words)
        return symptom.name in self.loads

    def _try(self, symptom: Symptom, wanted: Optional[Sequence[Change]], words: str) -> None:
        """Keeps the changes in the copy where with them more packs load and none is lost."""
        if wanted is None:
            self._note(symptom, words, "cannot be had together with what ComfyUI requires")
            return
        changed = [change for change in wanted if change.new is not None]
        key = frozenset(changed)
        if not changed or key in self._seen:
            return
        self._seen.add(key)
        with self._trials.installed(changed) as keep:
            if keep is None:
                self._note(symptom, words, "could not be installed")
                return
            said = self._trials.loads([each.folder for each in self.left()])
            if not any(each.good for each in said.values()):
                self._note(symptom, words, _why(said.get(symptom.folder)))
                return
            now = {name for name, good in self._trials.all_loads().items() if good}
            lost, won = sorted(self._good - now), [each for each in self.left() if each.folder in now]
            if lost or not won:
                text = (
                    "then %s would not load any more" % ", ".join(lost[:8]) if lost else _why(said.get(symptom.folder))
                )
                self._note(symptom, words, text)
                return
            keep()
            self._good = now
            self.loads += [each.name for each in won]
            for change in changed:
                self._move(change)
            if symptom not in won:
                self._note(symptom, words, "helps others, but not this pack")

    def _move(self, change: Change) -> None:
        """One package's way from the real environment to what it is in the copy."""
        name, new = canonical(change.package), str(change.new)
        old = self._installed.get(name)
        self.moves.pop(name, None)
        if old != new:
            self.moves[name] = PackageMove(name, old, new)

    def _note(self, symptom: Symptom, words: str, became: str) -> None:
        self.tried.setdefault(symptom.name, []).append(("%s: %s" % (words, became))[: 2 * _TEXT_CHARS])

    def try_commits(self, symptom: Symptom) -> None:
        """Its own earlier commits."""
        commits = Commits(self._context, self._trials, symptom, self._moved)
        self._look_for_commit(symptom, commits)
        self._trials.home = commits.home_of_moved()  # what is tried next goes with them

    def _look_for_commit(self, symptom: Symptom, commits: Commits) -> None:
        found = commits.search()
        if found is None:
            self._note(symptom, "its earlier commits", commits.became)
            return
        now = {name for name, good in commits.all_loads(found).items() if good}
        lost = sorted(self._good - now)
        if lost or symptom.folder not in now:
            text = (
                "then %s would not load any more" % ", ".join(lost[:8])
                if lost
                else "it does not load beside the others"
            )
            self._note(symptom, "commit %s" % found[:10], text)
            return
        self._good = now
        self.loads.append(symptom.name)
        self._moved.append(symptom.folder)
        self.packs.append(PackMove(symptom.name, symptom.result.commit, found))


def _why(said: Optional[Import]) -> str:
    """Why it does not load with that, in its own words."""
    if said is None:
        return "ComfyUI does not get through its start with it"
    return "it still does not load (%s)" % said.message[:_TEXT_CHARS] if said.message else "it still does not load"
