"""One script for each page, joined out of small ES modules when the service starts: no build step, one request.

Each module becomes a function that runs once, in the order of the imports, and gives what it exports to those that
import it. The modules keep to what this understands (a house test holds them to it): `import { a } from "./x.js";`
at the beginning of a line, `export` before a function, class or const, no default exports, and `await` at the top only
in the script of a page.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping

IMPORT = re.compile(r'^import \{([^}]*)\} from "(\.[^"]+)";\n', re.MULTILINE)
EXPORT = re.compile(r"^export (?=(?:async )?(?:function\*?|class|const) (\w+))", re.MULTILINE)
_COMMENT = re.compile(r"^[ \t]*(?:/\*\*.*?\*/|//[^\n]*)\n", re.MULTILINE | re.DOTALL)
_RENAMED = re.compile(r"(\w+) as (\w+)")


def joined(entry: str, sources: Mapping[str, str]) -> str:
    """The script of the page whose own module is `entry`, out of the modules' sources by name."""
    order = parts(entry, sources)
    return "".join(_as_function(name, sources[name], order) for name in order if name != entry) + _body(
        entry, sources[entry], order
    )


def parts(entry: str, sources: Mapping[str, str]) -> dict[str, int]:
    """The modules that are in the script of the page whose own module is `entry`: each one's number, after those of its
    imports."""
    return _numbered(entry, sources, {})


def _numbered(name: str, sources: Mapping[str, str], found: dict[str, int]) -> dict[str, int]:
    """As `parts`; the entry may be any module."""
    for _, imported in IMPORT.findall(sources[name]):
        module = _absolute(name, imported)
        if module not in found:
            _numbered(module, sources, found)
    found[name] = len(found)
    return found


def _absolute(name: str, imported: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(name), imported))


def _as_function(name: str, source: str, order: Mapping[str, int]) -> str:
    exported = ", ".join(EXPORT.findall(source))
    return f"const m{order[name]} = (() => {{\n{_body(name, source, order)}\nreturn {{ {exported} }};\n}})();\n"


def _body(name: str, source: str, order: Mapping[str, int]) -> str:
    def taken(found: re.Match[str]) -> str:
        names = _RENAMED.sub(r"\1: \2", " ".join(found[1].split()))
        return f"const {{ {names} }} = m{order[_absolute(name, found[2])]};\n"

    return EXPORT.sub("", IMPORT.sub(taken, _COMMENT.sub("", source)))
