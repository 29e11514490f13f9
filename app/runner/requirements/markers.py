"""Whether a requirement's marker (`; python_version < "3.10"`) holds in ComfyUI's interpreter (PEP 508), read by the
`packaging` library."""

from __future__ import annotations

from typing import Mapping, Optional


def holds(marker: str, environ: Mapping[str, str]) -> Optional[bool]:
    """Whether the marker holds; None when that cannot be said. `environ`: the names that markers use and their values,
    of the interpreter that is meant. No extra counts as asked for: whether one was is not on record."""
    from packaging.markers import InvalidMarker, Marker, UndefinedComparison, UndefinedEnvironmentName

    try:
        return Marker(marker).evaluate({**environ, "extra": ""})
    except (InvalidMarker, UndefinedComparison, UndefinedEnvironmentName, RecursionError):
        return None
