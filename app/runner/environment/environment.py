"""ComfyUI's Python environment at one moment, as its own interpreter describes it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, Dict, Iterable, List, Mapping, Optional, Protocol, Sequence, Tuple, TypeVar

from app.protocol.package_sources import without_login
from app.runner.environment.torch_family import protected
from app.runner.requirements.lines import canonical
from app.runner.requirements.versions import is_newer


@dataclass(frozen=True)
class Distribution:
    """One installed package. `location`: the folder that it lies in; `requires`: its metadata's requirement lines;
    `installer`: the program that says to have installed it; `direct_url`: where it came from, if not from an index
    (PEP 610)."""

    name: str
    version: str
    location: str = ""
    requires: Tuple[str, ...] = ()
    installer: str = ""
    direct_url: Optional[Mapping[str, Any]] = None

    @property
    def source(self) -> Optional[str]:
        """The address that it came from, as a requirement has it; None for an index."""
        return source_of(self.direct_url)

    @property
    def editable(self) -> bool:
        """Whether it is a folder of its source, as it lies there."""
        return is_editable(self.direct_url)

    def __str__(self) -> str:
        return "%s (%s)" % (self.version, without_login(self.source)) if self.source else self.version


@dataclass(frozen=True)
class Torch:
    """What torch says of itself."""

    version: str
    cuda: Optional[str] = None
    cuda_available: bool = False

    def to_json(self) -> Dict[str, Any]:
        """As the journal and the probe tell it."""
        return asdict(self)


@dataclass(frozen=True)
class Difference:
    """A package that is not the same in two environments; None where it is not installed."""

    name: str
    before: Optional[Distribution]
    after: Optional[Distribution]

    def __str__(self) -> str:
        before, after = self.before, self.after
        if before and after and str(before) == str(after):
            return "%s %s moved from %s to %s" % (self.name, before.version, before.location, after.location)
        return "%s %s -> %s" % (self.name, before or "not installed", after or "not installed")


class Located(Protocol):
    """A package that was found somewhere."""

    @property
    def name(self) -> str:
        """As its metadata has it."""

    @property
    def version(self) -> str:
        """As its metadata has it."""

    @property
    def location(self) -> str:
        """The folder that it lies in."""


P = TypeVar("P", bound=Located)


@dataclass(frozen=True)
class Environment:
    """An interpreter and what it sees. A later inspection is another Environment, to be compared with this one.

    `executable`: as it was called (a venv's own name, not what it links to); `paths`: where it finds packages, in its
    order; `site_packages`: the folders that installers change, and no others; `scheme`: where they put the parts of a
    package (sysconfig's names); `distributions`: by canonical name, the one that is imported; `behind`: what would be
    imported without that one, from a later folder; `markers`: the values of PEP 508's marker names; `system_site`: a
    venv that sees the system's packages; `torch`: None where torch cannot be imported, or was not asked for."""

    executable: str
    version: str = ""
    prefix: str = ""
    base_prefix: str = ""
    paths: Tuple[str, ...] = ()
    site_packages: Tuple[str, ...] = ()
    scheme: Mapping[str, str] = field(default_factory=dict)
    distributions: Mapping[str, Distribution] = field(default_factory=dict)
    behind: Mapping[str, Distribution] = field(default_factory=dict)
    markers: Mapping[str, str] = field(default_factory=dict)
    system_site: bool = False
    externally_managed: bool = False
    torch: Optional[Torch] = None
    torch_error: Optional[str] = None

    @cached_property
    def packages(self) -> Mapping[str, str]:
        """Versions by canonical name."""
        return {name: found.version for name, found in self.distributions.items()}

    @property
    def torch_family(self) -> Dict[str, str]:
        """The torch family's members and their versions."""
        return protected(self.packages)

    @property
    def torch_version(self) -> Optional[str]:
        """torch's own word, else its metadata's; None where there is none."""
        return self.torch.version if self.torch else self.packages.get("torch")

    @property
    def cuda(self) -> Optional[bool]:
        """Whether torch can use a GPU; None where torch cannot be imported."""
        return self.torch.cuda_available if self.torch else None

    def differences(self, later: Environment) -> List[Difference]:
        """The packages whose version, origin or place is not the same later, by name."""
        before, after = self.distributions, later.distributions
        return [
            Difference(name, before.get(name), after.get(name))
            for name in sorted({*before, *after})
            if _identity(before.get(name)) != _identity(after.get(name))
        ]

    def describe(self) -> str:
        """The environment in a line."""
        torch = "torch %s" % self.torch_version if self.torch_version else "no torch"
        return "%s, Python %s, %s" % (self.executable, self.version, torch)


def from_json(executable: str, said: Mapping[str, Any]) -> Environment:
    """The environment in the answer of `inspection.inspect`'s script. Raises KeyError, TypeError, AttributeError or
    ValueError for what is none."""
    listed = []
    for name, version, location, requires, installer, direct_url in said["distributions"]:
        origin = direct_url if isinstance(direct_url, dict) else None
        listed.append(Distribution(str(name), str(version), str(location), tuple(requires), str(installer), origin))
    distributions = imported(listed)
    others = [found for found in listed if found.location != distributions[canonical(found.name)].location]
    return Environment(
        executable=executable,
        version=str(said["version"]),
        prefix=str(said["prefix"]),
        base_prefix=str(said["base_prefix"]),
        paths=tuple(said["paths"]),
        site_packages=tuple(said["site_packages"]),
        scheme=dict(said["scheme"]),
        distributions=distributions,
        behind=imported(others),
        markers=dict(said["markers"]),
        system_site=bool(said["system_site"]),
        externally_managed=bool(said["externally_managed"]),
        torch=Torch(**said["torch"]) if said["torch"] else None,
        torch_error=said["torch_error"],
    )


def imported(listed: Iterable[P]) -> Dict[str, P]:
    """The packages that count, by canonical name, of all that were found in the interpreter's order. The first folder
    wins, as in an import. In one folder the newest version does: an update that was cut short leaves its predecessor's
    metadata, and Python itself would take whichever the file system names first."""
    found: Dict[str, P] = {}
    for package in listed:
        known = found.setdefault(canonical(package.name), package)
        if known.location == package.location and is_newer(package.version, than=known.version):
            found[canonical(package.name)] = package
    return found


def in_words(changed: Sequence[Difference], most: int = 8) -> str:
    """Some of the differences in one line."""
    more = " and %d more" % (len(changed) - most) if len(changed) > most else ""
    return ", ".join(map(str, changed[:most])) + more


def source_of(direct_url: Optional[Mapping[str, Any]]) -> Optional[str]:
    """Where a package came from, as a requirement's address; None for an index. Source of the format: PEP 610."""
    if not direct_url or not direct_url.get("url"):
        return None
    address, inner, revision = str(direct_url["url"]), direct_url.get("subdirectory"), direct_url.get("vcs_info")
    if isinstance(revision, Mapping):
        address = "%s+%s@%s" % (revision.get("vcs", "git"), address, revision.get("commit_id", ""))
    return "%s#subdirectory=%s" % (address, inner) if inner else address


def is_editable(direct_url: Optional[Mapping[str, Any]]) -> bool:
    """Whether a package is a folder of its source (PEP 610)."""
    folder = (direct_url or {}).get("dir_info")
    return isinstance(folder, Mapping) and bool(folder.get("editable"))


def _identity(found: Optional[Distribution]) -> Optional[Tuple[object, ...]]:
    """What makes two the same. Who installed it does not: the same files may come by pip or by uv."""
    return (found.version, found.source, found.editable, found.location) if found else None
