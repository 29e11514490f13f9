"""What a list of node packs that was made from a workflow says of it: `needs`, beside `nodes` in a manifest.

The run looks at the ComfyUI that it finds, and leaves out what that has already. Nothing here can add a pack that the
list does not have but by a person's answer.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Collection, Dict, Mapping, Optional, Tuple

from app.protocol.core_needs import CoreNeeds
from app.protocol.json_fields import BadField, read_record
from app.protocol.manifest import ManifestFault, parse_urls

MOST_CLASSES = 2000
"""Of all packs and questions together."""
MOST_REPOSITORIES = 20
"""Among which a person is to choose for one class."""


@dataclass(frozen=True)
class PackClasses:
    """A pack of the list by its name, and the classes that the workflow needs of it."""

    name: str
    classes: Tuple[str, ...] = ()


@dataclass(frozen=True)
class OpenClass:
    """A class of which it is not certain which pack has it. `repositories`: those that may."""

    name: str
    repositories: Tuple[str, ...] = ()


@dataclass(frozen=True)
class WorkflowNeeds:
    """`packs`: without those that a person has chosen. `core`: what is needed of ComfyUI itself."""

    packs: Tuple[PackClasses, ...] = ()
    open_classes: Tuple[OpenClass, ...] = ()
    core: Optional[CoreNeeds] = None

    def to_json(self) -> Dict[str, Any]:
        """As a manifest has it."""
        return asdict(self)


def needs_in(manifest: Optional[Mapping[str, Any]], schemes: Collection[str]) -> Optional[WorkflowNeeds]:
    """What a manifest says of its workflow; None where it was not made from one. `schemes`: what git may fetch by, of
    what a person is offered too. Raises ManifestFault."""
    raw = (manifest or {}).get("needs")
    if raw is None:
        return None
    try:
        found = read_record(WorkflowNeeds, _with_lists(raw))
    except BadField as exc:
        raise ManifestFault("manifest.needs", "What the workflow needs cannot be read: %s." % exc) from None
    classes = sum(len(pack.classes) for pack in found.packs) + len(found.open_classes)
    if classes + len(found.core.classes if found.core else ()) > MOST_CLASSES:
        raise ManifestFault("manifest.needs", "The workflow needs more than %d classes." % MOST_CLASSES)
    for number, each in enumerate(found.open_classes):
        _check_repositories(each, schemes, "manifest.needs.open_classes[%d]" % number)
    return found


def _check_repositories(each: OpenClass, schemes: Collection[str], where: str) -> None:
    if len(each.repositories) > MOST_REPOSITORIES:
        raise ManifestFault(where, "More than %d repositories for one class: nobody can choose." % MOST_REPOSITORIES)
    for url in each.repositories:  # each by itself: forks have one name
        try:
            parse_urls([url], schemes, where)
        except ManifestFault as fault:
            raise ManifestFault(where, fault.message) from None


def _with_lists(value: Any) -> Any:
    """Tuples as JSON has them: a list that was not sent has some."""
    if isinstance(value, (list, tuple)):
        return [_with_lists(each) for each in value]
    return {key: _with_lists(each) for key, each in value.items()} if isinstance(value, dict) else value
