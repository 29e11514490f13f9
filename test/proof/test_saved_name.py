"""The name of a file in ComfyUI's list of workflows, made of whatever somebody calls their file."""

from __future__ import annotations

import pytest

from app.remote.comfyui_files import MAX_NAME, safe_name


@pytest.mark.parametrize(
    ("given", "made"),
    [
        (None, "workflow"),
        ("", "workflow"),
        ("my flow.json", "my flow"),
        ("picture.PNG", "picture"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\me\\flow.json", "flow"),
        ("..", "workflow"),
        ("a/", "a"),
        (".hidden", "hidden"),
        ("a:b*c?.json", "a_b_c_"),
        ("100%2e%2e.json", "100_2e_2e"),
        ("one\ntwo\x00.json", "one_two_"),
        ("a\u202eb\u2028.json", "a_b_"),
        ("con", "workflow"),
        ("LPT1.json", "workflow"),
        ("été 好.json", "été 好"),
        ("x" * 300, "x" * MAX_NAME),
    ],
)
def test_it_is_never_a_path_nor_empty(given: str | None, made: str) -> None:
    assert safe_name(given) == made
