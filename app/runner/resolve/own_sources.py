"""How uv and pip look for the packages of one pack whose requirements file says where these are, or how to choose."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Dict, FrozenSet, List, Mapping, Optional, Sequence

from app.runner.requirements.file_options import FileOptions

if TYPE_CHECKING:
    from app.runner.resolve.pack_places import PackPlaces

_LOOPBACK = "127.0.0.1"


class OwnSources:
    """One pack's, for resolutions of its own."""

    def __init__(
        self,
        options: FileOptions,
        names: FrozenSet[str],
        locations: Optional[PackPlaces],
        constraints: Optional[Path] = None,
    ) -> None:
        """`names`: the packages (canonical names) that the pack asks for; `locations`: None where it names none;
        `constraints`: a file of the pack's own constraints."""
        self._constraints = constraints
        self._options = options
        self._names = names
        self._locations = locations

    @property
    def prefers_wheels(self) -> bool:
        """Whether an older version with a wheel is better than a newer one without."""
        return self._options.prefers_wheels

    @property
    def served(self) -> FrozenSet[str]:
        """The packages (canonical names) that no place but the pack's own is known to have."""
        return self._locations.served if self._locations else frozenset()

    @property
    def lines(self) -> List[str]:
        """Lines of a requirements file that uv and pip take, about the pack's own packages."""
        options = self._options
        found = ["--no-binary %s" % name for name in self._own(options.no_binary)]
        found += ["--only-binary %s" % name for name in self._own(options.only_binary)]
        return found

    @property
    def constraints(self) -> List[str]:
        """Options with the pack's own constraints."""
        return ["--constraint", str(self._constraints)] if self._constraints else []

    def _own(self, names: Sequence[str]) -> List[str]:
        """`:all:` are the packages that the pack asks for, no others."""
        return sorted(self._names) if ":all:" in names else sorted(self._names.intersection(names))

    def origin(self, package: str, version: str) -> Optional[str]:
        """The place of the pack's that a version comes from; None for the registry."""
        return self._locations.origin(package, version) if self._locations else None

    def for_uv(self, environ: Mapping[str, str]) -> Dict[str, str]:
        """Variables for a call of uv, which has `environ` without them."""
        options = self._options
        found: Dict[str, str] = {}
        if options.pre:
            found["UV_PRERELEASE"] = "allow"
        if options.no_build_isolation:
            found["UV_NO_BUILD_ISOLATION"] = "1"
        if options.trusted:
            found["UV_INSECURE_HOST"] = " ".join([*environ.get("UV_INSECURE_HOST", "").split(), *options.trusted])
        if self._locations:
            links = [*filter(None, environ.get("UV_FIND_LINKS", "").split(",")), self._locations.links_page]
            found["UV_FIND_LINKS"] = ",".join(links)
            found["UV_EXTRA_INDEX_URL"] = " ".join(
                [*environ.get("UV_EXTRA_INDEX_URL", "").split(), self._locations.index]
            )
            found.update(_reached_directly(environ))
        return found

    def for_pip(self) -> List[str]:
        """Options for a call of pip."""
        options = self._options
        found = ["--pre"] if options.pre else []
        found += ["--prefer-binary"] if options.prefers_wheels else []
        found += ["--no-build-isolation"] if options.no_build_isolation else []
        found += [part for host in options.trusted for part in ("--trusted-host", host)]
        found += [part for line in self.lines for part in line.split(" ")]
        if self._locations:
            found += ["--find-links", self._locations.links_page, "--extra-index-url", self._locations.index]
        return found

    def environ_for_pip(self, environ: Mapping[str, str]) -> Dict[str, str]:
        """Variables for a call of pip, which has `environ` without them."""
        return _reached_directly(environ) if self._locations else {}


def _reached_directly(environ: Mapping[str, str]) -> Dict[str, str]:
    """The pack's pages are on this machine: no proxy leads there."""
    names = ("no_proxy", "NO_PROXY")
    return {name: ",".join([*filter(None, [environ.get(name, "")]), _LOOPBACK]) for name in names}
