"""Versions and their bounds, as far as an installed version is to be held against them. Source: PEP 440."""

from __future__ import annotations

import re
from typing import Any, Callable, Dict, Optional, Tuple

_VERSION = re.compile(
    r"^v?(?:(?P<epoch>\d+)!)?(?P<release>\d+(?:\.\d+)*)"
    r"(?:[-_.]?(?P<pre>a|b|c|rc|alpha|beta|pre|preview)[-_.]?(?P<pre_n>\d*))?"
    r"(?:-(?P<post_bare>\d+)|[-_.]?(?P<post>post|rev|r)[-_.]?(?P<post_n>\d*))?"
    r"(?:[-_.]?(?P<dev>dev)[-_.]?(?P<dev_n>\d*))?"
    r"(?:\+(?P<local>[a-z0-9]+(?:[-_.][a-z0-9]+)*))?$"
)
_CLAUSE = re.compile(r"^(===|==|!=|<=|>=|~=|<|>)\s*(\S+)$")
_PRE = {"alpha": "a", "beta": "b", "c": "rc", "pre": "rc", "preview": "rc"}
_LAST = (1,)
Key = Tuple[Any, ...]


class _Version:
    """A parsed version."""

    def __init__(self, text: str) -> None:
        """Raises ValueError."""
        found = _VERSION.match(text.strip().lower())
        if not found:
            raise ValueError("not a version: %.60r" % text)
        part = found.groupdict()
        self.epoch = int(part["epoch"] or 0)
        self.release = tuple(int(number) for number in part["release"].split("."))
        self.pre = (_PRE.get(part["pre"], part["pre"]), int(part["pre_n"] or 0)) if part["pre"] else None
        self.post = int(part["post_bare"] or part["post_n"] or 0) if part["post"] or part["post_bare"] else None
        self.dev = int(part["dev_n"] or 0) if part["dev"] else None
        self.local = part["local"]

    @property
    def trimmed(self) -> Tuple[int, ...]:
        """The release without zeros at its end."""
        release = self.release
        while len(release) > 1 and release[-1] == 0:
            release = release[:-1]
        return release

    @property
    def base(self) -> Key:
        """Epoch and release alone."""
        return (self.epoch, self.trimmed)

    @property
    def public(self) -> Key:
        """What is compared where local parts do not count."""
        if self.pre is None and self.post is None and self.dev is not None:
            pre: Key = (-1,)
        else:
            pre = (0, *self.pre) if self.pre else _LAST
        post = -1 if self.post is None else self.post
        dev: Key = _LAST if self.dev is None else (0, self.dev)
        return (*self.base, pre, post, dev)

    @property
    def full(self) -> Key:
        """The public part and the local one."""
        parts = re.split(r"[-_.]", self.local) if self.local else []
        return (self.public, tuple((1, int(p), "") if p.isdigit() else (0, 0, p) for p in parts))

    @property
    def is_pre(self) -> bool:
        """A pre-release or a development one."""
        return self.pre is not None or self.dev is not None


def is_older(version: str, than: str) -> bool:
    """Whether `version` comes before `than`; False where either cannot be read."""
    try:
        return _Version(version).full < _Version(than).full
    except ValueError:
        return False


def satisfies(version: str, bounds: str) -> Optional[bool]:
    """Whether a version is within the bounds (`>=1.2,<2`; none are always kept); None where that cannot be said."""
    verdicts = [_within(version, clause.strip()) for clause in bounds.split(",") if clause.strip()]
    if False in verdicts:
        return False
    return None if None in verdicts else True


def _within(version: str, clause: str) -> Optional[bool]:
    found = _CLAUSE.match(clause)
    if not found:
        return None
    operator, bound = found.groups()
    if operator == "===":
        return version.strip().lower() == bound.lower()
    try:
        if bound.endswith(".*"):
            return _of_series(operator, _Version(version), _Version(bound[:-2]))
        return _COMPARED[operator](_Version(version), _Version(bound))
    except ValueError:
        return None


def _of_series(operator: str, version: _Version, series: _Version) -> Optional[bool]:
    if operator not in ("==", "!="):
        return None
    width = len(series.release)
    padded = version.release + (0,) * (width - len(version.release))
    same = version.epoch == series.epoch and padded[:width] == series.release
    return same if operator == "==" else not same


def _equal(version: _Version, bound: _Version) -> bool:
    return version.full == bound.full if bound.local else version.public == bound.public


def _below(version: _Version, bound: _Version) -> bool:
    """A bound that is no pre-release does not let its own pre-releases in."""
    if not bound.is_pre and bound.post is None and version.is_pre and version.base == bound.base:
        return False
    return version.full < bound.full


def _above(version: _Version, bound: _Version) -> bool:
    """A bound lets neither its own post-releases in nor its local builds."""
    if not bound.is_pre and bound.post is None and version.post is not None and version.base == bound.base:
        return False
    return version.public > bound.public


def _compatible(version: _Version, bound: _Version) -> bool:
    if len(bound.release) < 2:
        raise ValueError("~= needs two numbers")
    width = len(bound.release) - 1
    padded = version.release + (0,) * (width - len(version.release))
    return version.epoch == bound.epoch and version.public >= bound.public and padded[:width] == bound.release[:width]


_COMPARED: Dict[str, Callable[[_Version, _Version], bool]] = {
    "==": _equal,
    "!=": lambda version, bound: not _equal(version, bound),
    "<=": lambda version, bound: version.public <= bound.public,
    ">=": lambda version, bound: version.public >= bound.public,
    "<": _below,
    ">": _above,
    "~=": _compatible,
}
