"""ComfyUI's own pip, where no uv can be had: a file at a time, and no plan."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Callable, List, Mapping, Optional, Sequence

from app.runner.machine.pip_settings import WHERE
from app.runner.process.children import Children, Finished, Limits
from app.runner.resolve.own_sources import OwnSources
from app.runner.resolve.plan import requirement_arguments
from app.runner.resolve.uv import Lines
from app.runner.resolve.wheel_sources import WheelSources

_KEEP_BYTES = 1 << 18
_NOTHING: Mapping[str, str] = {}


class Pip:
    """pip of one interpreter. `install` and `uninstall` are called as `Uv`'s are."""

    def __init__(
        self,
        children: Children,
        executable: str,
        folder: Path,
        limits: Limits,
        *,
        wheels: Optional[WheelSources] = None,
        only_wheels: bool = False,
    ) -> None:
        """`folder`: where it runs. `wheels`: offered besides the registry's. `only_wheels`: nothing is built."""
        self._only_wheels = ["--only-binary", ":all:"] if only_wheels else []
        self._wheels = wheels
        self._children = children
        self._limits = limits
        self._cwd = folder
        self._argv = [executable, "-m", "pip", "--disable-pip-version-check", "--no-input"]

    def install(self, file: Path, log: Path, on_line: Callable[[str], None]) -> Finished:
        """Installs exactly the file's lines, and nothing that they require; `on_line` gets each line that pip
        prints. Raises OSError, RunCancelled."""
        return self._run(["install", "--no-deps", *requirement_arguments([file])], log, on_line)

    def install_with_requirements(
        self, file: Path, constraints: Path, log: Path, own: Optional[OwnSources] = None
    ) -> Finished:
        """Installs the file's lines and what they require, within the constraints. `own`: the pack says where its
        packages are. Raises OSError, RunCancelled."""
        more = own.for_pip() if own else []
        argv = ["install", "-c", str(constraints), *more, *requirement_arguments([file])]
        return self._run(argv, log, environ=own.environ_for_pip(os.environ) if own else {})

    def uninstall(self, names: Sequence[str], log: Path) -> Finished:
        """Removes packages. Raises OSError, RunCancelled."""
        return self._run(["uninstall", "-y", *names], log)

    def _run(
        self,
        arguments: List[str],
        log: Path,
        on_line: Callable[[str], None] = lambda _line: None,
        *,
        environ: Mapping[str, str] = _NOTHING,
    ) -> Finished:
        offered = self._wheels.for_pip() if self._wheels and "uninstall" not in arguments else []
        offered = [*offered, *(self._only_wheels if "install" in arguments else [])]
        return self._children.run(
            [*self._argv, *arguments, *offered],
            cwd=self._cwd,
            environ=environ,
            unset=WHERE,
            limits=self._limits,
            on_output=Lines(on_line),
            log=log,
            keep_bytes=_KEEP_BYTES,
        )
