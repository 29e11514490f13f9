"""What of a repository is meant: a branch, tag, commit or pull request, or what stands behind `/tree/` in an address.

A branch may have slashes in its name, so that `feature/x/y` behind `/tree/` is a branch of that name, or a branch
`feature/x` and a folder in it. Only the repository knows: until it was asked, the ref is written `tree:feature/x/y`
(git allows no colon in names).
"""

from __future__ import annotations

import re
from typing import Optional, Sequence, Tuple
from urllib.parse import unquote

TREE = "tree:"
MAX_CHARS = 200
MAX_PARTS = 24
_REF = re.compile(r"(?!.*(\.\.|@\{|//|/\.|\.lock(?:/|\Z)))[\w][\w./+@#=,!()-]*\Z")
_COMMIT = re.compile(r"[0-9a-f]{40}\Z")
_SHORT = re.compile(r"[0-9a-f]{4,40}\Z")


def is_ref(text: object) -> bool:
    """Whether git can be given `text` as the name of a branch, tag, commit or ref, or as one of these and a folder."""
    if not isinstance(text, str):
        return False
    name = text.removeprefix(TREE)
    return len(name) <= MAX_CHARS and not name.endswith(("/", ".")) and _REF.match(name) is not None


def is_commit(text: str) -> bool:
    """Whether it is a whole commit hash, in lower case."""
    return _COMMIT.match(text) is not None


def is_hash(text: str) -> bool:
    """Whether it may be a commit hash, a shortened one too, in lower case."""
    return _SHORT.match(text) is not None


def candidates(ref: Optional[str]) -> Tuple[str, ...]:
    """The names that may be meant, the longest first; empty for the default branch."""
    if ref is None:
        return ()
    if not ref.startswith(TREE):
        return (ref,)
    parts = ref[len(TREE) :].split("/")
    names = ["/".join(parts[:count]) for count in range(len(parts), 0, -1)]
    return tuple(name for name in names if is_ref(name))


def of_tree(segments: Sequence[str], *, is_file: bool = False) -> Optional[str]:
    """The ref of what stands behind `/tree/` (or, `is_file`, `/blob/`) in an address; None for the default branch.
    Raises ValueError where no ref can be read."""
    parts = [part for part in unquote("/".join(segments)).split("/") if part]
    if parts[:1] == ["refs"] and parts[1:2] in (["heads"], ["tags"]):
        parts = parts[2:]
    elif parts[:1] == ["refs"]:
        return _checked("/".join(parts[: 4 if parts[1:2] in (["pull"], ["merge-requests"]) else 3]))
    if is_file and len(parts) > 1:
        parts = parts[:-1]
    if parts[:1] == ["HEAD"]:
        return None
    if parts and is_commit(parts[0].lower()):
        return parts[0].lower()
    count = 0
    while count < min(len(parts), MAX_PARTS) and _is_name("/".join(parts[: count + 1])):
        count += 1
    if count == 0:
        raise ValueError("no ref")
    name = "/".join(parts[:count])
    return name if count == 1 else TREE + name


def of_name(text: str) -> str:
    """The ref of a name that stands alone. Raises ValueError where it is none."""
    name = unquote(text).strip("/")
    for prefix in ("refs/heads/", "refs/tags/"):
        name = name.removeprefix(prefix)
    return _checked(name.lower() if is_commit(name.lower()) else name)


def of_archive(text: str) -> Optional[str]:
    """The ref of an archive's name: `refs/heads/main.zip`. None for the default branch. Raises ValueError."""
    name = re.sub(r"\.(?:zip|tar|tgz|tar\.(?:gz|bz2|xz))\Z", "", unquote(text).strip("/"))
    return of_name(name) if name and name != "HEAD" else None


def agree(ref: str, other: str) -> bool:
    """Whether two refs, one of which is what an address names, may mean the same."""
    names, others = candidates(ref), candidates(other)
    if bool(set(names) & set(others)):
        return True
    one, two = ref.lower(), other.lower()
    return is_hash(one) and is_hash(two) and (one.startswith(two) or two.startswith(one))


def _is_name(text: str) -> bool:
    return is_ref(text) and not text.startswith(TREE)


def _checked(name: str) -> str:
    if not _is_name(name):
        raise ValueError("no ref")
    return name
