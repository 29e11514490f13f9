"""Finds the packs of a list that custom_nodes has already in another folder than the list says, or in another form, and
the entries of a list that are the same repository. Nobody gets a second copy without a word.

The texts decide where they can. Servers are asked only about folders that no entry of the list names, and that look as
if they might be a pack of the list: of the same name or project, or of the same owner. Side by side, before anything is
cloned; in a list without such a folder nobody is asked.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Dict, List, Optional, Sequence, Tuple

from app.protocol.events import ManifestRead
from app.protocol.manifest import NodePack, is_path, parent_of, split_source
from app.protocol.repo_identity import Identity, identity, same_repo, without_login
from app.protocol.repo_url import repo_name
from app.protocol.snapshot import Problem
from app.runner.context import Context
from app.runner.packs import disabled_packs
from app.runner.packs.installed import Installed, Kind, commit_of, is_there, project_name, scan
from app.runner.packs.same_repository import How, SameRepository, Verdict

_MOST_CANDIDATES = 8


class AlreadyInstalled:
    """What one run knows of it. `settle` comes first; the other methods may be called from any thread."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._same = SameRepository.of(context)
        self._folders: Sequence[Installed] = ()
        self._unnamed: Sequence[Installed] = ()
        self._packs: Dict[str, NodePack] = {}
        self._found: Dict[Tuple[str, Kind, bool], Installed] = {}
        self._problems: Dict[str, Problem] = {}

    @classmethod
    def of(cls, context: Context) -> AlreadyInstalled:
        """The one of this run."""
        found = context.shared.setdefault(cls.__name__, cls(context))
        assert isinstance(found, cls)
        return found

    def settle(self, packs: List[NodePack]) -> List[NodePack]:
        """The packs, those that are cloned in another folder with that folder; tells what changes. Raises OSError,
        RunCancelled."""
        self._folders = scan(self._context.custom_nodes)
        asked, packs = packs, disabled_packs.where_they_are(packs, self._folders)
        self._tell_listed_twice([pack for pack in packs if not pack.disabled])
        top = [pack for pack in packs if "/" not in pack.folder]
        claimed = {self._context.custom_nodes / pack.folder.partition("/")[0] for pack in packs if not pack.disabled}
        claimed |= {self._context.custom_nodes / pack.folder for pack in packs if pack.disabled}
        unclaimed = self._unnamed = [each for each in self._folders if each.path not in claimed]
        doubtful = {pack.name: self._doubtful(pack, unclaimed) for pack in top}
        addresses = [url for pack in top for each in doubtful[pack.name] for url in (pack.repo_url, each.address)]
        self._same.remotes(addresses)
        for pack in top:
            self._match(pack, unclaimed, doubtful[pack.name])
        settled = self._moved(packs)
        if settled != asked:
            form, _ = split_source(self._context.request.get("manifest"))
            self._context.journal.emit(ManifestRead(form, tuple(settled)))
        return settled

    def pack(self, pack: NodePack) -> NodePack:
        """The pack as `settle` has returned it."""
        return self._packs.get(pack.name, pack)

    def problem(self, pack: NodePack) -> Optional[Problem]:
        """Why the pack is not installed: another entry of the list is the same, and has the folder."""
        return self._problems.get(pack.name)

    def copy_of(self, pack: NodePack) -> Optional[Installed]:
        """The pack without its repository: a copy from the registry, or an unpacked archive; None for neither."""
        found = [self._found.get((pack.name, kind, False)) for kind in (Kind.REGISTRY, Kind.FILES)]
        return next(filter(None, found), None)

    def disabled(self, pack: NodePack) -> Optional[Installed]:
        """Where the pack is, disabled; None when it is not."""
        found = [self._found.get((pack.name, kind, True)) for kind in Kind]
        return next(filter(None, found), None)

    def enabled(self, pack: NodePack) -> Optional[Installed]:
        """Where the pack is, loaded by ComfyUI, without an entry of the list that says so; None when it is not."""
        return next((each for each in self._unnamed if not each.disabled and self._is_by_text(each, pack)), None)

    def twin_of(self, pack: NodePack, clone: Path, commit: str, led_to: Optional[str]) -> Optional[Problem]:
        """Why the fresh `clone` of a pack is not put in place: another entry of the list, or a folder that no entry
        names, is the same. `led_to`: where a server has led git. What only has the same name is told."""
        for other in self._packs.values():
            if led_to and not other.disabled and other.name != pack.name and self._same.by_text(other.repo_url, led_to):
                return same_as("%s, which is in the list too; it has moved to %s" % (other.name, led_to))
        project = project_name(clone)
        for each in self._unnamed:
            if each.disabled:
                continue
            if led_to and self._same.by_text(each.address, led_to):
                return same_as("custom_nodes/%s; it has moved to %s" % (each.path.name, led_to))
            if each.kind is Kind.CLONE and commit_of(each.path) == commit:
                return same_as("custom_nodes/%s; both have the commit %s" % (each.path.name, commit[:12]))
            if project and _bare(each.project) == _bare(project) and not _is_likely(each, pack):
                self._tell_maybe_twice(pack, each, Verdict(False))
        return None

    # -- matching ------------------------------------------------------------------------------------------------------

    def _match(self, pack: NodePack, unclaimed: Sequence[Installed], doubtful: Sequence[Installed]) -> None:
        own = self._own_folder(pack)
        for each in [*([own] if own and own.kind is not Kind.CLONE else []), *unclaimed]:
            if self._is_by_text(each, pack):
                self._note(pack, each, Verdict(True, How.TEXT))
            elif each in doubtful:
                self._settle_doubt(pack, each)
        twin = self._found.get((pack.name, Kind.CLONE, False))
        if twin is not None and own is not None and self._is_by_text(own, pack):
            self._tell_twice(pack, own.path.name, twin)

    def _own_folder(self, pack: NodePack) -> Optional[Installed]:
        path = self._context.custom_nodes / pack.folder
        return next((each for each in self._folders if each.path == path), None)

    def _is_by_text(self, each: Installed, pack: NodePack) -> bool:
        """Whether the texts say that the folder is the pack."""
        if pack.registry_id:
            return _is_of_registry(each, pack)
        url, name = pack.repo_url, pack.folder.lower()
        if each.address and self._same.by_text(each.address, url):
            return True
        if each.address:
            return False
        if each.kind is Kind.FILES and not each.disabled:
            return each.unpacked_name.lower() in (name, repo_name(url).lower())
        return each.name.lower() == name and (each.disabled or each.kind is Kind.REGISTRY)

    def _doubtful(self, pack: NodePack, unclaimed: Sequence[Installed]) -> List[Installed]:
        """The folders about which servers are to be asked, those that look most like the pack first."""
        if pack.registry_id:
            return []
        if is_there(self._context.custom_nodes / pack.folder):
            own = self._own_folder(pack)
            is_copy = own is not None and own.kind is not Kind.CLONE and own.address
            return [own] if own and is_copy and not self._is_by_text(own, pack) else []
        if any(self._is_by_text(each, pack) for each in unclaimed if not each.disabled):
            return []
        likely = [each for each in unclaimed if each.address and _is_likely(each, pack)]
        owned = [each for each in unclaimed if not each.disabled and each not in likely and _same_owner(each, pack)]
        return [*likely, *owned][:_MOST_CANDIDATES]

    def _settle_doubt(self, pack: NodePack, each: Installed) -> None:
        commit = self._context.git().head(each.path) if each.kind is Kind.CLONE else None
        verdict = self._same.ask(each.address, pack.repo_url, each.path, commit)
        by_name = each.disabled or (each.kind is not Kind.CLONE and each.name.lower() == pack.folder.lower())
        if verdict.same or (verdict.same is None and by_name):
            self._note(pack, each, verdict)
        elif not each.disabled and _is_likely(each, pack):
            self._tell_maybe_twice(pack, each, verdict)

    def _note(self, pack: NodePack, each: Installed, verdict: Verdict) -> None:
        key = (pack.name, each.kind, each.disabled)
        if key in self._found:
            return
        self._found[key] = each
        if verdict.how is How.COMMITS:
            text = (
                "custom_nodes/%s comes from %s, and the list asks for %s. Both have the same commits, so it was taken "
                "for the pack."
            )
            hint = "If they are two packs, install the other one by hand, in a folder of another name."
            values = (each.path.name, without_login(each.address), pack.repo_url)
            self._context.warn("same_by_commits", text % values, hint)

    # -- the packs with their folders ----------------------------------------------------------------------------------

    def _moved(self, packs: Sequence[NodePack]) -> List[NodePack]:
        folders: Dict[str, str] = {}
        for pack in packs:
            found = self._found.get((pack.name, Kind.CLONE, False))
            if found is None and pack.registry_id:
                found = self._found.get((pack.name, Kind.REGISTRY, False))
            if found is None or "/" in pack.folder or is_there(self._context.custom_nodes / pack.folder):
                continue
            name = found.path.name
            if name in folders.values() or not is_path(name):
                self._problems[pack.name] = same_as("the pack in custom_nodes/%s" % name)
                continue
            folders[pack.folder] = name
            self._tell_elsewhere(pack, found)
        settled = []
        for pack in packs:
            old = pack.folder if pack.folder in folders else (parent_of(pack, packs) or pack).folder
            moves = old in folders and pack.name not in self._problems
            settled.append(replace(pack, subfolder=folders[old] + pack.folder[len(old) :]) if moves else pack)
        self._packs = {pack.name: pack for pack in settled}
        return settled

    # -- words ---------------------------------------------------------------------------------------------------------

    def _tell_elsewhere(self, pack: NodePack, found: Installed) -> None:
        is_same = bool(pack.registry_id) or same_repo(found.address, pack.repo_url)
        moved = "" if is_same else " from %s" % without_login(found.address)
        text = (
            "%s is installed already, as custom_nodes/%s%s. That one is the pack for this run; it gets no second copy."
        )
        hint = "To have it as custom_nodes/%s, rename the folder." % pack.folder
        self._context.warn("installed_under_other_name", text % (pack.name, found.path.name, moved), hint)

    def _tell_twice(self, pack: NodePack, own: str, twin: Installed) -> None:
        text = "%s is installed twice: as custom_nodes/%s and as custom_nodes/%s. ComfyUI loads both."
        hint = "Remove one of the two. This run works in custom_nodes/%s." % own
        self._context.warn("installed_twice", text % (pack.name, own, twin.path.name), hint)

    def _tell_maybe_twice(self, pack: NodePack, each: Installed, verdict: Verdict) -> None:
        if verdict.same is None:
            text = (
                "custom_nodes/%s comes from %s. Whether that is the same pack as %s (%s) could not be found out, so it "
                "is installed besides."
            )
        else:
            text = (
                "custom_nodes/%s comes from %s, which is another repository than that of %s (%s). Both have the same "
                "name: one may be a fork of the other."
            )
        hint = "If both bring the same nodes, ComfyUI keeps those that it loads last: remove one of the two."
        values = (each.path.name, without_login(each.address), pack.name, pack.repo_url)
        self._context.warn("maybe_installed_twice", text % values, hint)

    def _tell_listed_twice(self, packs: Sequence[NodePack]) -> None:
        seen: Dict[Identity, NodePack] = {}
        for pack in packs:
            if pack.registry_id:
                continue  # by their ids they are looked at where the list is read
            named = self._same.identities(pack.repo_url)
            other = next((seen[each] for each in named if each in seen), None)
            if other is not None:
                text = "The list has one repository twice: as %s and as %s (%s)."
                hint = "ComfyUI loads every folder. If one is enough, remove the other one from the list."
                self._context.warn("listed_twice", text % (other.name, pack.name, pack.repo_url), hint)
            seen.update(dict.fromkeys(named, pack))


def same_as(what: str) -> Problem:
    """The reason why a pack is not installed: it is there."""
    text = "It is the same repository as %s. No second copy was made." % what
    return Problem("same_repository", text, "Remove it from the list of packs.")


def _is_likely(each: Installed, pack: NodePack) -> bool:
    """Whether the folder has the pack's name in some way, or names its repository."""
    known = identity(each.address)
    theirs = {
        _bare(name) for name in (each.name, each.unpacked_name, each.project, known.name if known else "") if name
    }
    return bool(theirs & {_bare(repo_name(pack.repo_url)), _bare(pack.folder)}) or each.names(pack.repo_url)


def _is_of_registry(each: Installed, pack: NodePack) -> bool:
    """Whether a folder is a pack of the registry: by what it says of itself, a disabled one also by its name."""
    own = _bare(pack.registry_id)
    if each.kind is Kind.FILES:
        return each.disabled and _bare(each.name) == own
    if pack.repo_url and each.names(pack.repo_url):
        return True
    return _bare(each.project or (each.name if each.kind is Kind.REGISTRY or each.disabled else "")) == own


def _same_owner(each: Installed, pack: NodePack) -> bool:
    one, other = identity(each.address), identity(pack.repo_url)
    return (
        one is not None and other is not None and bool(one.owner) and (one.host, one.owner) == (other.host, other.owner)
    )


def _bare(name: str) -> str:
    """A name as it is compared: whatever its case and what is between its words."""
    return re.sub(r"[-_. ]+", "-", name.lower())
