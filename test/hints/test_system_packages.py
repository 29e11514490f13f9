"""What is missing on the system is named with the package that has it, and the line that says so is found."""

from __future__ import annotations

import pytest

from app.protocol.deciding_line import deciding_line
from app.runner.hints import reasons
from app.runner.hints.system_packages import packages_for
from app.runner.process.children import Finished

_PLACEHOLDER = """error: Failed to build `tensorrt==8.6.1`
  cause: Call to `setuptools.build_meta.build_wheel` failed (exit status: 1)

         [stdout]
         running bdist_wheel

         [stderr]
         Traceback (most recent call last):
           File "<string>", line 11, in <module>
         RuntimeError:
         *******************************************************************************
         The package you are trying to install is only a placeholder project on PyPI.org.
         This package is hosted on another index.
         *******************************************************************************

hint: Build failures usually indicate a problem with the package or the build environment
"""


@pytest.mark.parametrize(
    ("text", "packages"),
    [
        ("ImportError: libGL.so.1: cannot open shared object file", "libgl1 libglib2.0-0|libglib2.0-0t64"),
        ("ImportError: libgthread-2.0.so.0: cannot open shared object file", "libglib2.0-0|libglib2.0-0t64"),
        ("OSError: libsndfile.so.1: cannot open shared object file", "libsndfile1"),
        ("OSError: cannot load library 'libportaudio.so.2': no such file", "libportaudio2"),
        ('OSError: no library called "cairo-2" was found', "libcairo2"),
        ("OSError: PortAudio library not found", "libportaudio2"),
        ("x.c:1:10: fatal error: portaudio.h: No such file or directory", "portaudio19-dev"),
        ("x.c:1:10: fatal error: 'alsa/asoundlib.h' file not found", "libasound2-dev"),
        ("mesh.cpp:36:10: fatal error: Python.h: No such file or directory", "python3-dev"),
        ("error: command 'x86_64-linux-gnu-gcc' failed: No such file or directory", "build-essential"),
        ("../meson.build:1:0: ERROR: Unknown compiler(s): [['cc'], ['gcc'], ['clang']]", "build-essential"),
        ('../cairo/meson.build:31:12: ERROR: Dependency "cairo" not found (tried)', "libcairo2-dev pkg-config"),
        ("Package 'libavcodec', required by 'virtual:world', not found", "libavcodec-dev pkg-config"),
        ("/usr/bin/ld: cannot find -lportaudio: No such file or directory", "portaudio19-dev pkg-config"),
        ("Could NOT find ZLIB (missing: ZLIB_LIBRARY ZLIB_INCLUDE_DIR)", "zlib1g-dev pkg-config"),
        ("Command 'pkg-config --exists mysqlclient' returned non-zero", "default-libmysqlclient-dev pkg-config"),
        ("FileNotFoundError: [Errno 2] No such file or directory: 'cmake'", "cmake"),
        ("FileNotFoundError: [Errno 2] No such file or directory: 'exiftool'", "libimage-exiftool-perl"),
        ("/bin/sh: 1: ffmpeg: not found", "ffmpeg"),
        ("git: 'lfs' is not a git command. See 'git --help'.", "git-lfs"),
        ("error: can't find Rust compiler", "cargo"),
        ("libcudart.so.12: cannot open shared object file", ""),
        ("FileNotFoundError: [Errno 2] No such file or directory: '/opt/models/a.bin'", ""),
        ("nvcc: not found", ""),
    ],
)  # fmt: skip
def test_what_is_missing_is_named_with_its_package(text: str, packages: str) -> None:
    assert " ".join(packages_for(text)) == packages


_NINJA = """x.cpp:3:1: error: expected ';'
ninja: build stopped: subcommand failed.
RuntimeError: Error compiling objects for extension
"""
_CMAKE = """CMake Error at CMakeLists.txt:7 (find_package):
  Could NOT find ZLIB (missing: ZLIB_LIBRARY)

-- Configuring incomplete, errors occurred!
subprocess.CalledProcessError: Command '['cmake']' returned non-zero exit status 1.
"""
_GIT = """fatal: repository not found
Traceback (most recent call last):
  File "install.py", line 3
subprocess.CalledProcessError: Command '['git', 'clone']' returned non-zero exit status 128.
"""
_PIP = """ERROR: No matching distribution found for thing
See https://example.invalid/errors
https://example.invalid/help
"""


@pytest.mark.parametrize(
    ("output", "line"),
    [
        (_PLACEHOLDER, "only a placeholder project"),
        ("copying\n" + "*" * 70 + "\n", "copying"),
        (_NINJA, "expected ';'"),
        (_CMAKE, "Could NOT find ZLIB"),
        (_GIT, "fatal: repository not found"),
        (_PIP, "No matching distribution"),
        ("ModuleNotFoundError: No module named 'a'\ngoing on\nValueError: bad\n", "ValueError: bad"),
        ("", ""),
        ("-----\n=====\n", ""),
    ],
)
def test_the_line_that_decides_is_found(output: str, line: str) -> None:
    found = deciding_line(output)
    assert line in found and len(found) < 400
    assert found or not line


def test_a_build_and_a_script_tell_the_deciding_line() -> None:
    """Not a row of asterisks, and not an address."""
    problem = reasons.of_packages(Finished(1, _PLACEHOLDER.encode()))
    assert "only a placeholder project" in problem.message and "****" not in problem.message
    told = reasons.of_script(
        Finished(1, b"RuntimeError: no checkpoint\n\n" + b"*" * 60 + b"\nhttps://example.invalid/\n")
    )
    assert "no checkpoint" in told.message and "***" not in told.message and "https" not in told.message


def test_the_hint_names_the_command_and_the_option() -> None:
    problem = reasons.of_import("ImportError: libGL.so.1: cannot open shared object file: No such file or directory")
    assert "apt-get install -y libgl1 libglib2.0-0 (or retry with system_packages set to install)" in problem.hint
    assert (
        "apt-file search libstrange.so.3"
        in reasons.of_import(
            "ImportError: libstrange.so.3: cannot open shared object file: No such file or directory"
        ).hint
    )
