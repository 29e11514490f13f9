"""What is installed in an environment, exactly: versions, and where packages came from that are not the registry's."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Dict, Mapping, Optional

from app.runner.machine import interpreter
from app.runner.requirements.lines import canonical

_MARK = "NODEFERRY_FREEZE "
_SCRIPT = r"""
import json, sys
from importlib import metadata
found = {}
for dist in metadata.distributions():
    name = dist.metadata["Name"]
    if name and name not in found:
        address = dist.read_text("direct_url.json")
        found[name] = [dist.version, json.loads(address) if address else None]
print("\n" + sys.argv[1] + json.dumps(found))
"""
_SECONDS = 60.0


@dataclass(frozen=True)
class Installed:
    """One installed package. `source`: the address that it came from, None for the registry; `editable`: it is a folder
    of that address, as it lies there."""

    package: str
    version: str
    source: Optional[str] = None
    editable: bool = False

    @property
    def pinned(self) -> str:
        """The line that asks for exactly this."""
        if self.editable:
            return "-e %s" % self.source
        return "%s @ %s" % (self.package, self.source) if self.source else "%s==%s" % (self.package, self.version)

    def __str__(self) -> str:
        """As people write it."""
        return "%s %s%s" % (self.package, self.version, " (%s)" % self.source if self.source else "")


Freeze = Dict[str, Installed]
"""What is installed, by canonical names."""


def ask(executable: str, seconds: float = _SECONDS) -> Dict[str, Any]:
    """The interpreter's packages: version and origin by name. Not a child of the run: it is asked after a cancel too.
    Raises OSError when it does not answer."""
    output = interpreter.execute([executable, "-c", _SCRIPT, _MARK], seconds)
    at = output.rfind(_MARK)
    try:
        found, _ = json.JSONDecoder().raw_decode(output, at + len(_MARK)) if at >= 0 else (None, 0)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise OSError(0, "%s does not say what is installed" % executable)
    return found


def freeze_of(raw: Mapping[str, Any]) -> Freeze:
    """The packages by their one name."""
    found: Freeze = {}
    for name, (version, origin) in raw.items():
        editable = bool(origin and (origin.get("dir_info") or {}).get("editable"))
        found[canonical(name)] = Installed(name, str(version), _source(origin), editable)
    return found


def _source(origin: Optional[Mapping[str, Any]]) -> Optional[str]:
    """Where it came from, as a requirement's address; None for the registry. Source of the format: PEP 610."""
    if not origin:
        return None
    address, inner, revision = str(origin["url"]), origin.get("subdirectory"), origin.get("vcs_info")
    if revision:
        address = "%s+%s@%s" % (revision.get("vcs", "git"), address, revision.get("commit_id", ""))
    return "%s#subdirectory=%s" % (address, inner) if inner else address
