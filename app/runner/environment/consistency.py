"""ComfyUI's environment, looked at again: what changed, and what is not consistent that was before.

Nothing here believes what an installer said: the interpreter itself is asked each time.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Dict, FrozenSet, List, Mapping, Optional

from app.runner.environment.torch_family import protected
from app.runner.machine.interpreter import Execute, prove
from app.runner.requirements.lines import bounds_of, canonical, name_of
from app.runner.requirements.markers import holds
from app.runner.requirements.versions import satisfies

_MARK = "NODEFERRY_REQUIRES "
_SECONDS = 120.0
_SCRIPT = r"""
import json, os, platform, sys
from importlib import metadata
found = {}
for dist in metadata.distributions():
    name = dist.metadata["Name"]
    if name and name not in found:
        found[name] = [dist.version, list(dist.requires or ())]
version = "%d.%d.%d" % sys.version_info[:3]
environ = {"python_version": "%d.%d" % sys.version_info[:2], "python_full_version": version, "os_name": os.name,
           "sys_platform": sys.platform, "platform_machine": platform.machine(), "platform_system": platform.system(),
           "platform_python_implementation": platform.python_implementation(),
           "implementation_name": sys.implementation.name, "implementation_version": version,
           "platform_release": platform.release(), "platform_version": platform.version()}
print("\n" + sys.argv[1] + json.dumps({"packages": found, "environ": environ}))
"""


@dataclass(frozen=True)
class Environment:
    """The interpreter's packages by their one name, and what torch says of CUDA (None: torch cannot be imported)."""

    packages: Mapping[str, str]
    cuda: Optional[bool]
    torch_error: Optional[str] = None

    @classmethod
    def of(cls, proof: Mapping[str, Any]) -> Environment:
        """From what the interpreter said of itself (`interpreter.prove`, with torch)."""
        torch = proof.get("torch")
        packages = {canonical(name): str(version) for name, version in proof["packages"].items()}
        return cls(packages, bool(torch["cuda_available"]) if torch else None, proof.get("torch_error"))

    @property
    def family(self) -> Dict[str, str]:
        """The torch family's members and their versions."""
        return protected(self.packages)


def look(python: str, run: Execute) -> Environment:
    """The environment as it is now. Raises OSError when the interpreter does not run or does not answer."""
    proof, why = prove(python, run, torch=True)
    if proof is None:
        raise OSError(0, why)
    return Environment.of(proof)


def differences(before: Mapping[str, str], after: Mapping[str, str]) -> Dict[str, str]:
    """The packages that are not as they were: `old -> new` by name, `absent` for none."""
    names = {name for name in {*before, *after} if before.get(name) != after.get(name)}
    return {name: "%s -> %s" % (before.get(name, "absent"), after.get(name, "absent")) for name in sorted(names)}


def in_words(changed: Mapping[str, str], most: int = 8) -> str:
    """Some of the differences in one line."""
    items = ["%s %s" % item for item in sorted(changed.items())][:most]
    return ", ".join(items) + (" and %d more" % (len(changed) - most) if len(changed) > most else "")


def complaints(python: str, run: Execute) -> Optional[FrozenSet[str]]:
    """What does not fit together, a sentence each (as `uv pip check` finds it, but also where packages are the
    system's); None when the interpreter does not say. An environment may have complaints of long before: only what is
    new is anybody's fault."""
    try:
        output = run([python, "-c", _SCRIPT, _MARK], _SECONDS)
    except OSError:
        return None
    at = output.rfind(_MARK)
    try:
        found, _ = json.JSONDecoder().raw_decode(output, at + len(_MARK)) if at >= 0 else (None, 0)
    except ValueError:
        return None
    return frozenset(_complaints(found["packages"], found["environ"])) if isinstance(found, dict) else None


def _complaints(found: Mapping[str, Any], environ: Mapping[str, str]) -> List[str]:
    versions = {canonical(name): str(version) for name, (version, _) in found.items()}
    said = []
    for name, (version, lines) in sorted(found.items()):
        for line in lines:
            wanted, _, marker = line.partition(";")
            wrong = _wrong(wanted.strip(), versions)
            if wrong and (not marker or holds(marker, environ)):
                said.append("%s %s needs %s, and %s" % (name, version, wanted.strip(), wrong))
    return said


def _wrong(line: str, versions: Mapping[str, str]) -> str:
    """Why a requirement is not met; empty when it is, or when that cannot be said."""
    wanted, bounds = name_of(line), bounds_of(line)
    if not wanted:
        return ""
    if wanted not in versions:
        return "it is not installed"
    bad = bounds is not None and satisfies(versions[wanted], bounds) is False
    return "%s is installed" % versions[wanted] if bad else ""
