"""Inspecting an interpreter: one script that it runs about itself, and one Environment of what it answers.

Nothing here believes what an installer said: the interpreter itself is asked each time.
"""

from __future__ import annotations

import json
import pkgutil
from dataclasses import replace
from functools import lru_cache
from typing import Optional

from app.runner.environment import package_metadata
from app.runner.environment.environment import Environment, from_json
from app.runner.process.execute import Execute, execute

SECONDS = 120.0
_MARK = "NODEFERRY_ENVIRONMENT "
_SINCE_3_7 = "from __future__ import annotations\n"
_ABOUT_ITSELF = r"""
import platform, sys, sysconfig
version = "%d.%d.%d" % sys.version_info[:3]
implementation = "%d.%d.%d" % sys.implementation.version[:3]
said = {"prefix": sys.prefix, "base_prefix": sys.base_prefix, "version": version, "distributions": [], "torch": None,
        "torch_error": None, "paths": sys.path, "scheme": sysconfig.get_paths(),
        "site_packages": sorted({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})}
said["markers"] = {
    "python_version": "%d.%d" % sys.version_info[:2], "python_full_version": platform.python_version(),
    "os_name": os.name, "sys_platform": sys.platform, "platform_machine": platform.machine(),
    "platform_system": platform.system(), "platform_release": platform.release(),
    "platform_version": platform.version(), "platform_python_implementation": platform.python_implementation(),
    "implementation_name": sys.implementation.name, "implementation_version": implementation}
said["distributions"] = [package.to_json() for package in packages_in(sys.path)]
marker = os.path.join(sysconfig.get_path("stdlib"), "EXTERNALLY-MANAGED")
said["externally_managed"] = sys.prefix == sys.base_prefix and os.path.exists(marker)
config = os.path.join(sys.prefix, "pyvenv.cfg")
text = open(config, errors="replace").read().lower() if os.path.exists(config) else ""
said["system_site"] = "include-system-site-packages = true" in text
if "--torch" in sys.argv:
    try:
        import torch
        said["torch"] = {"version": str(torch.__version__), "cuda": getattr(torch.version, "cuda", None),
                         "cuda_available": bool(torch.cuda.is_available())}
    except BaseException as exc:
        said["torch_error"] = "%s: %s" % (type(exc).__name__, exc)
print("\n" + sys.argv[1] + json.dumps(said))
"""


def inspect(python: str, run: Execute = execute, *, torch: bool = False, seconds: float = SECONDS) -> Environment:
    """The environment as it is now. `torch`: imports it, which takes seconds, to ask for its CUDA. Raises OSError when
    the interpreter does not run, or does not answer."""
    output = run([python, "-c", _script(), _MARK] + (["--torch"] if torch else []), seconds)
    found = _answer_in(output, python)
    if found is None:
        raise OSError(0, "it did not answer our question")
    return found


@lru_cache(maxsize=1)
def _script() -> str:
    """What the interpreter runs: how packages are read, as it stands in its file, and what it says about itself."""
    source = pkgutil.get_data(package_metadata.__name__, "package_metadata.py")
    assert source is not None  # it lies beside this file, in the zipapp too
    return source.decode("utf-8").replace(_SINCE_3_7, "") + _ABOUT_ITSELF


def inspect_again(known: Environment, run: Execute = execute, seconds: float = SECONDS) -> Environment:
    """The same interpreter's environment as it is now; torch is not imported again. Raises OSError."""
    now = inspect(known.executable, run, seconds=seconds)
    return replace(now, torch=known.torch, torch_error=known.torch_error)


def _answer_in(output: str, python: str) -> Optional[Environment]:
    """The answer, wherever it stands: what is imported may print, before and after and in the same line."""
    at = output.find(_MARK)
    while at >= 0:
        try:
            said, _ = json.JSONDecoder().raw_decode(output, at + len(_MARK))
            return from_json(python, said)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            at = output.find(_MARK, at + 1)
    return None
