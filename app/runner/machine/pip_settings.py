"""What pip is told on this machine: its configuration files and its PIP_ variables, read as pip reads them.

Source of the format: pip's "Configuration". Files count in this order, a later one wins: global, user, the
environment's own, PIP_CONFIG_FILE; then the variables. `[install]` wins over `[global]`.
"""

from __future__ import annotations

import configparser
import os
from pathlib import Path
from typing import Dict, List, Mapping, Tuple

_MAX_BYTES = 32 * 1024
"""Of a file: for lines that it cannot read, configparser takes the square of their number."""
_MAX_VALUE = 10_000
_TRUE = frozenset({"1", "true", "t", "yes", "y", "on"})
_SECTIONS = ("global", "install")
WHERE = frozenset({"PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_USER", "PIP_DRY_RUN", "PIP_REQUIREMENT", "PIP_NO_DEPS"})
"""Settings of a machine by which pip would install somewhere else, or something else."""


class PipSettings:
    """The settings of one pip, by their long options' names (`index-url`)."""

    def __init__(self, values: Mapping[str, str], unreadable: Tuple[str, ...] = ()) -> None:
        """`unreadable`: the configuration files that could not be read."""
        self._values = values
        self.unreadable = unreadable

    @classmethod
    def read(cls, prefix: str, environ: Mapping[str, str]) -> PipSettings:
        """Those of the pip of an environment at `prefix`, for a program with these variables."""
        values: Dict[str, str] = {}
        unreadable: List[str] = []
        for path in files_of_pip(prefix, environ):
            try:
                values.update(_read(path))
            except (OSError, configparser.Error, ValueError):
                if path.exists():
                    unreadable.append(str(path))
        for name, value in environ.items():
            if name.startswith("PIP_") and name != "PIP_CONFIG_FILE" and value.strip():
                values[name[len("PIP_") :].lower().replace("_", "-")] = value[:_MAX_VALUE]
        return cls(values, tuple(unreadable))

    def text(self, option: str) -> str:
        """An option's value; empty where it is not set."""
        return self._values.get(option, "").strip()

    def words(self, option: str) -> List[str]:
        """The values of an option that may stand several times."""
        return self._values.get(option, "").split()

    def is_on(self, option: str) -> bool:
        """Whether a switch is on."""
        return self.text(option).lower() in _TRUE


def files_of_pip(prefix: str, environ: Mapping[str, str]) -> List[Path]:
    """pip's configuration files, in their order; they need not be there."""
    given = environ.get("PIP_CONFIG_FILE", "")
    if given == os.devnull:
        return []
    home = environ.get("HOME") or os.path.expanduser("~")
    shared = [folder for folder in environ.get("XDG_CONFIG_DIRS", "/etc/xdg").split(":") if folder]
    own = environ.get("XDG_CONFIG_HOME") or os.path.join(home, ".config")
    found = [Path(folder, "pip", "pip.conf") for folder in shared]
    found += [Path("/etc/pip.conf"), Path(home, ".pip", "pip.conf"), Path(own, "pip", "pip.conf")]
    found += [Path(prefix, "pip.conf")] if prefix else []
    return [*found, Path(given)] if given else found


def _read(path: Path) -> Dict[str, str]:
    """The options of one file. Raises OSError, configparser.Error, ValueError."""
    with open(str(path), "rb") as file:
        raw = file.read(_MAX_BYTES + 1)
    if len(raw) > _MAX_BYTES:
        raise ValueError("it is too large")
    parser = configparser.RawConfigParser()
    parser.read_string(raw.decode("utf-8", "replace"))
    found: Dict[str, str] = {}
    for section in _SECTIONS:
        if parser.has_section(section):
            items = parser.items(section)
            found.update({name.lower().replace("_", "-").lstrip("-"): value[:_MAX_VALUE] for name, value in items})
    return found
