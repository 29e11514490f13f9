"""`existing` for packs of ComfyUI's registry, through the service and the runner, on the folder of the instance."""

from __future__ import annotations

import pytest

from app.standin.registry_archives import pack_files
from app.standin.registry_server import RegistryServer
from test.options.conftest import World
from test.options.test_effects import node
from test.support.service import Json

pytestmark = [pytest.mark.sshd, pytest.mark.registry]


def test_existing_says_what_becomes_of_a_registry_pack(world: World) -> None:
    """Kept at its version, updated, installed anew; the row has the version, the folder what the archive has."""
    folder = world.standin.custom_nodes / "of-registry"
    with RegistryServer() as registry:
        for version in ("1.0.0", "2.0.0"):
            registry.add("of-registry", version, pack_files("of-registry", version, {f"v{version[0]}.py": ""}))

        def install(version: str, existing: str) -> Json:
            address = f"{registry.url}/files/of-registry/{version}.zip"
            entry = {"registry_id": "of-registry", "version": version, "archive_url": address}
            progress = world.install(manifest={"nodes": [entry]}, verify=False, existing=existing)
            return node(progress, "of-registry")

        first = install("1.0.0", "keep")
        assert (first["registry_id"], first["version"], first["kept"], first["error"]) == (
            "of-registry",
            "1.0.0",
            False,
            None,
        )
        (folder / "mine.txt").write_text("mine")
        kept = install("2.0.0", "keep")
        assert (kept["version"], kept["kept"], (folder / "v1.py").exists()) == ("1.0.0", True, True)
        updated = install("2.0.0", "update")
        assert (updated["version"], (folder / "v1.py").exists(), (folder / "v2.py").exists()) == ("2.0.0", False, True)
        (folder / "v2.py").unlink()
        assert install("2.0.0", "reinstall")["error"] is None
        assert (folder / "v2.py").exists()
        assert (folder / "mine.txt").read_text() == "mine"
