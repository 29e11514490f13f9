"""A machine with packages from a made-up index, and what tests of the packages ask of it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from app.protocol.events import PackagesPlanned
from app.standin.git_server import GitServer
from app.standin.packs import make_pack
from app.standin.torch_family import fingerprint_of
from test.runner.rig import Rig, Run, node
from test.support.package_index import PackageIndex

_FREEZE = """
import json
from importlib import metadata
found = {}
for each in metadata.distributions():
    found.setdefault(each.metadata["Name"].lower().replace("_", "-"), each.version)
print(json.dumps(found))
"""


class Box(Rig):
    """A `Rig` whose packages come from `index` and whose packs come from `git`."""

    def use(self, git: GitServer, index: PackageIndex, uv: Path) -> None:
        self.git, self.index, self.uv = git, index, uv
        cache = self.home / "uv-cache"
        self.environ |= {"UV_DEFAULT_INDEX": index.url, "UV_CACHE_DIR": str(cache), "UV_NO_CONFIG": "1"}
        own = ("UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS", "PIP_FIND_LINKS", "PIP_INDEX_URL")
        for name in (*own, "PIP_EXTRA_INDEX_URL", "PIP_CONSTRAINT", "UV_CONSTRAINT"):
            if self.environ.get(name) == os.environ.get(name):  # this machine's, not the test's
                self.environ.pop(name, None)
        self.environ["PIP_CONFIG_FILE"] = os.devnull
        self.family = self.fingerprint()

    def fingerprint(self) -> str:
        """Of the torch family's files."""
        assert self.environment is not None
        return fingerprint_of(self.environment.packages)

    def pack(self, name: str, *requirements: str, **fields: Any) -> dict[str, Any]:
        """Makes a pack with these lines as its requirements; its entry of a manifest."""
        text = "".join(f"{line}\n" for line in requirements) if requirements else None
        return node(make_pack(self.git, "owner", name, requirements=text, **fields))

    def have(self, *requirements: str) -> None:
        """Installs packages beforehand."""
        assert self.environment is not None
        argv = [str(self.uv), "pip", "install", "-q", "--no-deps", "--python", str(self.environment.python)]
        subprocess.run([*argv, *requirements], env=self.environ, check=True, capture_output=True)

    def freeze(self) -> dict[str, str]:
        """What the interpreter sees: names and versions."""
        assert self.environment is not None
        done = subprocess.run([str(self.environment.python), "-c", _FREEZE], capture_output=True, check=True)
        found: dict[str, str] = json.loads(done.stdout)
        return found

    def run_of(self, *packs: dict[str, Any], **request: Any) -> Run:
        """An install of these packs to its end; the torch family is what it was."""
        options = {"verify": False, **request.pop("options", {})}
        run = self.install(list(packs), options=options, **request)
        assert self.fingerprint() == self.family, "the torch family was touched"
        return run


def plan_of(run: Run) -> list[dict[str, Any]]:
    """All changes that were planned."""
    return [change.to_json() for plan in run.told(PackagesPlanned) for change in plan.changes]


def lane_of(run: Run, package: str) -> str:
    """The stage in which a package was planned."""
    lanes = {change["lane"] for change in plan_of(run) if change["package"] == package}
    return ",".join(sorted(lanes))


def states(run: Run) -> dict[str, str]:
    """Each pack's state, with its reason."""
    return {name: run.state(name) for name in run.snapshot().nodes}
