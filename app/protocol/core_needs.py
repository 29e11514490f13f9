"""What a workflow needs of ComfyUI itself, and what a ComfyUI of some version, or one that runs, lacks of it.

The service says it from a version before anything is connected; the runner from the ComfyUI that it finds.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Container, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple

from app.protocol.json_fields import read_record
from app.protocol.versions import is_older, newest_of, version_key

TOO_OLD = "comfyui_too_old"
GONE = "core_class_gone"
_NAMED = 5


@dataclass(frozen=True)
class CoreClass:
    """A class of ComfyUI itself that a workflow needs. `since`, `until`: the first and the last version that have it;
    `since` is None where no version is known that does, `until` where the newest has it. `replaced_by`: the class that
    took its place."""

    name: str
    since: Optional[str] = None
    until: Optional[str] = None
    replaced_by: Optional[str] = None


@dataclass(frozen=True)
class CoreNeeds:
    """The classes of ComfyUI itself that a workflow needs to run. `known_to`: up to this version it is known exactly
    which classes each one has; `newest`: the newest version of which anything is known."""

    known_to: str
    newest: str
    classes: Tuple[CoreClass, ...] = field(default_factory=tuple)

    @property
    def version(self) -> Optional[str]:
        """The oldest ComfyUI that has all of them, as far as that is known."""
        return newest_of(each.since for each in self.classes if each.until is None)

    @property
    def is_newer_than_known(self) -> bool:
        """Whether it needs a ComfyUI that is newer than any of which something is known."""
        return any(each.since is None and each.until is None for each in self.classes)

    def to_json(self) -> Dict[str, Any]:
        """As a manifest has it."""
        return asdict(self)


@dataclass(frozen=True)
class Lack:
    """A class that a ComfyUI does not have, and why: TOO_OLD or GONE. `certain`: not only because of what is known of
    versions that nobody has looked into."""

    core_class: CoreClass
    code: str
    certain: bool


def read_core_needs(raw: Mapping[str, Any]) -> CoreNeeds:
    """Needs as a manifest has them. Raises BadField."""
    return read_record(CoreNeeds, raw)


def lacks(wanted: CoreNeeds, version: Optional[str], present: Optional[Container[str]] = None) -> List[Lack]:
    """What a ComfyUI of this version lacks. `present`: the classes that it has, where it runs and has said so. Without
    either, only what is gone from every new one."""
    found = [_lack(each, wanted, version) for each in wanted.classes if present is None or each.name not in present]
    return [each for each in found if each is not None]


def _lack(core_class: CoreClass, wanted: CoreNeeds, version: Optional[str]) -> Optional[Lack]:
    exact = bool(version_key(version)) and not is_older(wanted.known_to, version)
    if core_class.until is not None and (not version_key(version) or is_older(core_class.until, version)):
        return Lack(core_class, code=GONE, certain=True)
    if is_older(version, core_class.since):
        return Lack(core_class, code=TOO_OLD, certain=exact)
    nobody_knows = core_class.since is None and core_class.until is None
    if nobody_knows and version_key(version) and not is_older(wanted.newest, version):
        return Lack(core_class, code=TOO_OLD, certain=exact)
    return None


# -- words -------------------------------------------------------------------------------------------------------------


def too_old_text(wanted: CoreNeeds, found: Sequence[Lack], version: Optional[str]) -> str:
    """One sentence for all classes that a ComfyUI is too old for."""
    classes = [each.core_class for each in found]
    since = newest_of(each.since for each in classes)
    if any(each.since is None for each in classes):
        which = "a newer ComfyUI than %s" % newest_of([wanted.newest, since])
    else:
        which = "ComfyUI %s or newer" % since
    verb = "lacks" if any(each.certain for each in found) else "may lack"
    has = "this one is %s and" % version if version else "an older one"
    return "The workflow needs %s; %s %s %s." % (which, has, verb, _listed([each.name for each in classes]))


def gone_text(found: Sequence[Lack]) -> str:
    """One sentence for all classes that ComfyUI no longer has."""
    told = []
    for each in found[:_NAMED]:
        instead = "; now %s" % each.core_class.replaced_by if each.core_class.replaced_by else ""
        told.append("%s (until %s%s)" % (each.core_class.name, each.core_class.until, instead))
    more = len(found) - _NAMED
    return "ComfyUI had these nodes once and has them no longer: %s%s." % (
        ", ".join(told),
        " and %d more" % more if more > 0 else "",
    )


def _listed(names: Iterable[str]) -> str:
    known = sorted(names)
    more = len(known) - _NAMED
    return ", ".join(known[:_NAMED]) + (" and %d more" % more if more > 0 else "")
