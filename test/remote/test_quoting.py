"""Arguments arrive on the other side of a shell as they were."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.remote.quoting import quote_command

_ARGUMENTS = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=40)


@settings(max_examples=20, deadline=None)
@given(st.lists(_ARGUMENTS, max_size=4))
def test_a_shell_gives_back_every_argument(arguments: list[str]) -> None:
    """Quotes, spaces, $(…), line breaks and anything else but NUL come through sh unchanged."""
    command = quote_command(["printf", r"%s\0", "", *arguments])
    result = subprocess.run(["sh", "-c", command], check=True, capture_output=True)
    assert result.stdout.decode().split("\0")[1:-1] == arguments


@pytest.mark.parametrize("argv", [[], ["a\0b"], ["a", "\0"], ["\ud800"]])
def test_what_no_command_line_can_carry_is_refused(argv: list[str]) -> None:
    with pytest.raises(ValueError, match="command|argument"):
        quote_command(argv)
