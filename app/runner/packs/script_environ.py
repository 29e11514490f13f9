"""What an install.py finds in its environment: what ComfyUI-Manager gives it.

Source: `get_script_env` in glob/manager_core.py and `add_python_path_to_env` in glob/manager_util.py of
ComfyUI-Manager: ComfyUI's folder by name, and ComfyUI's Python first on PATH. The pack's folder is the current one.
"""

from __future__ import annotations

import os
from typing import Dict, Mapping

from app.runner.context import Context
from app.runner.process.execute import base_environ


def environ_for_scripts(context: Context, protections: Mapping[str, str]) -> Dict[str, str]:
    """Variables for install.py besides the run's own. `protections`: those of them that keep what is protected. Packs
    put models where COMFYUI_PATH leads; without it some make a folder `models` in custom_nodes."""
    home = str(context.ui_home)
    environ = {"COMFYUI_PATH": home, "COMFYUI_FOLDERS_BASE_PATH": _base(str(context.base)), **protections}
    path = protections.get("PATH") or base_environ()["PATH"]
    environ["PATH"] = "%s:%s" % (os.path.dirname(context.executable), path)
    found = context.environment
    if found is not None and found.prefix and found.prefix != found.base_prefix:
        environ["VIRTUAL_ENV"] = found.prefix  # else `uv pip install` finds no environment
    return environ


def _base(home: str) -> str:
    """Where models and outputs are: the login's own word, where that folder exists."""
    given = os.environ.get("COMFYUI_FOLDERS_BASE_PATH", "")
    return given if os.path.isdir(given) else home
