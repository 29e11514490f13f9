"""Builds that somebody asked for before the plan was agreed to: they get no login, no token and no key from us.

That is so of their environment alone: what runs as root can read root's files.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Dict, Mapping, Sequence

from app.runner.process.audit import because
from app.runner.process.children import Children, Finished, Limits

_NAMES = """
PATH LANG LANGUAGE TZ TMPDIR RES_OPTIONS SSL_CERT_FILE SSL_CERT_DIR CUDA_HOME CUDA_PATH LD_LIBRARY_PATH
LIBRARY_PATH CPATH CC CXX CFLAGS CXXFLAGS LDFLAGS MAX_JOBS TORCH_CUDA_ARCH_LIST HTTP_PROXY HTTPS_PROXY ALL_PROXY
NO_PROXY http_proxy https_proxy all_proxy no_proxy UV_INDEX UV_DEFAULT_INDEX UV_INDEX_URL UV_EXTRA_INDEX_URL
UV_FIND_LINKS UV_NO_INDEX UV_INDEX_STRATEGY UV_INSECURE_HOST UV_HTTP_TIMEOUT UV_REQUEST_TIMEOUT UV_HTTP_RETRIES
UV_NATIVE_TLS UV_SYSTEM_CERTS UV_CONCURRENT_DOWNLOADS UV_CONCURRENT_BUILDS UV_CACHE_DIR UV_EXCLUDE_NEWER
UV_PRERELEASE UV_LOCK_TIMEOUT UV_PYTHON_DOWNLOADS UV_NO_PROGRESS UV_LINK_MODE
"""
_KEPT = frozenset(_NAMES.split())
_OURS = frozenset({"GIT_CONFIG_PARAMETERS", "GIT_ALLOW_PROTOCOL"})
"""What the run itself tells every git; the machine's own are never passed on."""
_LOGIN = re.compile(r"(?<=://)[^\s/@,]*@")
_NO_KEYS = "ssh -F /dev/null -o BatchMode=yes -o IdentitiesOnly=yes -o IdentityFile=/dev/null -o IdentityAgent=none"


def bare_environ(environ: Mapping[str, str], home: Path) -> Dict[str, str]:
    """Of an environment what a build gets that runs before anybody has agreed to the plan: no token, no password, no
    agent, no key, no helper that knows one. `home`: an empty folder."""
    kept = {name: _LOGIN.sub("", value) for name, value in environ.items() if name in _KEPT or name.startswith("LC_")}
    return {
        **kept,
        "HOME": str(home),
        "UV_NO_CONFIG": "1",
        "UV_KEYRING_PROVIDER": "disabled",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_SSH_COMMAND": _NO_KEYS,
    }


def build_bare(
    children: Children, argv: Sequence[str], folder: Path, environ: Mapping[str, str], *, limits: Limits, log: Path
) -> Finished:
    """A resolution that builds, with what `bare_environ` leaves of `environ`. Raises OSError, RunCancelled."""
    home = folder / "planning" / "home"
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    with because("build what a plan needs"):
        return children.run(
            argv,
            cwd=home,
            limits=limits,
            environ=bare_environ({**os.environ, **environ}, home),
            unset=frozenset([*os.environ, *environ]) - _OURS,
            log=log,
            keep_bytes=1 << 18,
        )
