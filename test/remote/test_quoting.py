"""Arguments arrive on the other side of a shell as they were, whichever shell the account has."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.remote.quoting import quote_command

_ARGUMENTS = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=40)
_SHELLS = ["sh", "bash", "dash", "zsh", "tcsh", "fish"]
_NASTY = [
    *("it's", '"', "$HOME", "`id`", "a\nb\n", "!x", "hi!", "!!", "a\\", "\\'", "\\n", "\\\\", "%1", "=ls", "~", "*"),
    *("{a,b}", "a=b", "#", "&", "|", ";", "(x)", "^a^b", "\r", "\t", "é", "\u2028", "$(id)", "@", "[a]", "?", "<x"),
    *("%self", " ", "-n"),
]


@settings(max_examples=20, deadline=None)
@given(st.lists(_ARGUMENTS, max_size=4))
def test_a_shell_gives_back_every_argument(arguments: list[str]) -> None:
    """Quotes, spaces, $(…), line breaks and anything else but NUL come through sh unchanged."""
    command = quote_command(["printf", r"%s\0", "", *arguments])
    result = subprocess.run(["sh", "-c", command], check=True, capture_output=True)
    assert result.stdout.decode().split("\0")[1:-1] == arguments


@pytest.mark.parametrize("shell", _SHELLS)
def test_so_does_every_login_shell(shell: str, tmp_path: Path) -> None:
    """csh has no line breaks in quotation marks and expands `!` there, fish reads backslashes, zsh `=name`."""
    if shutil.which(shell) is None:
        pytest.skip(f"needs {shell} (`make system-deps`)")
    environ = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "LC_ALL": "C.UTF-8"}
    for arguments in (_NASTY, _NASTY[::-1], ["=ls"], ["a\\"], ["!x"]):
        command = quote_command(["printf", "%s\\0", "", *arguments])
        result = subprocess.run([shell, "-c", command], check=True, capture_output=True, env=environ)
        assert result.stdout.decode().split("\0")[1:-1] == arguments
    long = "# a comment that's long\n" * 400
    command = quote_command(["printf", "%s", long])
    result = subprocess.run([shell, "-c", command], check=True, capture_output=True, env=environ)
    assert result.stdout.decode() == long


@pytest.mark.parametrize("argv", [[], ["a\0b"], ["a", "\0"], ["\ud800"]])
def test_what_no_command_line_can_carry_is_refused(argv: list[str]) -> None:
    with pytest.raises(ValueError, match="command|argument"):
        quote_command(argv)
