"""ComfyUI's own pip, where no uv can be had: a file at a time, and no plan."""

from __future__ import annotations

from pathlib import Path
from typing import Callable, List, Sequence

from app.runner.process.children import Children, Finished, Limits
from app.runner.resolve.uv import Lines, requirement_arguments

_KEEP_BYTES = 1 << 18


class Pip:
    """pip of one interpreter. `install` and `uninstall` are called as `Uv`'s are."""

    def __init__(self, children: Children, executable: str, folder: Path, limits: Limits) -> None:
        """`folder`: where it runs."""
        self._children = children
        self._limits = limits
        self._cwd = folder
        self._argv = [executable, "-m", "pip", "--disable-pip-version-check", "--no-input"]

    def install(self, file: Path, log: Path, on_line: Callable[[str], None]) -> Finished:
        """Installs exactly the file's lines, and nothing that they require; `on_line` gets each line that pip
        prints. Raises OSError, RunCancelled."""
        return self._run(["install", "--no-deps", *requirement_arguments([file])], log, on_line)

    def install_with_requirements(self, file: Path, constraints: Path, log: Path) -> Finished:
        """Installs the file's lines and what they require, within the constraints. Raises OSError, RunCancelled."""
        return self._run(["install", "-c", str(constraints), *requirement_arguments([file])], log)

    def uninstall(self, names: Sequence[str], log: Path) -> Finished:
        """Removes packages. Raises OSError, RunCancelled."""
        return self._run(["uninstall", "-y", *names], log)

    def _run(self, arguments: List[str], log: Path, on_line: Callable[[str], None] = lambda _line: None) -> Finished:
        return self._children.run(
            [*self._argv, *arguments],
            cwd=self._cwd,
            limits=self._limits,
            on_output=Lines(on_line),
            log=log,
            keep_bytes=_KEEP_BYTES,
        )
