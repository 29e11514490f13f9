"""Messages of programs, as they print them, to a reason code and a sentence that a person can read."""

from __future__ import annotations

import errno

import pytest

from app.runner.hints import reasons
from app.runner.hints.uv_words import LONGEST, explain
from app.runner.process.children import Finished

OLD_UV = """Using Python 3.11.7 environment at: venv
  × No solution found when resolving dependencies:
  ╰─▶ Because nodeferry-no-such-package was not found in the package registry
      and you require nodeferry-no-such-package==1.0, we can conclude that your
      requirements are unsatisfiable.
"""
NEW_UV = """Using Python 3.11.7 environment at: venv
error: No solution found when resolving dependencies
  cause: Because you require numpy<1.20 and numpy>=1.25, we can conclude that your requirements are unsatisfiable.
"""
NO_WHEEL = """error: No solution found when resolving dependencies
  cause: Because thing==1.15.0 has no wheels with a matching Python ABI tag (e.g., `cp311`) and you require \
thing==1.15, we can conclude that your requirements are unsatisfiable.

hint: You require CPython 3.11 (`cp311`), but we only found wheels for `thing` with the tags: `cp27m`
"""
OLD_BUILD = """Resolved 1 package in 1.59s
  × Failed to build `thing==1.0`
  ├─▶ The build backend returned an error
  ╰─▶ Call to `setuptools.build_meta.build_wheel` failed (exit status: 1)

      [stdout]
      running bdist_wheel

      [stderr]
      Traceback (most recent call last):
        File "<string>", line 11, in <module>
      ModuleNotFoundError: No module named 'Cython'

      hint: This usually indicates a problem with the package or the build environment.
"""
NEW_BUILD = """Using Python 3.11.7 environment at: venv
error: The build backend returned an error
  cause: Call to `setuptools.build_meta:__legacy__.get_requires_for_build_wheel` failed (exit status: 1)

         [stdout]
         building things

         [stderr]
         no compiler found: gcc
"""
FETCH = """error: Request failed after 3 retries in 11.4s
  cause: Failed to fetch: http://127.0.0.1:9/simple/humanize/
  cause: error sending request for url (http://127.0.0.1:9/simple/humanize/)
  cause: client error (Connect)
  cause: tcp connect error
  cause: Connection refused (os error 111)
"""
PARSE = """error: Couldn't parse requirement in `requirements.txt` at position 0
  cause: Unexpected end of version specifier, expected version
         pkg ==
             ^^
"""
GIT_LINE = """error: Git operation failed
  cause: failed to fetch into: /root/.cache/uv/git-v2/db/9b66
  cause: process didn't exit successfully: `/usr/bin/git fetch` (exit status: 128)
         --- stderr
         fatal: unable to access 'http://127.0.0.1:9/o/r.git/': Failed to connect to 127.0.0.1 port 9
"""
PIP = """Collecting nodeferry-no-such-package==1.0
ERROR: Could not find a version that satisfies the requirement nodeferry-no-such-package==1.0 (from versions: none)
ERROR: No matching distribution found for nodeferry-no-such-package==1.0
"""
FULL = "error: failed to write to file `/root/.cache/uv/x`: No space left on device (os error 28)\n"


@pytest.mark.parametrize(
    ("output", "words"),
    [
        (
            OLD_UV,
            (
                "Because nodeferry-no-such-package was not found in the package registry and you require "
                "nodeferry-no-such-package==1.0."
            ),
        ),
        (NEW_UV, "Because you require numpy<1.20 and numpy>=1.25."),
        (
            NO_WHEEL,
            (
                "Because thing==1.15.0 has no wheels with a matching Python ABI tag (e.g., `cp311`) and you require "
                "thing==1.15."
            ),
        ),
        (OLD_BUILD, "Failed to build `thing==1.0`: ModuleNotFoundError: No module named 'Cython'"),
        (NEW_BUILD, "The build backend returned an error: no compiler found: gcc"),
        (FETCH, "Request failed after 3 retries in 11.4s: Connection refused (os error 111)"),
        (
            PARSE,
            (
                "Couldn't parse requirement in `requirements.txt` at position 0: Unexpected end of version specifier, "
                "expected version pkg == ^^"
            ),
        ),
        (
            GIT_LINE,
            (
                "Git operation failed: fatal: unable to access 'http://127.0.0.1:9/o/r.git/': Failed to connect to "
                "127.0.0.1 port 9"
            ),
        ),
        (PIP, "No matching distribution found for nodeferry-no-such-package==1.0"),
        (FULL, "failed to write to file `/root/.cache/uv/x`: No space left on device (os error 28)"),
        ("something new\nwent wrong\n", ""),
    ],
)
def test_an_error_of_uv_or_pip_is_one_readable_line(output: str, words: str) -> None:
    """Its own explanation, wrapped lines joined, without its drawing."""
    assert explain(output) == words


def test_what_no_pattern_knows_is_told_in_its_own_last_words() -> None:
    """Never an empty message."""
    problem = reasons.of_packages(Finished(2, b"something new\nwent wrong\n"))
    assert "something new | went wrong" in problem.message
    assert "status 2" in reasons.of_packages(Finished(2, b"")).message
    assert "who knows" in reasons.of_git(Finished(128, b"who knows")).message


def test_a_long_explanation_is_cut_between_words() -> None:
    """A conflict of uv's may fill a screen."""
    because = "Because " + "and ".join(f"pack{number}==1 depends on numpy<2 " for number in range(100))
    text = explain(f"error: No solution found\n  cause: {because}\n")
    assert len(text) <= LONGEST
    assert text.endswith(" …")


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.ENOSPC, "disk_full"),
        (errno.EROFS, "read_only"),
        (errno.EACCES, "not_permitted"),
        (errno.EAGAIN, "too_many_processes"),
        (errno.EIO, "system_error"),
    ],
)
def test_a_failed_system_call_has_its_code(number: int, code: str) -> None:
    """With the system's words and the file."""
    problem = reasons.of_os(OSError(number, "its words", "/some/file"))
    assert problem.code == code
    assert "its words" in problem.message
    assert "/some/file" in problem.message


def test_what_was_stopped_says_by_which_limit() -> None:
    """Silence and the whole time are two limits."""
    assert "idle" in reasons.of_git(Finished(-1, b"", "idle")).message
    assert reasons.of_packages(Finished(-1, b"error: x", "total")).code == "stalled"


def test_a_script_that_stalled_without_a_word_is_told_so() -> None:
    """No empty brackets: that it printed nothing is what is known."""
    assert "(it printed nothing)" in reasons.of_script(Finished(-1, b"", "idle")).message
