"""One line of a requirements file in the form that every resolver takes, or why it is left out.

pip takes paths relative to the folder that it is called in (ComfyUI-Manager calls it in the pack's), files without a
scheme, editable repositories and sloppy bounds; uv refuses the whole file for one of these.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple, Optional, Sequence, Tuple, Union
from urllib.parse import unquote

from app.runner.requirements.left_out import LeftOut

_AUTHOR = "Report it to the pack's author."
_ARCHIVE = re.compile(r"\.(?:whl|zip|tar|tgz|tbz|tar\.(?:gz|bz2|xz|zst|lz|lzma))$", re.IGNORECASE)
_SCHEME = re.compile(r"^([A-Za-z][A-Za-z0-9]*(?:\+[A-Za-z0-9]+)?):(?!\\)", re.ASCII)
_VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)\}")
_EXTRAS = re.compile(r"^(.*?)(\[[A-Za-z0-9 ,._-]*\])$")
_NAMED = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*\s*(?:\[[^\]]*\])?)\s*@\s*(\S.*)$")
_LONGEST = 5000
_COMMAND = re.compile(
    r"^(?:[$!>%]\s*)?(?:sudo |python3? -m )?(?:pip3?|uv|conda|mamba|apt(?:-get)?|git|npm|cd|curl|wget) "
)
_ODD: Sequence[Tuple[str, str]] = (
    (r"(?:<{7}|={7}|>{7}|\|{7})(?:\s|$)", "it is the mark of a merge conflict that was left in the file"),
    (_COMMAND.pattern, "it is a command and not a requirement"),
    (r"(?:import|from) \S", "it is Python code and not a requirement"),
    (r"[A-Za-z0-9._-]+ ?= ?\d", "it is written as for conda, where pip wants name==version"),
    (r"[A-Za-z0-9._-]+ ?@ ?v?\d[\w.]*$", "it is written as for npm, where pip wants name==version"),
    (r"version https://git-lfs|oid sha256:|size \d+$", "it is of a pointer of Git LFS, whose file was not fetched"),
    (r"\[[\w. -]+\]$|[\w.-]+ ?= ?[\"'\[{]|[\w-]+:(?:\s|$)", "it belongs into another kind of file"),
    (
        r"\w[\w.\[\]-]*(?:[,;] ?[\w.\[\]-]+)+$|\w[\w.-]* \w[\w.-]*$",
        "it names several packages; pip takes one a line",
    ),
    (r"[\"'“‘`]", "it has quotes around it, which pip does not take"),
    (r"<", "it is a part of a web page and not a requirement"),
    (r"[-*•] ", "it is written as a list, and pip wants the name alone"),
    (r"(?:[A-Za-z]:)?\.{0,2}[\w. -]*\\", "it is a path of Windows"),
    (r"[–—]", "it begins with a dash of a word processor where an option begins with two hyphens"),
)
_ODD_LINES = tuple((re.compile(pattern), why) for pattern, why in _ODD)
Read = Union[str, LeftOut]


class _Tail(NamedTuple):
    """A place, and what stands behind it: extras and a marker."""

    place: str
    extras: str
    marker: str


def requirement(line: str, folder: Path, *, editable: bool = False) -> Read:
    """The line (without options of its own) as resolvers take it, for the pack in `folder`."""
    written = "-e %s" % line if editable else line
    if len(line) > _LONGEST or not line.isprintable():
        return _bad(written, "it is too long" if len(line) > _LONGEST else "it has characters that no requirement has")
    unset = _VARIABLE.search(line)
    if unset and unset.group(1) not in os.environ:
        hint = "Set %s on the instance before ComfyUI's Python is used, or report it to the pack's author."
        why = "it uses the environment variable %s, which is not set on the instance" % unset.group(1)
        return LeftOut(written, "bad_requirement", why, hint % unset.group(1))
    found = _read(line, written, folder, editable=editable)
    return _bad(written, _why_odd(line)) if found is None else found


def _read(line: str, written: str, folder: Path, *, editable: bool) -> Optional[Read]:
    """None for what is no requirement."""
    if _is_place(line, folder, editable=editable):
        return _placed(line, written, folder, name="", editable=editable)
    named = _NAMED.match(line)
    if named and re.match(r"v?\d[\w.]*$", named.group(2)):
        return None
    if named and not editable:
        return _placed(named.group(2), written, folder, name=named.group(1).strip(), editable=False)
    return None if editable else _by_name(line)


def _is_place(line: str, folder: Path, *, editable: bool) -> bool:
    if _SCHEME.match(line) or editable or line[0] in "./~":
        return True
    place = _tail(line).place
    if _NAMED.match(line) or not re.match(r"^[\w./ +~-]+$", place):
        return False
    return bool(_ARCHIVE.search(place)) or ("/" in place and os.path.exists(str(folder / place)))


# -- addresses and paths ----------------------------------------------------------------------------------------------


def _placed(line: str, written: str, folder: Path, *, name: str, editable: bool) -> Optional[Read]:
    scheme = _SCHEME.match(line)
    word = scheme.group(1).lower() if scheme else "file"
    if word == "file" or line.lower().startswith("git+file:"):
        return _of_path(line, written, folder, name=name, editable=editable)
    if word.startswith("git+"):
        return "%s @ %s" % (name, line) if name else line  # `-e` would only keep it where it can be edited
    if word in ("http", "https", "ftp"):
        path = re.split(r"[#?;\s]", line, maxsplit=1)[0]
        if word != "ftp" and (_ARCHIVE.search(unquote(path)) or "${" in path):
            return "%s @ %s" % (name, line) if name else line
        hint = "Write git+ before an address of a repository. %s" % _AUTHOR
        return LeftOut(written, "bad_requirement", "its address is a page and no package that can be installed", hint)
    if "+" in word and "://" in line:
        return _bad(
            written, "repositories of %s cannot be installed from here, those of git can" % word.partition("+")[0]
        )
    if word in ("git", "ssh"):
        return _bad(written, "pip takes the address of a repository only with git+ before it")
    return None


def _of_path(line: str, written: str, folder: Path, *, name: str, editable: bool) -> Read:
    """A file or folder of the pack, by its whole path; a repository there with its address."""
    tail = _tail(line)
    place, _, fragment = tail.place.partition("#")
    git = re.match(r"(?i)git\+", place)
    place, ref = place.partition("git+")[2] if git else place, ""
    if re.match(r"(?i)file:", place):
        place = re.sub(r"^//(?:localhost)?(?=/|$)|^//(?=\.)", "", unquote(place[5:]))
    if git and "@" in os.path.basename(place):
        place, _, ref = place.rpartition("@")
    inside = re.search(r"(?:^|&)subdirectory=([^&]+)", fragment)
    path = os.path.join(str(folder), place, inside.group(1) if inside and not git else "")
    root, target = os.path.realpath(str(folder)), os.path.realpath(path)
    if "\0" in place or (target != root and not target.startswith(root + os.sep)):
        hint = "Nodeferry installs from a pack's folder only what lies in it. %s" % _AUTHOR
        return LeftOut(written, "bad_requirement", "its path leads out of the pack's folder", hint)
    wrong = _wrong_place(Path(path), is_repository=bool(git))
    if wrong:
        return _bad(written, wrong)
    whole = os.path.abspath(path)
    if git:
        return "git+%s%s%s%s" % (
            Path(whole).as_uri(),
            "@" + ref if ref else "",
            "#" + fragment if fragment else "",
            tail.marker,
        )
    if name:
        return "%s @ %s%s" % (name, Path(whole).as_uri(), tail.marker)
    odd = re.search(r"[#%;\[\]@]", whole)
    put = Path(whole).as_uri() if odd else whole
    return "%s%s%s%s" % ("-e " if editable else "", put, tail.extras, tail.marker)


def _wrong_place(path: Path, *, is_repository: bool) -> str:
    """Why nothing can be installed from there; empty where it can."""
    from packaging.utils import InvalidWheelFilename, parse_wheel_filename

    if os.path.isdir(str(path)):  # a name may be too long for any file
        usual = (".git", "HEAD") if is_repository else ("pyproject.toml", "setup.py")
        found = any(os.path.exists(str(path / each)) for each in usual)
        return "" if found else "its folder has no pyproject.toml and no setup.py"
    if not os.path.isfile(str(path)):
        return "the pack has no such file or folder"
    if not _ARCHIVE.search(path.name):
        return "its file is no wheel and no archive"
    try:
        if path.name.endswith(".whl"):
            parse_wheel_filename(path.name)
    except InvalidWheelFilename:
        return "its file does not have the name of a wheel"
    return ""


def _tail(line: str) -> _Tail:
    place, mark, marker = line.partition("; " if "://" in line else ";")
    extras = _EXTRAS.match(place.strip())
    found = (extras.group(1), extras.group(2)) if extras else (place.strip(), "")
    return _Tail(*found, " ; %s" % marker.strip() if mark and marker.strip() else "")


# -- names ------------------------------------------------------------------------------------------------------------


def _by_name(line: str) -> Optional[str]:
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.version import InvalidVersion, Version

    for text in dict.fromkeys((line, _repaired(line))):
        try:
            found = Requirement(text)
            for clause in found.specifier:
                Version(re.sub(r"\.\*$", "", clause.version))  # `===` takes anything, a resolver does not
            return None if found.url else text
        except (InvalidRequirement, InvalidVersion, RecursionError):
            continue
    return None


def _repaired(line: str) -> str:
    """As older versions of pip took it: `a>=1<2`, `a>=1.*`, `a>=1,`, `a>='1'`."""
    text, mark, marker = line.partition(";")
    text = re.sub(r"(?<=[\w*])\s*(?=[<>!~=]=|[<>])", ",", text)
    text = re.sub(r"^(\s*[A-Za-z0-9._-]+\s*(?:\[[^\]]*\])?)\s*,", r"\1", text)
    text = re.sub(r"((?:[<>]=?|~=)\s*\d+(?:\.\d+)*)\.\*", r"\1", text)
    text = re.sub(r"([<>=!~]=?\s*)[\"']([\w.*+!-]+)[\"']", r"\1\2", text)
    return "%s%s%s" % (text.rstrip().rstrip(","), mark, marker)


def _why_odd(line: str) -> str:
    return next(
        (why for pattern, why in _ODD_LINES if pattern.match(line)), "it is no requirement that pip understands"
    )


def _bad(written: str, why: str) -> LeftOut:
    return LeftOut(written, "bad_requirement", why, _AUTHOR)
