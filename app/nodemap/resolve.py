"""Which packs a workflow needs: `resolve`."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from app.nodemap.answer import Answer, Candidate, Evidence, Needed, Pack, Question
from app.nodemap.hints import newest_core, pack_by_hints, says_core
from app.nodemap.manager_map import Facts, ManagerMap, repo_key
from app.nodemap.virtual import CORE, is_virtual, pack_of
from app.protocol.repo_url import repo_name
from app.workflowfile.graph import Node, Workflow

_MOST_CANDIDATES = 12


@dataclass(frozen=True)
class Sources:
    """What is known besides the workflow. `core`: classes of ComfyUI itself, None where that is not known; `registry`:
    packs by class, as the registry answered; `answers`: repositories by the question's id."""

    core: Container[str] | None = None
    manager_map: ManagerMap = field(default_factory=ManagerMap)
    registry: Mapping[str, Sequence[Pack]] = field(default_factory=dict)
    answers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class _Decided:
    """What is known of one class: the packs that are left, and by what evidence."""

    packs: list[Pack]
    evidence: Evidence | None

    @property
    def is_decided(self) -> bool:
        """Whether one pack is left, and can be fetched."""
        return len(self.packs) == 1 and self.packs[0].repo_url is not None


def resolve(workflow: Workflow, sources: Sources) -> Answer:
    """The packs, questions and verdicts of a workflow. Each class is decided by the strongest evidence that says
    anything; what that leaves open, the packs decide that the workflow needs anyway."""
    by_class = workflow.classes(runs=False)
    core, too_new = _core(by_class, sources)
    own = core | too_new | CORE
    open_classes = {name: nodes for name, nodes in by_class.items() if name not in own}
    decided = {name: _decide(name, nodes, sources) for name, nodes in open_classes.items()}
    _by_one_id(decided)
    _by_the_others(decided)
    _by_new_name(decided, sources.manager_map)
    asked = {name: each for name, each in decided.items() if not each.is_decided and not is_virtual(name)}
    return Answer(
        tuple(_needed(decided, open_classes, sources)),
        tuple(_question(name, each, open_classes, sources) for name, each in asked.items()),
        tuple(sorted(core)),
        tuple(sorted(name for name in by_class if is_virtual(name))),
        tuple(sorted(too_new)),
        newest_core(workflow.nodes),
    )


def _core(by_class: Mapping[str, Sequence[Node]], sources: Sources) -> tuple[set[str], set[str]]:
    """The classes that are ComfyUI's own, and those of them that the known ComfyUI does not have. A pack's class of a
    core name is skipped by ComfyUI itself, so the core wins over every hint."""
    known = sources.core if sources.core is not None else sources.manager_map.core
    core = {name for name in by_class if name in known}
    hinted = {name for name, nodes in by_class.items() if says_core(nodes) and not is_virtual(name)} - core
    return (core, hinted) if sources.core is not None else (core | hinted, set())


def _decide(name: str, nodes: Sequence[Node], sources: Sources) -> _Decided:
    chosen = sources.answers.get(question_id(name))
    if chosen:
        return _Decided([Pack(chosen)], Evidence.ANSWER)
    hinted = pack_by_hints(nodes, sources.manager_map)
    if hinted is None:
        return _listed(name, sources)
    if hinted.repo_url is None:
        hinted = _with_repository(hinted, _listed(name, sources).packs)
    return _Decided([hinted], Evidence.HINT)


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
    if sources.registry.get(name):
        return _Decided(list(sources.registry[name]), Evidence.REGISTRY)
    keys = known.listed(name)
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
    another class has them."""
    urls: dict[str | None, set[str]] = {}
    for each in decided.values():
        for pack in each.packs if each.is_decided else ():
            for mark in (pack.registry_id, pack.ref):
                urls.setdefault(mark, set()).add(str(pack.repo_url))
    for each in decided.values():
        one = each.packs[0] if len(each.packs) == 1 else None
        if one is not None and one.repo_url is None:
            marks = (mark for mark in (one.registry_id, one.ref) if mark)
            url = next((next(iter(urls[mark])) for mark in marks if len(urls.get(mark, ())) == 1), None)
            each.packs = [replace(one, repo_url=url)]


def _by_the_others(decided: Mapping[str, _Decided]) -> None:
    """What several packs list is of the one that the workflow needs anyway, where that is one."""
    needed = {_key(each.packs[0]) for each in decided.values() if each.is_decided}
    for each in decided.values():
        if len(each.packs) > 1:
            left = [pack for pack in each.packs if _key(pack) in needed]
            if len(left) == 1:
                each.packs, each.evidence = left, Evidence.SAME_WORKFLOW


def _by_new_name(decided: Mapping[str, _Decided], known: ManagerMap) -> None:
    """A repository that the map does not know is the one that the workflow needs anyway, if that is of the same owner
    and has the class: it was renamed, and would be installed twice."""
    needed = {_key(each.packs[0]) for each in decided.values() if each.is_decided} & known.urls.keys()
    for name, each in decided.items():
        key = _key(each.packs[0]) if each.is_decided else ""
        if not key or key in known.urls:
            continue
        owner = key.rpartition("/")[0]
        same = [
            other for other in needed if other.rpartition("/")[0] == owner and name in known.classes_of.get(other, ())
        ]
        if len(same) == 1:
            each.packs = [replace(each.packs[0], repo_url=known.urls[same[0]])]


def _key(pack: Pack) -> str:
    return (repo_key(pack.repo_url) if pack.repo_url else None) or f"registry:{pack.registry_id}"


def _needed(decided: Mapping[str, _Decided], nodes: Mapping[str, Sequence[Node]], sources: Sources) -> Iterable[Needed]:
    """Each pack once, with all of its classes."""
    found: dict[str, Needed] = {}
    for name, each in decided.items():
        if not each.is_decided:
            continue
        pack, key = each.packs[0], _key(each.packs[0])
        runs = any(node.runs for node in nodes[name])
        evidence = (each.evidence,) if each.evidence else ()
        before = found.get(key)
        if before is None:
            found[key] = Needed(pack, (name,), evidence, runs, _facts(pack, sources))
            continue
        found[key] = replace(
            before,
            pack=_pinned(before.pack, pack),
            classes=(*before.classes, name),
            evidence=tuple(sorted({*before.evidence, *evidence}, key=list(Evidence).index)),
            runs=before.runs or runs,
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
    )


def _facts(pack: Pack, sources: Sources) -> Facts:
    return sources.manager_map.facts.get(_key(pack), Facts())


def question_id(class_name: str) -> str:
    """The id under which the pack of a class is asked for."""
    return f"pack:{class_name}"


def _question(name: str, decided: _Decided, nodes: Mapping[str, Sequence[Node]], sources: Sources) -> Question:
    candidates = [
        Candidate(pack, _facts(pack, sources), _also(pack, name, nodes, sources))
        for pack in decided.packs
        if pack.repo_url
    ]
    candidates.sort(key=lambda each: (-len(each.also), -(each.facts.stars or 0)))
    return Question(
        question_id(name),
        name,
        tuple(candidates[:_MOST_CANDIDATES]),
        any(node.runs for node in nodes[name]),
        tuple(node.node_id for node in nodes[name]),
        next((pack.registry_id for pack in decided.packs if pack.repo_url is None), None),
    )


def _also(pack: Pack, name: str, nodes: Mapping[str, Sequence[Node]], sources: Sources) -> tuple[str, ...]:
    classes = sources.manager_map.classes_of.get(_key(pack), frozenset())
    return tuple(sorted(other for other in nodes if other != name and other in classes))
