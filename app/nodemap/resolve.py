"""Which packs a workflow needs: `resolve`."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from app.nodemap.answer import Answer, Candidate, Evidence, Needed, Pack, Question
from app.nodemap.core_state import CoreSplit, KnownCore, split_core
from app.nodemap.core_versions import CoreVersions
from app.nodemap.hints import newest_core, pack_by_hints
from app.nodemap.manager_map import Facts, ManagerMap, repo_key
from app.nodemap.virtual import OF_PACKS, is_virtual
from app.protocol.core_needs import CoreNeeds
from app.protocol.repo_url import repo_name
from app.workflowfile.graph import Node, Workflow

_MOST_CANDIDATES = 12


@dataclass(frozen=True)
class Sources:
    """What is known besides the workflow. `core`: classes of the newest ComfyUI, None where that is not known;
    `registry`: packs by class, as the registry answered; `answers`: repositories by the question's id; `core_versions`:
    which versions of ComfyUI have which classes; `comfyui_version`: the instance's; `made_for`: that for which the
    workflow was made, as the list of the official templates says it."""

    core: Container[str] | None = None
    manager_map: ManagerMap = field(default_factory=ManagerMap)
    registry: Mapping[str, Sequence[Pack]] = field(default_factory=dict)
    answers: Mapping[str, str] = field(default_factory=dict)
    core_versions: CoreVersions | None = None
    comfyui_version: str | None = None
    made_for: str | None = None


@dataclass
class _Decided:
    """What is known of one class: the packs that are left, and by what evidence. `doubtful`: ComfyUI has or had the
    class itself, so that a pack is the one only where the workflow or a person says so."""

    packs: list[Pack]
    evidence: Evidence | None
    doubtful: bool = False

    @property
    def is_decided(self) -> bool:
        """Whether one pack is left, and can be fetched."""
        certain = not self.doubtful or self.evidence in (Evidence.ANSWER, Evidence.HINT)
        return len(self.packs) == 1 and self.packs[0].repo_url is not None and certain


def resolve(workflow: Workflow, sources: Sources) -> Answer:
    """The packs, questions and verdicts of a workflow. Each class is decided by the strongest evidence that says
    anything; what that leaves open, the packs decide that the workflow needs anyway."""
    by_class = workflow.classes(runs=False)
    known = KnownCore(sources.core, sources.core_versions, sources.comfyui_version, sources.made_for)
    sorted_core = split_core(by_class, known, sources.manager_map)
    open_classes = {name: nodes for name, nodes in by_class.items() if name not in sorted_core.own}
    decided = {name: _decide(name, nodes, sources) for name, nodes in open_classes.items()}
    for name in sorted_core.doubtful:
        decided[name].doubtful = True
    _by_the_others(decided)
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
    if name in OF_PACKS:
        return _Decided([Pack(OF_PACKS[name])], Evidence.NAME_PATTERN)
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
    """A pack of which the workflow has only the registry's id, with the repository of the pack that has the class: the
    one of that name, or the only one."""
    named = [pack for pack in packs if _stem(repo_name(pack.repo_url or "")) == _stem(hinted.registry_id or "")]
    left = named or packs
    return replace(hinted, repo_url=left[0].repo_url) if len(left) == 1 else hinted


def _stem(name: str) -> str:
    """A name as ids and repositories have in common."""
    return name.lower().replace("_", "-").removeprefix("comfyui-").replace("-", "")


def _packs(keys: Iterable[str], known: ManagerMap) -> list[Pack]:
    ids = {key: pack_id for pack_id, key in known.by_id.items()}
    return [Pack(known.urls[key], ids.get(key)) for key in keys if key in known.urls]


def _by_the_others(decided: Mapping[str, _Decided]) -> None:
    """What several packs list is of the one that the workflow needs anyway, where that is one."""
    needed = {_key(each.packs[0]) for each in decided.values() if each.is_decided}
    for each in decided.values():
        if len(each.packs) > 1:
            left = [pack for pack in each.packs if _key(pack) in needed]
            if len(left) == 1:
                each.packs, each.evidence = left, Evidence.SAME_WORKFLOW


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
        sources.core_versions.find(name) if decided.doubtful and sources.core_versions else None,
    )


def _also(pack: Pack, name: str, nodes: Mapping[str, Sequence[Node]], sources: Sources) -> tuple[str, ...]:
    classes = sources.manager_map.classes_of.get(_key(pack), frozenset())
    return tuple(sorted(other for other in nodes if other != name and other in classes))
