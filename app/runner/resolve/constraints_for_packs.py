"""What pip and uv must keep when a pack's own code calls them: the torch family and what ComfyUI itself requires.

They are told by PIP_CONSTRAINT and UV_CONSTRAINT. pip before 25.3 applies the first to isolated builds too, where
nothing is installed: hence no local versions (`2.4.0+cu121` is on no index that a build asks), and nothing that builds
bring in versions of their own.
"""

from __future__ import annotations

import os
import re
import threading
from pathlib import Path
from typing import Dict, List, Mapping, Optional

from app.runner.context import Context
from app.runner.daemon.run_files import replace_file
from app.runner.environment.torch_family import protected
from app.runner.policies.known_bad import known_bads
from app.runner.process.execute import CONSTRAINTS, existing_files
from app.runner.requirements.lines import name_of
from app.runner.requirements.versions import is_version
from app.runner.resolve.build_gate import BuildGate
from app.runner.resolve.protection import constraints

_OF_BUILDS = re.compile(
    r"^(setuptools|setuptools-.*|wheel|pip|uv|cython|numpy|oldest-supported-numpy|pybind11|nanobind|scikit-build.*|cmake|"
    r"ninja|meson|meson-python|hatchling|hatch-.*|flit-core|poetry-core|pdm-backend|packaging|maturin|cffi|versioneer)$"
)
_WRITING = threading.Lock()


def constraints_for_packs(packages: Mapping[str, str], ui_home: Path) -> List[str]:
    """The lines of the file. `packages`: the installed ones."""
    family = protected(packages)
    lines = ["%s==%s" % (name, version.partition("+")[0]) for name, version in sorted(family.items())]
    names = [(name_of(line), line) for line in constraints({}, ui_home)]
    own = [line for name, line in names if name not in family and not _OF_BUILDS.match(name)]
    return [line for line in lines if is_version(line.partition("==")[2])] + own


def environ_for_packs(context: Context, given: Mapping[str, str]) -> Dict[str, str]:
    """Variables for a program that runs packs' code. `given`: those that it gets besides the run's own. The image's own
    files stay, but for those that are not there, since pip and uv do nothing then. Raises OSError."""
    lines = [*constraints_for_packs(context.packages, context.ui_home), *known_bads(context).excluded]
    path = context.task.folder / "constraints-for-packs.txt"
    with _WRITING:
        if not path.exists():
            replace_file(path, "".join(line + "\n" for line in lines).encode("utf-8"))
    found = {name: " ".join([*existing_files(_of(name, given)), _word(path)]) for name in CONSTRAINTS}
    return found if BuildGate.of(context).may_build else {**found, "PIP_ONLY_BINARY": ":all:"}


def _of(name: str, given: Mapping[str, str]) -> Optional[str]:
    return given.get(name, os.environ.get(name))


def _word(path: Path) -> str:
    """pip and uv take several files with spaces between them; one with a space in its path goes by its address."""
    return path.as_uri() if any(char.isspace() for char in str(path)) else str(path)
