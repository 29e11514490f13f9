"""Which packs a workflow needs: `resolve`."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from app.nodemap.answer import Answer, Candidate, Evidence, Needed, Pack, Question
from app.nodemap.core_state import CoreSplit, KnownCore, split_core
from app.nodemap.core_versions import CoreVersions
from app.nodemap.hints import KnownIds, newest_core, pack_by_hints
from app.nodemap.manager_map import Facts, ManagerMap, repo_key
from app.nodemap.virtual import is_virtual, pack_of
from app.protocol.core_needs import CoreNeeds
from app.protocol.registry_ref import read_registry_ref
from app.protocol.repo_url import repo_name
from app.workflowfile.graph import Node, Workflow

_MOST_CANDIDATES = 12


@dataclass(frozen=True)
class Sources:
    """What is known besides the workflow. `core`: classes of the newest ComfyUI, None where that is not known;
    `registry`: packs by class, as the registry answered, with their facts by `pack_key`; `registry_on`: packs can be
    had from there by their ids, and of these it has told `repositories`. `answers`: repositories or packs of the
    registry by the question's id; `remembered`: answers of earlier days, each with its day. `core_versions`: which
    versions of ComfyUI have which classes; `comfyui_version`: the instance's; `made_for`: that for which the workflow
    was made, as the list of the official templates says it."""

    core: Container[str] | None = None
    manager_map: ManagerMap = field(default_factory=ManagerMap)
    registry: Mapping[str, Sequence[Pack]] = field(default_factory=dict)
    registry_facts: Mapping[str, Facts] = field(default_factory=dict)
    registry_on: bool = False
    repositories: Mapping[str, str] = field(default_factory=dict)
    answers: Mapping[str, str] = field(default_factory=dict)
    remembered: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    core_versions: CoreVersions | None = None
    comfyui_version: str | None = None
    made_for: str | None = None

    @property
    def ids(self) -> KnownIds:
        """What is known of the registry's ids."""
        return KnownIds(self.manager_map, self.registry_on, self.repositories)

    @property
    def known_core(self) -> KnownCore:
        """What is known of ComfyUI itself."""
        return KnownCore(self.core, self.core_versions, self.comfyui_version, self.made_for)


@dataclass
class _Decided:
    """What is known of one class: the packs that are left, and by what evidence. `doubtful`: ComfyUI has or had the
    class itself, so that a pack is the one only where the workflow or a person says so."""

    packs: list[Pack]
    evidence: Evidence | None
    answered_at: str | None = None
    doubtful: bool = False

    @property
    def is_decided(self) -> bool:
        """Whether one pack is left, and can be fetched."""
        certain = not self.doubtful or self.evidence in (Evidence.ANSWER, Evidence.REMEMBERED, Evidence.HINT)
        return len(self.packs) == 1 and (self.packs[0].repo_url is not None or self.packs[0].from_registry) and certain


def resolve(workflow: Workflow, sources: Sources) -> Answer:
    """The packs, questions and verdicts of a workflow. Each class is decided by the strongest evidence that says
    anything; what that leaves open, the packs decide that the workflow needs anyway."""
    by_class = workflow.classes(runs=False)
    sorted_core = split_core(by_class, sources.known_core, sources.manager_map)
    open_classes = {name: nodes for name, nodes in by_class.items() if name not in sorted_core.own}
    decided = {name: _decide(name, nodes, sources) for name, nodes in open_classes.items()}
    for name in sorted_core.doubtful:
        decided[name].doubtful = True
    _by_one_id(decided)
    _by_the_others(decided)
    _by_new_name(decided, sources.manager_map)
    asked = {name: each for name, each in decided.items() if not each.is_decided and not is_virtual(name)}
    return Answer(
        tuple(_needed(decided, open_classes, sources)),
        tuple(_question(name, each, open_classes, sources) for name, each in asked.items()),
        tuple(sorted(sorted_core.here)),
        tuple(sorted(name for name in by_class if is_virtual(name))),
        tuple(sorted(sorted_core.too_new)),
        newest_core(workflow.nodes),
        _core_needs(sorted_core, sources),
        tuple(sorted(sorted_core.gone)),
    )


def _core_needs(sorted_core: CoreSplit, sources: Sources) -> CoreNeeds | None:
    """What the run needs of ComfyUI itself; of what packs may have instead, the questions tell."""
    versions = sources.core_versions
    if versions is None:
        return None
    classes = tuple(each for name, each in sorted(sorted_core.needed.items()) if name not in sorted_core.doubtful)
    return CoreNeeds(versions.known_to, versions.newest, classes)


def _decide(name: str, nodes: Sequence[Node], sources: Sources) -> _Decided:
    chosen = sources.answers.get(question_id(name))
    if chosen:
        return _Decided([pack_of_answer(chosen)], Evidence.ANSWER)
    hinted = pack_by_hints(nodes, sources.ids)
    if hinted is None:
        return _without_hint(name, sources)
    if hinted.repo_url is None and not hinted.from_registry:
        hinted = _with_repository(hinted, _listed(name, sources).packs)
        if hinted.repo_url is None and question_id(name) in sources.remembered:
            return _without_hint(name, sources)
    return _Decided([hinted], Evidence.HINT)


def _without_hint(name: str, sources: Sources) -> _Decided:
    """What somebody has answered on another day goes before what lists say of a class."""
    if question_id(name) in sources.remembered:
        answer, day = sources.remembered[question_id(name)]
        return _Decided([pack_of_answer(answer)], Evidence.REMEMBERED, day)
    return _listed(name, sources)


def pack_of_answer(answer: str) -> Pack:
    """The pack that an answer names: a repository, or a pack of the registry."""
    named = read_registry_ref(answer)
    if named is None:
        return Pack(answer)
    return Pack(None, named.registry_id.lower(), None, named.version or None, from_registry=True)


def classes_to_ask(workflow: Workflow, sources: Sources) -> list[str]:
    """The classes of which only the registry or the map can say something, in the order in which they come."""
    by_class = workflow.classes(runs=False)
    own = split_core(by_class, sources.known_core, sources.manager_map).own
    left = [name for name in by_class if name not in own and not is_virtual(name)]
    weak = (None, Evidence.REGISTRY, Evidence.MAP)
    return [name for name in left if _decide(name, by_class[name], sources).evidence in weak]


def _listed(name: str, sources: Sources) -> _Decided:
    """What is known of a class of which the workflow says nothing."""
    known = sources.manager_map
    pack = pack_of(name)
    if pack is not None:
        return _Decided([Pack(pack)], Evidence.NAME_PATTERN)
    owners = known.owners_of(name)
    listing = [key for key in owners if name in known.classes_of.get(key, ())]
    for keys, evidence in (
        (listing or owners, Evidence.NAME_PATTERN),
        (known.preempted.get(name, []), Evidence.PREEMPTION),
    ):
        if keys:
            return _Decided(_packs(keys, known), evidence)
    keys = known.listed(name)
    if sources.registry.get(name):
        packs = list(sources.registry[name])
        if all(pack_key(pack) in known.collections for pack in packs):  # whose copies are listed may be meant instead
            packs += [pack for pack in _packs(keys, known) if pack_key(pack) not in map(pack_key, packs)]
        return _Decided(packs, Evidence.REGISTRY)
    return _Decided(_packs(keys, known), Evidence.MAP if keys else None)


def _with_repository(hinted: Pack, packs: Sequence[Pack]) -> Pack:
    """A pack of which the workflow has only the registry's id, with the repository of that name that has the class. One
    of another name may be a fork."""
    words = _words(hinted.registry_id or "")
    named = [pack for pack in packs if _words(repo_name(pack.repo_url or "")) == words]
    return replace(hinted, repo_url=named[0].repo_url) if len(named) == 1 else hinted


def _words(name: str) -> list[str]:
    """What ids and repositories' names have in common, in whatever order: `comfyui_rtx_nodes`, `RTX-Nodes-ComfyUI`."""
    return sorted(word for word in re.split("[-_. ]", name.lower()) if word not in ("", "comfyui", "comfy"))


def _packs(keys: Iterable[str], known: ManagerMap) -> list[Pack]:
    ids = {key: pack_id for pack_id, key in known.by_id.items()}
    return [Pack(known.urls[key], ids.get(key)) for key in keys if key in known.urls]


def _by_one_id(decided: Mapping[str, _Decided]) -> None:
    """One id of the registry is one pack, and one commit is of one repository: what has no more than these is where
    another class has them. It may be a fork, of which the registry's archive is not."""
    found: dict[str, dict[str, Pack]] = {}
    for each in decided.values():
        for pack in each.packs if each.is_decided and each.packs[0].repo_url else ():
            for mark in filter(None, (pack.registry_id, pack.ref)):
                found.setdefault(mark, {})[str(pack.repo_url)] = pack
    for each in decided.values():
        one = each.packs[0] if len(each.packs) == 1 else None
        if one is not None and one.repo_url is None:
            marks = filter(None, (one.registry_id, one.ref))
            same = next((found[mark] for mark in marks if len(found.get(mark, ())) == 1), {})
            for url, pack in same.items():
                each.packs = [replace(one, repo_url=url, from_registry=one.from_registry and pack.from_registry)]


def _by_the_others(decided: Mapping[str, _Decided]) -> None:
    """What several packs list is of the one that the workflow needs anyway, where that is one."""
    needed = {pack_key(each.packs[0]) for each in decided.values() if each.is_decided}
    for each in decided.values():
        if len(each.packs) > 1:
            left = [pack for pack in each.packs if pack_key(pack) in needed]
            if len(left) == 1:
                each.packs, each.evidence = left, Evidence.SAME_WORKFLOW


def pack_key(pack: Pack) -> str:
    """One spelling of what a pack is: its repository, or its id in the registry."""
    return (repo_key(pack.repo_url) if pack.repo_url else None) or f"registry:{(pack.registry_id or '').lower()}"


def _by_new_name(decided: Mapping[str, _Decided], known: ManagerMap) -> None:
    """A repository that the map does not know is the one that the workflow needs anyway, if that is of the same owner
    and has the class: it was renamed, and would be installed twice."""
    needed = {pack_key(each.packs[0]) for each in decided.values() if each.is_decided} & known.urls.keys()
    for name, each in decided.items():
        key = pack_key(each.packs[0]) if each.is_decided else ""
        if not key or key in known.urls:
            continue
        owner = key.rpartition("/")[0]
        same = [
            other for other in needed if other.rpartition("/")[0] == owner and name in known.classes_of.get(other, ())
        ]
        if len(same) == 1:
            each.packs = [replace(each.packs[0], repo_url=known.urls[same[0]])]


def _needed(decided: Mapping[str, _Decided], nodes: Mapping[str, Sequence[Node]], sources: Sources) -> Iterable[Needed]:
    """Each pack once, with all of its classes."""
    found: dict[str, Needed] = {}
    decided = {name: each for name, each in decided.items() if each.is_decided}
    for name, each in decided.items():
        pack, key = each.packs[0], pack_key(each.packs[0])
        runs = any(node.runs for node in nodes[name])
        evidence = (each.evidence,) if each.evidence else ()
        before = found.get(key)
        if before is None:
            found[key] = Needed(pack, (name,), evidence, runs, _facts(pack, sources), each.answered_at)
            continue
        found[key] = replace(
            before,
            pack=_pinned(before.pack, pack),
            classes=(*before.classes, name),
            evidence=tuple(sorted({*before.evidence, *evidence}, key=list(Evidence).index)),
            runs=before.runs or runs,
            answered_at=before.answered_at or each.answered_at,
        )
    return found.values()


def _pinned(one: Pack, other: Pack) -> Pack:
    """What two classes of a pack say of its version; where they disagree, nothing is pinned."""
    refs, versions = {one.ref, other.ref} - {None}, {one.version, other.version} - {None}
    return Pack(
        one.repo_url or other.repo_url,
        one.registry_id or other.registry_id,
        refs.pop() if len(refs) == 1 else None,
        versions.pop() if len(versions) == 1 else None,
        one.from_registry or other.from_registry,
    )


def _facts(pack: Pack, sources: Sources) -> Facts:
    key = pack_key(pack)
    return sources.manager_map.facts.get(key) or sources.registry_facts.get(key) or Facts()


def question_id(class_name: str) -> str:
    """The id under which the pack of a class is asked for."""
    return f"pack:{class_name}"


def _question(name: str, decided: _Decided, nodes: Mapping[str, Sequence[Node]], sources: Sources) -> Question:
    candidates = [
        Candidate(pack, _facts(pack, sources), _also(pack, name, nodes, sources))
        for pack in decided.packs
        if pack.repo_url or pack.from_registry
    ]
    candidates.sort(key=lambda each: (-len(each.also), -(each.facts.stars or 0)))
    return Question(
        question_id(name),
        name,
        tuple(candidates[:_MOST_CANDIDATES]),
        any(node.runs for node in nodes[name]),
        tuple(node.node_id for node in nodes[name]),
        next((pack.registry_id for pack in decided.packs if not (pack.repo_url or pack.from_registry)), None),
        sources.core_versions.find(name) if decided.doubtful and sources.core_versions else None,
    )


def _also(pack: Pack, name: str, nodes: Mapping[str, Sequence[Node]], sources: Sources) -> tuple[str, ...]:
    key = pack_key(pack)
    classes = sources.manager_map.classes_of.get(key, frozenset())
    by_registry = {each for each, packs in sources.registry.items() if key in map(pack_key, packs)}
    return tuple(sorted(other for other in nodes if other != name and (other in classes or other in by_registry)))
