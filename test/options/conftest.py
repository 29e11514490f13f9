"""One service and one instance for all tests of what options do: each test has packs of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from app.standin.git_server import GitServer
from app.standin.instance import StandIn
from app.standin.packs import Pack, make_pack
from test.runner.rig import names_in
from test.support.package_index import PackageIndex
from test.support.service import Json, ServiceProcess


@dataclass(frozen=True)
class World:
    """A real service, an instance behind a real sshd, and where its packs and packages come from."""

    service: ServiceProcess
    standin: StandIn
    git: GitServer
    index: PackageIndex

    def pack(self, name: str, **fields: Any) -> Pack:
        """A pack that can be cloned."""
        return make_pack(self.git, "owner", name, **fields)

    def start(self, *packs: Pack, manifest: Json | None = None, **options: Any) -> str:
        """Starts an install of the packs, or of a whole manifest; its task_id."""
        named = {"nodes": [{"name": pack.name, "repo_url": pack.url} for pack in packs]}
        return self.service.install(self.standin, manifest=manifest or named, options={"wait_seconds": 0, **options})

    def install(self, *packs: Pack, manifest: Json | None = None, **options: Any) -> Json:
        """An install to its end; the last progress."""
        return self.service.ended(self.start(*packs, manifest=manifest, **options))

    def there(self, name: str) -> bool:
        """Whether this pack's folder is there."""
        return name in names_in(self.standin.custom_nodes)

    @property
    def packages(self) -> set[str]:
        """What is installed, with versions."""
        return {path.name for path in self.standin.venv.glob("lib/*/site-packages/*.dist-info")}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, venv_cache: Path, uv_program: Path) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("options")
    with ExitStack() as opened:
        git = opened.enter_context(GitServer(folder / "git"))
        index = opened.enter_context(PackageIndex(folder / "index"))
        environ = {**os.environ, "UV_DEFAULT_INDEX": index.url, "PIP_CONFIG_FILE": os.devnull}
        standin = opened.enter_context(
            StandIn(folder / "standin", git_base_url=git.url, with_pip=False, environ=environ, venv_cache=venv_cache)
        )
        tool = standin.home / ".local" / "bin" / "uv"
        tool.parent.mkdir(parents=True)
        tool.symlink_to(uv_program)
        service = opened.enter_context(ServiceProcess(folder, retry_seconds="0.2"))
        yield World(service, standin, git, index)
