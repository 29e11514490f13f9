"""Addresses of submodules that the instance cannot use as they are, and others that lead to the same repositories.

Authors write their own ssh address (`git@github.com:o/n.git`) of a public repository, git's old protocol (`git://`),
or http where the service allows only https. All are tried by https, for this one fetch: git is told on its command
line (`url.….insteadOf`), and nothing is written down. A relative address (`../other.git`) of a repository that was
renamed is looked for at its new place too.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Dict, List, Tuple

from app.runner.machine.git import Git

_URL = re.compile(
    r"^(?:ssh|git|git\+ssh|ssh\+git)://(?:[^@/\s]+@)?(?P<host>[A-Za-z0-9.-]+)(?::\d+)?/(?P<path>[^\s]*)\Z"
)
_SCP = re.compile(r"^(?:[A-Za-z0-9._-]+@)?(?P<host>[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+):(?!//)/?(?P<path>[^\s]*)\Z")
_HTTP = re.compile(r"^http://(?P<host>[A-Za-z0-9.-]+)/(?P<path>[^\s]*)\Z")
_ALIASES = {"ssh.github.com": "github.com", "altssh.gitlab.com": "gitlab.com", "altssh.bitbucket.org": "bitbucket.org"}
"""Names under which servers offer ssh on port 443."""
_REDIRECTED = re.compile(r"^warning: redirecting to (?P<url>https?://\S+?)/?$", re.MULTILINE)
_RELATIVE = ("./", "../")
_MOST = 50
_DEEPEST = 4


def by_https(git: Git, checkout: Path) -> Tuple[str, ...]:
    """The options with which git fetches submodules by https that have an ssh address, or an http one that git may not
    use; those of submodules that are there too. What the instance's own configuration leads elsewhere stays. Raises
    RunCancelled."""
    options: Dict[str, None] = {}
    for url in dict.fromkeys(url for _, _, url in listed(git, checkout, deep=True)):
        found = _SCP.match(url) or _URL.match(url) or (None if "http" in git.schemes else _HTTP.match(url))
        if found is None or git.line("ls-remote", "--get-url", "--", url, cwd=checkout) != url:
            continue
        host = found.group("host").lower()
        root = "https://%s/" % _ALIASES.get(host, host)
        for new, old in ((root + found.group("path"), url), (root, url[: found.start("path")])):
            target = git.line("ls-remote", "--get-url", "--", new, cwd=checkout)  # perhaps a mirror
            options.update(_instead(target or "", old))
    return tuple(options)


def after_redirect(git: Git, checkout: Path) -> Tuple[str, ...]:
    """The options with which relative addresses are those of the place to which the repository has moved; none where
    it has not moved, or has no such submodule. Raises RunCancelled."""
    if not any(url.startswith(_RELATIVE) for _, _, url in listed(git, checkout)):
        return ()
    origin = (git.line("config", "--get", "remote.origin.url", cwd=checkout) or "").rstrip("/")
    moved = _REDIRECTED.search(git.network("ls-remote", "--", "origin", "HEAD", cwd=checkout).output)
    if moved is None or not origin.startswith(("http://", "https://")):
        return ()
    old, new = origin.rpartition("/")[0], moved.group("url").rpartition("/")[0]
    return tuple(_instead(new + "/", old + "/")) if old != new else ()


def follow_new(git: Git, checkout: Path) -> bool:
    """Takes over the addresses that a newer .gitmodules has; whether there are any. Raises RunCancelled."""
    known = ("config", "--get-regexp", r"^submodule\..*\.url$")
    before = git.ask(*known, cwd=checkout)
    return git.local("submodule", "sync", "-q", cwd=checkout).ok and git.ask(*known, cwd=checkout) != before


def listed(git: Git, checkout: Path, *, deep: bool = False) -> List[Tuple[str, str, str]]:
    """Name, path and address of submodules, as .gitmodules has them; `deep`: those of submodules that are there too."""
    found: List[Tuple[str, str, str]] = []
    folders = [checkout]
    for _ in range(_DEEPEST):
        below: List[Path] = []
        for folder in folders:
            mine = _of_one(git, folder)
            found += mine
            below += [folder / path for _, path, _ in mine if os.path.isfile(str(folder / path / ".gitmodules"))]
        folders = below if deep else []
    return found[:_MOST]


def _of_one(git: Git, checkout: Path) -> List[Tuple[str, str, str]]:
    pattern = r"^submodule\..*\.(path|url)$"
    said = git.ask("config", "-z", "--file", ".gitmodules", "--get-regexp", pattern, cwd=checkout)
    values: Dict[str, str] = {}
    for line in (said or b"").split(b"\0"):
        key, _, value = os.fsdecode(line).partition("\n")
        values[key] = value
    names = [key[: -len(".path")] for key in values if key.endswith(".path")]
    found = [(name[len("submodule.") :], values[name + ".path"], values.get(name + ".url", "")) for name in names]
    inside = [each for each in found if not os.path.isabs(each[1]) and ".." not in each[1].split("/")]
    return [each for each in inside if not each[1].startswith("-")][:_MOST]


def _instead(new: str, old: str) -> Dict[str, None]:
    """As `-c` takes it, joined; git takes the longest match. A name cannot have `=` on the command line."""
    usable = new and "=" not in new and "\n" not in new + old
    return {"url.%s.insteadOf=%s" % (new, old): None} if usable else {}
