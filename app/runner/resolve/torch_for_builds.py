"""Shows the installed torch to builds that import it, and nothing else to any other."""

from __future__ import annotations

from pathlib import Path
from typing import Sequence

_FINDER = '''"""Modules that the environment of a build does not have are looked for where ComfyUI's packages are."""
import sys

if sys.version_info[:2] == {version!r}:
    from importlib.machinery import PathFinder

    class _Installed:
        """Comes last: what the build has itself is taken first. Of installed packages only the one that is asked for
        by its name is told, so that no plug-in of another one takes part in the build."""

        paths = {paths!r}

        @classmethod
        def find_spec(cls, name, path=None, target=None):
            return PathFinder.find_spec(name, cls.paths, target) if path is None else None

        @classmethod
        def find_distributions(cls, context=None):
            from importlib.metadata import DistributionFinder, MetadataPathFinder

            if context is None or context.name is None:
                return iter(())
            return MetadataPathFinder.find_distributions(DistributionFinder.Context(name=context.name, path=cls.paths))

    sys.meta_path.append(_Installed)
'''


def write_finder(folder: Path, paths: Sequence[str], python: str) -> None:
    """Writes the module that Python imports at its start where PYTHONPATH names `folder`. `paths`: where packages are
    installed; `python`: the version whose modules lie there, others do not look. Raises OSError."""
    major, minor = (int(part) for part in python.split(".")[:2])
    text = _FINDER.format(version=(major, minor), paths=[path for path in paths if path])
    if not folder.exists():
        fresh = folder.with_suffix(".new")
        fresh.mkdir(exist_ok=True, mode=0o700)
        (fresh / "sitecustomize.py").write_text(text, "utf-8")
        fresh.rename(folder)
