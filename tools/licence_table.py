"""The table of docs/licences.md: every package of the locks, its licence, and why it is there."""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path

from tools import markdown

ROOT = Path(__file__).resolve().parents[1]
ALLOWED = re.compile(r"MIT|BSD|Apache|PSF|Python Software|MPL|Mozilla|LGPL|Zope|EPL")
"""Words of licences under which a package may be used here. Of LGPL, MPL and EPL: as it is, and never changed."""
_ELSEWHERE = {"colorama": "BSD-3-Clause", "tzdata": "Apache-2.0", "axe-playwright-python": "MIT (axe-core: MPL-2.0)"}
"""Of packages that only another system needs, and of one whose metadata does not say it."""
_ASKED = ("requirements.in", "requirements-notify.in", "requirements-postgresql.in", "requirements-dev.in")
_PIN = re.compile(r"^([a-z0-9-]+)(?:\[[a-z0-9, -]+\])?==([^ \n]+)", re.MULTILINE)


def licences() -> str:
    """The table."""
    return markdown.table(("package", "version", "licence", "why"), rows())


def rows() -> list[tuple[str, str, str, str]]:
    """Package, version, licence and reason, by name; what the service itself needs first."""
    runtime, dev = _pins("requirements.txt"), _pins("requirements-dev.txt")
    why = _reasons()
    order = [*sorted(runtime), *sorted(set(dev) - set(runtime))]
    return [(name, dev[name], licence_of(name), why.get(name) or _needed_by(name)) for name in order]


def licence_of(name: str) -> str:
    """As its metadata names it: the expression, the classifier, or the first line of the field. Empty where nothing
    does."""
    if name in _ELSEWHERE:
        return _ELSEWHERE[name]
    try:
        found = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        return ""
    classified = [line.rpartition(" :: ")[2] for line in found.get_all("Classifier", []) if line.startswith("License")]
    classified = [line for line in classified if line != "OSI Approved"]  # which says that there is one
    written = "".join(found.get_all("License", [])).strip().splitlines()
    return (
        "".join(found.get_all("License-Expression", []))
        or "; ".join(classified)
        or (written[0][:80] if written else "")
    )


def _pins(file: str) -> dict[str, str]:
    return dict(_PIN.findall((ROOT / file).read_text("utf-8")))


def _reasons() -> dict[str, str]:
    text = "".join((ROOT / name).read_text("utf-8") for name in _ASKED)
    return dict(re.findall(r"^([a-z0-9-]+)(?:\[[a-z0-9,-]+\])?==\S+  # (.+)$", text, re.MULTILINE))


def _needed_by(name: str) -> str:
    """As the lock says it."""
    text = (ROOT / "requirements-dev.txt").read_text("utf-8")
    found = re.search(rf"^{re.escape(name)}(?:\[.*\])?==.*\n(?: +--hash.*\n)+((?: +#.*\n)+)", text, re.MULTILINE)
    said = re.sub(r"-[cr] \S+|#|\bvia\b", " ", found.group(1)) if found else ""
    words = said.split()
    return "needed by " + ", ".join(words)
