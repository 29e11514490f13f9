"""Runs on the machine, in ComfyUI's interpreter, with ComfyUI-Manager's code: `manager_driver.py REGISTRY OUT JSON`.

JSON: {registry: {id: version}, git: [addresses], disable: [names of folders]}, all of which it installs and disables;
then it writes its snapshot to OUT.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import runpy
import sys
from pathlib import Path
from typing import Any


def main() -> None:
    """Everything in order; an assertion that fails has Manager's own words."""
    registry, out, asked = sys.argv[1], Path(sys.argv[2]), json.loads(sys.argv[3])
    manager = Path(os.environ["COMFYUI_PATH"]) / "custom_nodes" / "ComfyUI-Manager"
    os.chdir(manager)
    runpy.run_path(str(manager / "cm-cli.py"), run_name="cm_cli")
    core: Any = importlib.import_module("manager_core")
    cnr: Any = importlib.import_module("cnr_utils")
    cnr.base_url = registry
    packs: Any = core.unified_manager
    for pack, version in asked["registry"].items():
        done = packs.cnr_install(pack, version, instant_execution=True)
        assert done.result, done.msg
    for url in asked["git"]:
        folder = Path(core.get_default_custom_nodes_path()) / url.rsplit("/", 1)[-1]
        done = packs.repo_install(url, str(folder), instant_execution=True)
        assert done.result, done.msg
    asyncio.run(packs.reload("remote", dont_wait=False))
    for name in asked["disable"]:
        done = packs.unified_disable(name, True)
        assert done.result, done.msg
    out.write_text(json.dumps(asyncio.run(core.get_current_snapshot()), indent=1), "utf-8")


if __name__ == "__main__":
    main()
