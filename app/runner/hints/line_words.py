"""Why a line of a requirements file cannot be had, in words about the line, and what to do about it."""

from __future__ import annotations

import re
from typing import Mapping, Optional, Tuple

from app.protocol.snapshot import Problem
from app.runner.requirements.left_out import LeftOut
from app.runner.requirements.lines import bounds_of, name_of
from app.runner.requirements.versions import satisfies

_AUTHOR = "Report it to the pack's author."
_TYPING = "Look for a typing error in the name, or report it to the pack's author."
_PIP_FOUND_NONE = "(from versions: none)"
_STANDARD_LIBRARY_WORDS = """
    abc argparse array ast asyncio atexit base64 binascii bisect builtins bz2 calendar cmath codecs collections
    colorsys concurrent concurrent-futures configparser contextlib contextvars copy csv ctypes curses
    dataclasses datetime decimal difflib dis email enum errno fcntl filecmp fileinput fnmatch fractions ftplib
    functools gc getopt getpass gettext glob grp gzip hashlib heapq hmac html http imaplib importlib inspect io
    ipaddress itertools json keyword linecache locale logging lzma mailbox marshal math mimetypes mmap
    multiprocessing netrc numbers operator os os-path pathlib pdb pickle pkgutil platform plistlib pprint
    profile pty queue random re readline resource runpy sched secrets select selectors shelve shlex shutil
    signal site smtplib socket socketserver sqlite3 ssl stat statistics string struct subprocess sys sysconfig
    tarfile tempfile termios textwrap threading time timeit token tokenize traceback tracemalloc types typing
    unicodedata unittest urllib urllib-parse urllib-request uuid venv warnings wave weakref webbrowser xml
    xmlrpc zipfile zipimport zlib zoneinfo
"""
STANDARD_LIBRARY = frozenset(_STANDARD_LIBRARY_WORDS.split())
"""Modules that come with every Python from 3.9 on, as lines of packs name them."""
_NOT_EVERYWHERE: Mapping[str, Tuple[str, str]] = {
    "tkinter": (
        "tkinter is a part of Python itself, in a package of its own on Debian and Ubuntu",
        "If the pack does not load without it, install it on the instance: apt-get install -y python3-tk",
    ),
    "distutils": (
        "distutils was a part of Python up to 3.11, and setuptools brings it since",
        "If the pack does not load without it, install setuptools into ComfyUI's environment.",
    ),
    "imp": ("imp was a part of Python up to 3.11 and has no successor of that name", _AUTHOR),
    "winreg": ("winreg is a part of Python on Windows only", _AUTHOR),
}
"""Modules that come with some."""
IMPORTED_AS: Mapping[str, str] = {
    "cv2": "opencv-python-headless",
    "pil": "pillow",
    "sklearn": "scikit-learn",
    "skimage": "scikit-image",
    "yaml": "PyYAML",
    "bs4": "beautifulsoup4",
    "dotenv": "python-dotenv",
    "dateutil": "python-dateutil",
    "git": "GitPython",
    "serial": "pyserial",
    "magic": "python-magic",
    "attr": "attrs",
    "fitz": "PyMuPDF",
    "docx": "python-docx",
    "pptx": "python-pptx",
    "crypto": "pycryptodome",
    "openssl": "pyOpenSSL",
    "usb": "pyusb",
    "jwt": "PyJWT",
    "mpl-toolkits": "matplotlib",
    "pkg-resources": "setuptools",
    "open-clip": "open_clip_torch",
    "win32api": "pywin32",
    "win32gui": "pywin32",
    "win32con": "pywin32",
    "win32clipboard": "pywin32",
}
"""What is imported under another name than the package's."""
_PARTS_OF_COMFYUI = frozenset({"comfy", "comfyui", "folder-paths", "nodes", "execution", "comfy-extras", "server"})
_ONLY_ON = {"win": "Windows", "macosx": "macOS"}
_PLATFORMS = re.compile(r"on the following platforms?: ((?:`[^`]+`(?:, )?)+)")
_PYTHONS = re.compile(r"with the following Python (?:ABI|version|implementation)?\s?tags?: ((?:`[^`]+`(?:, )?)+)")
_NOT_FOUND = re.compile(
    r"(?<![\w.-])([A-Za-z0-9][\w.-]*)(?:\[[^\]]*\])?\s+was\s+not\s+found\s+in\s+the\s+package\s+registry"
)


def left_out(line: str, problem: Problem, output: str, python: str) -> LeftOut:
    """The line with its reason. `problem`: what was found out about it; `output`: what uv or pip said of it; `python`:
    the version of ComfyUI's Python."""
    name = name_of(line)
    if name == "python":
        return about_python(line, python)
    if name in STANDARD_LIBRARY and problem.code != "package_yanked":
        why = "%s is a part of Python itself, and nothing has to be installed for it" % name
        return LeftOut(line, "requirement_not_found", why, _AUTHOR, harmless=True)
    if name in _PARTS_OF_COMFYUI and problem.code == "requirement_not_found":
        why = "%s is a part of ComfyUI itself, and nothing has to be installed for it" % name
        return LeftOut(line, problem.code, why, _AUTHOR, harmless=True)
    why, hint = _why(name, problem, " ".join(output.split()))
    return LeftOut(line, problem.code, why, hint or problem.hint)


def about_python(line: str, python: str) -> LeftOut:
    """A line that names Python itself, which no index has."""
    bounds = bounds_of(line)
    if bounds and python and satisfies(python, bounds) is False:
        why = "it asks for another Python than the instance's %s" % python
        hint = "Use an image with a matching Python, or a version of the pack for this Python."
        return LeftOut(line, "python_version", why, hint)
    why = "it is about Python itself, which is there and fits"
    return LeftOut(line, "requirement_not_found", why, _AUTHOR, harmless=True)


def _why(name: str, problem: Problem, output: str) -> Tuple[str, str]:
    if problem.code == "requirement_not_found":
        return _not_found(name, output)
    if problem.code == "no_wheel":
        only = _only(output)
        if only:
            hint = "Nothing can be done on this instance. If the pack does not load without it, ask its author."
            return "it exists only for %s" % only, hint
        return "it has no ready-made build for this Python or this system", ""
    if problem.code == "requirement_conflict":
        return "it contradicts what is installed, or what other packs require", ""
    return problem.message, ""


def _not_found(name: str, output: str) -> Tuple[str, str]:
    if name in _NOT_EVERYWHERE:
        return _NOT_EVERYWHERE[name]
    missing = _NOT_FOUND.search(output)
    known = IMPORTED_AS.get(name)
    if missing and name_of(missing.group(1)) != name and name:
        return "it needs %s, which the package index does not have" % missing.group(1), _AUTHOR
    if (missing or _PIP_FOUND_NONE in output) and known:
        hint = "If the pack does not load without it, install %s on the instance. %s" % (known, _AUTHOR)
        return "%s is the name of a module and of no package: its package is %s" % (name, known), hint
    if missing:
        return "the package index has no package of this name", _TYPING
    if _PIP_FOUND_NONE in output:
        return "pip finds no package of this name for this Python and system", _TYPING
    return "the package index has no such version", "%s The pack's requirements have to change." % _AUTHOR


def _only(output: str) -> Optional[str]:
    """For what there are builds, in words; None where that is not said or this system is among it."""
    platforms = _PLATFORMS.search(output)
    if platforms:
        names = {_ONLY_ON.get(re.split(r"[_\d]", tag)[0]) for tag in re.findall(r"`([^`]+)`", platforms.group(1))}
        return " and ".join(sorted(filter(None, names))) if None not in names else None
    pythons = _PYTHONS.search(output)
    found = re.findall(r"`cp(\d)(\d+)[a-z]*`", pythons.group(1)) if pythons else []
    return "Python %s" % ", ".join("%s.%s" % pair for pair in found[:6]) if found else None
