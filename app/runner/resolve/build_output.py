"""What the output of a build says about how far it is. Pure."""

from __future__ import annotations

import re
from typing import Optional

MAX_CHARS = 200
_MAX_LINE = 16 * 1024
"""nvcc's command lines are long, and the file's name stands late in them."""
_COLOUR = re.compile(r"\x1b\[[0-9;?]{0,20}[A-Za-z]")
_LEVEL = re.compile(r"(?:DEBUG|INFO|TRACE)\s+")
"""What uv puts before a line of a build with --verbose."""
_NINJA = re.compile(r"\[\d{1,6}/\d{1,6}\](?=\s)")
_CMAKE = re.compile(r"\[ {0,2}(\d{1,3})%\](?=\s)")
_OBJECT = re.compile(r"(Building|Linking) (C|CXX|CUDA|HIP|OBJC|OBJCXX|Fortran|ASM\w{0,9}) ([a-z ]{1,40}) (\S{1,1000})")
_SOURCE = re.compile(r"\s-c\s+(\S{1,1000})")
_COMPILER = re.compile(
    r"(?:\S{0,500}/)?(?:[\w.]{1,40}-){0,4}(?:gcc|g\+\+|cc|c\+\+|clang|clang\+\+|nvcc|hipcc)(?:-\d{1,3})?\s"
)
_STEPS = re.compile(
    r"(?P<extension>building '[^']{1,300}' (?:C )?extension)"
    r"|(?P<setuptools>running (?:build_ext|build_clib|build_rust|bdist_wheel|egg_info|install_lib))\s*$"
    r"|(?P<cargo>Compiling [\w-]{1,100} v[\w.+-]{1,60})"
    r"|\*\*\* (?P<scikit>Configuring CMake|Building project|Installing project|Making wheel)"
    r"|(?P<pip>Building wheel for [\w.-]{1,200}|Preparing metadata|Getting requirements to build wheel"
    r"|Installing build dependencies|Installing backend dependencies)"
    r"|(?P<uv>Building [\w.-]{1,200}(?:==| @ )\S{1,300})"
    r"|-- (?P<cmake>Configuring done|Generating done|The (?:C|CXX|CUDA) compiler identification)"
)


def build_detail(line: str) -> Optional[str]:
    """How far a build is, by one line of its output: at most `MAX_CHARS` printable characters. None for a line that
    does not say it."""
    text = _LEVEL.sub("", _COLOUR.sub("", line[:_MAX_LINE]).strip(), count=1).strip()
    found = _counted(text) or _step(text)
    if found is None:
        return None
    return "".join([letter if letter.isprintable() else "?" for letter in found[:MAX_CHARS]])


def _counted(text: str) -> Optional[str]:
    """`[12/80] file.cu`, `[45%] Building CXX object file.cpp.o`."""
    ninja, cmake = _NINJA.match(text), _CMAKE.match(text)
    if ninja:
        return "%s %s" % (ninja.group(0), _what(text[ninja.end() :].strip()))
    if cmake:
        return "[%s%%] %s" % (cmake.group(1), _what(text[cmake.end() :].strip()))
    return None


def _what(rest: str) -> str:
    """What is done, in short: without the folders of the file, and without a compiler's options."""
    made, source = _OBJECT.match(rest), _SOURCE.search(rest)
    if made:
        return "%s %s %s %s" % (*made.groups()[:3], _base(made.group(4)))
    return _base(source.group(1)) if source else rest


def _step(text: str) -> Optional[str]:
    found = _STEPS.match(text)
    if found:
        return next(part for part in found.groups() if part)
    source = _SOURCE.search(text) if _COMPILER.match(text) else None
    return "compiling %s" % _base(source.group(1)) if source else None


def _base(path: str) -> str:
    return path.rstrip("/\\").replace("\\", "/").rpartition("/")[2] or path
