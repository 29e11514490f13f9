"""Who changed the environment: the packs that install packages when they are imported, as far as their files tell."""

from __future__ import annotations

import re
from pathlib import Path
from typing import List, Sequence

_INSTALLS = re.compile(
    r"\bpip3?\b[^\n]{0,80}\binstall\b|\binstall\b[^\n]{0,80}\bpip3?\b|\bpip\.main\b|\buv\b[^\n]{0,40}\bpip\b"
)
_MOST_FILES = 200
_MOST_BYTES = 256 * 1024


def who(custom_nodes: Path, packs: Sequence[str], packages: Sequence[str]) -> List[str]:
    """Those of `packs` whose Python files install something and whose files name one of `packages`. A guess, and
    said to be one; empty where there is none."""
    return [pack for pack in sorted(packs) if _may_have(custom_nodes / pack, packages)]


def _may_have(pack: Path, packages: Sequence[str]) -> bool:
    files = [pack] if pack.is_file() else [*sorted(pack.glob("*.py")), *sorted(pack.glob("*/*.py"))][:_MOST_FILES]
    code = "\n".join(_text(file) for file in files)
    if not _INSTALLS.search(code):
        return False
    texts = [_text(file) for file in sorted(pack.glob("*requirements*.txt"))]
    named = "\n".join([code, *texts, *(file.name.replace("-", " ") for file in pack.glob("*.whl"))])
    # Each package's name in any of its forms (PEP 503).
    forms = (re.sub(r"[-_.]+", "[-_.]+", re.escape(package).replace("\\-", "-")) for package in packages)
    return any(re.search(r"(?<![\w-])%s(?![\w])" % form, named, re.IGNORECASE) for form in forms)


def _text(path: Path) -> str:
    try:
        with open(str(path), "rb") as file:
            return file.read(_MOST_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""
