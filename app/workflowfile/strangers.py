"""Files that hold no workflow but are often taken for one: what each is, and what to take instead."""

from __future__ import annotations

import re

_TAKE = "Take the workflow's JSON, or the picture or video as ComfyUI saved it."
_CONVERTED = "ComfyUI saves no workflow into it: it was converted. " + _TAKE
_STRANGERS = (
    (rb"\s*(?:<!doctype html|<html|<head)", "a web page, not the file itself: open the picture alone, and save that"),
    (rb"version https://git-lfs", "a pointer of Git LFS, not the file itself: download it from its page"),
    (rb"PK\x03\x04|\x1f\x8b|7z\xbc\xaf|Rar!", "an archive: unpack it, and take the workflow that is in it"),
    (rb"GIF8", "a GIF, which has no room for a workflow: VideoHelperSuite saves a PNG beside it that has one"),
    (rb"BM|II\*\0|MM\0\*|\xff\x0a|\0\0\0\x0cJXL ", "a picture of another kind. " + _CONVERTED),
    (rb"\xff[\xf2\xf3\xfa\xfb]|RIFF....WAVE", "a sound without room for a workflow. " + _CONVERTED),
    (rb"RIFF....AVI |FLV", "a video of another kind. " + _CONVERTED),
    (rb"%PDF", "a PDF. " + _TAKE),
)
_NAMED = [(re.compile(start, re.DOTALL | re.IGNORECASE), words) for start, words in _STRANGERS]


def words_for(head: bytes) -> str:
    """What to say of a file that starts like this."""
    if not head:
        return "The file is empty: its download may have failed. Download it again."
    words = next((words for start, words in _NAMED if start.match(head)), None)
    if words is None:
        return "This is no file that can hold a workflow. " + _TAKE
    return f"This is no file that can hold a workflow, but {words.removesuffix('.')}."
