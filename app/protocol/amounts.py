"""Sizes and times for people, as the pages write them too (app/webui/static/js/core/format.js). Sizes are decimal, as
providers and disks show them."""

from __future__ import annotations

import math
from typing import Final, Optional

_UNITS: Final = ("B", "kB", "MB", "GB", "TB")


def size(count: float) -> str:
    """A count of bytes: `512 B`, `2.5 MB`, `80 GB`, with one decimal below ten."""
    rest, unit = max(0.0, count), 0
    while unit < len(_UNITS) - 1 and float(_shortened(rest, unit)) >= 1000:
        rest /= 1000
        unit += 1
    return "%s %s" % (_shortened(rest, unit), _UNITS[unit])


def _shortened(number: float, unit: int) -> str:
    if unit and number < 9.95:
        return "%.1f" % (math.floor(number * 10 + 0.5) / 10)
    return "%d" % math.floor(number + 0.5)


def rate(count: Optional[float]) -> str:
    """Bytes a second: `2.5 MB/s`; "" for none."""
    return "%s/s" % size(count) if count else ""


def clock(seconds: float) -> str:
    """Seconds as `mm:ss`, or `h:mm:ss` from an hour on."""
    whole = max(0, math.floor(seconds))
    hours, rest = divmod(whole, 3600)
    return "%d:%02d:%02d" % (hours, rest // 60, rest % 60) if hours else "%02d:%02d" % (rest // 60, rest % 60)


def span(seconds: float) -> str:
    """Seconds in words: `3 s`, `2 min`, `1 h 5 min`, `2 d 3 h`."""
    whole = max(0, math.floor(seconds + 0.5))
    if whole < 90:
        return "%d s" % whole
    minutes = math.floor(whole / 60 + 0.5)
    if minutes < 90:
        return "%d min" % minutes
    hours = minutes // 60
    if hours < 48:
        return _two(hours, "h", minutes % 60, "min")
    return _two(hours // 24, "d", hours % 24, "h")


def _two(large: int, unit: str, small: int, smaller_unit: str) -> str:
    text = "%d %s" % (large, unit)
    return "%s %d %s" % (text, small, smaller_unit) if small else text
