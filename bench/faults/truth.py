"""Whether a pack can be imported: asked of ComfyUI apart from any run, one pack in a process of its own.

Nothing of the product takes part in it, so that what a run says can be held against it.
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from app.standin.instance import StandIn

TRY_SECONDS = 12.0


def imports(standin: StandIn, name: str, seconds: float = TRY_SECONDS) -> bool:
    """Whether the stand-in's ComfyUI by itself imports this entry of custom_nodes, tried with no other."""
    return imports_by(standin.ui_home, standin.python, standin.home, name, seconds)


def imports_by(ui_home: Path, python: Path, home: Path, name: str, seconds: float = TRY_SECONDS) -> bool:
    """The same, of a ComfyUI anywhere. What never ends counts as not imported."""
    with tempfile.TemporaryDirectory(prefix="nodeferry-truth-") as folder:
        argv = [str(python), "main.py", "--quick-test-for-ci", "--cpu", "--disable-all-custom-nodes"]
        argv += ["--whitelist-custom-nodes", name, "--user-directory", folder, "--database-url", "sqlite:///:memory:"]
        environ = {"PATH": "/usr/bin:/bin", "HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1"}
        try:
            done = subprocess.run(
                argv, cwd=ui_home, env=environ, capture_output=True, text=True, timeout=seconds, check=False
            )
        except subprocess.TimeoutExpired:
            return False
    lines = [line for line in (done.stdout + done.stderr).splitlines() if line.endswith(f"/{name}")]
    rows = [line for line in lines if line.lstrip()[:1].isdigit()]
    return done.returncode == 0 and bool(rows) and not any("IMPORT FAILED" in line for line in rows)
