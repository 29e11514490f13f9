"""What a line names: an address alone, or a command of git, GitHub's command line, pip or ComfyUI's tools with one."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from typing import Callable, List, Mapping, Optional, Sequence, Tuple

from app.protocol.pasted_text import is_address, machine, quoted, several, stripped
from app.protocol.repo_url import BadRepoUrl

_COMMANDS = re.compile(r"\s*(?:&&|\|\||[;|](?=\s|\Z))\s*")
_CLONES = (("git", "clone"), ("git", "lfs", "clone"), ("git", "submodule", "add"), ("gh", "repo", "clone"))
_FLAGS = frozenset(
    (
        *("--recursive", "--recurse-submodules", "--single-branch", "--no-single-branch", "--quiet", "--verbose"),
        *("--progress", "--no-tags", "--tags", "--shallow-submodules", "--no-shallow-submodules", "--no-checkout"),
        *("--remote-submodules", "--no-remote-submodules", "--sparse", "--no-hardlinks", "--dissociate", "--force"),
    )
)
_SHORT_FLAGS = frozenset("qvnf46")
_VALUED = frozenset(("--depth", "--jobs", "--filter", "--origin", "--shallow-since", "--shallow-exclude", "--name"))
_SHORT_VALUED = {"-b": "--branch", "-j": "--jobs", "-o": "--origin"}
_GIT_PLUS = re.compile(r"(?:^|[\s\"'=@])git\+")
_MACHINE = re.compile(r"[\w.-]+@[\w.-]+(?::\d+)?\Z")


@dataclass(frozen=True)
class Pasted:
    """What a line holds. `ref`, `folder`: what a command around the address names."""

    address: str
    ref: Optional[str] = None
    folder: Optional[str] = None


def read_line(line: str) -> Pasted:
    """The one address in a line. Raises BadRepoUrl."""
    words = [word for word in line.split(" ") if word]
    name = words[0].lower() if len(words) > 1 else ""
    name = name.rpartition("/")[2] if name.startswith(("/usr/", "./")) else name
    if re.search(r"\bgit(?:\.exe)?\s+(?:lfs\s+)?clone\s", line):
        return _of_shell(line)
    if _GIT_PLUS.search(line):
        return _of_pip(line)
    return _PROGRAMS.get(name.removesuffix(".exe"), _of_words)(line)


def _of_words(line: str) -> Pasted:
    """An address, with a ref behind it or a comment."""
    words = [word for word in line.split(" ") if word]
    if len(words) > 1 and words[1].startswith("#"):
        words = words[:1]
    if len(words) == 3 and words[1] in ("@", "@@"):
        return Pasted(stripped(words[0]), stripped(words[2]))
    if len(words) > 1 and words[1].startswith("-") and is_address(words[0]):
        return _Clone().read(words)
    return _alone(words, line)


def _alone(words: Sequence[str], line: str) -> Pasted:
    """Words that have to be an address alone."""
    addresses = [word for word in words if is_address(word)]
    if len(addresses) > 1:
        raise several(line)
    if len(words) == 1:
        return Pasted(stripped(words[0]))
    if any(_MACHINE.match(word) for word in words):
        raise machine(line)
    what = "There is more than an address in %s." if addresses else "%s is not the address of a repository."
    hint = "Paste the address alone" if addresses else "Paste one like https://github.com/OWNER/NAME"
    raise BadRepoUrl("%s %s." % (what % quoted(line), hint))


def _of_download(line: str) -> Pasted:
    """`wget URL`."""
    words = [word for word in line.split(" ") if word][1:]
    return _alone([word for word in words if is_address(word)] or words, line)


def _of_pip(line: str) -> Pasted:
    """`pip install git+https://…@ref#egg=name`."""
    named = [stripped(word) for word in line.split(" ") if _GIT_PLUS.search(word)]
    named = [word[word.index("git+") :] for word in named]
    named = named or [stripped(word) for word in line.split(" ") if is_address(word)]
    if len(named) > 1:
        raise several(line)
    if not named:
        raise BadRepoUrl(
            "%s is about a Python package, not a repository. Paste the node pack's address." % quoted(line)
        )
    return Pasted(named[0])


def _of_comfy(line: str) -> Pasted:
    """`comfy node install X`."""
    words = [word for word in line.split(" ") if word]
    return _alone([word for word in words if is_address(word)] or words[-1:], line)


def _of_ssh(line: str) -> Pasted:
    raise machine(line)


def _of_shell(line: str) -> Pasted:
    """`git clone …`, also with other commands before and behind it."""
    found: List[Pasted] = []
    ref = None
    for command in _COMMANDS.split(line):
        words = _shell_words(command)
        clone = _behind_clone(words)
        if clone is not None:
            found.append(_Clone().read(clone))
        elif words[:1] == ["git"] and words[1:2] in (["checkout"], ["switch"], ["reset"]):
            named = [word for word in words[2:] if not word.startswith("-")]
            ref = named[0] if len(named) == 1 else ref
    if len(found) > 1:
        raise several(line)
    if not found:
        raise BadRepoUrl("%s is a command, and none that clones a repository. Paste its address." % quoted(line))
    pasted = found[0]
    if ref and pasted.ref and ref != pasted.ref:
        raise BadRepoUrl("%s names two versions, %s and %s." % (quoted(line), quoted(pasted.ref), quoted(ref)))
    return Pasted(pasted.address, ref or pasted.ref, pasted.folder)


def _shell_words(command: str) -> List[str]:
    """The words as a shell has them, without what stands before the program."""
    for dash in "\u2013\u2014":  # as word processors write two hyphens
        command = command.replace(" " + dash, " --")
    command = re.sub(r"\\(?=[\w.])", "/", command)  # folders of Windows
    try:
        words = shlex.split(command)
    except ValueError:
        words = [stripped(word) for word in command.split()]
    while words and (words[0] in ("sudo", "RUN", "!", "$", "time", "env") or re.match(r"[A-Z_]+=", words[0])):
        words = words[1:]
    if words:
        words[0] = words[0].rpartition("/")[2].removesuffix(".exe")
    while words[:1] == ["git"] and words[1:2] == ["-C"]:
        words[1:3] = []
    return words


def _behind_clone(words: Sequence[str]) -> Optional[List[str]]:
    """What stands behind `git clone` and its like; None for another command."""
    for command in _CLONES:
        if tuple(word.lower() for word in words[: len(command)]) == command:
            return list(words[len(command) :])
    return None


@dataclass
class _Clone:
    """The words behind `git clone`, as they are read."""

    named: List[str] = field(default_factory=list)
    ref: Optional[str] = None

    def read(self, words: Sequence[str]) -> Pasted:
        """The repository, version and folder. Raises BadRepoUrl for options that mean something else."""
        rest = list(words)
        while rest:
            word = rest.pop(0)
            if word.startswith("-") and word != "--":
                self._option(word, rest)
            elif word != "--":
                self.named.append(word)
        if not self.named:
            raise BadRepoUrl("The git command names no repository.")
        if len(self.named) > 2:
            text = quoted(" ".join(self.named))
            raise BadRepoUrl("The git command names more than a repository and a folder, %s." % text)
        if len(self.named) == 2 and is_address(self.named[1]):
            raise several(" ".join(self.named))
        folder = _folder(self.named[1]) if len(self.named) == 2 else None
        return Pasted(stripped(self.named[0]), stripped(self.ref) if self.ref is not None else None, folder)

    def _option(self, word: str, rest: List[str]) -> None:
        """Reads an option, and its value from `rest` where it is not in the same word."""
        name, value = _named(word)
        if name in _FLAGS:
            return
        if name not in _VALUED and name != "--branch":
            raise BadRepoUrl("git's option %s is none that Nodeferry can follow. Leave it out." % quoted(word))
        if value is None:
            value = rest.pop(0) if rest else ""
        if name == "--branch":
            self.ref = value


def _named(word: str) -> Tuple[str, Optional[str]]:
    """An option's long name and its value, where that is in the same word."""
    if word.startswith("--"):
        name, equals, value = word.partition("=")
        return name, value if equals else None
    if word[:2] in _SHORT_VALUED:
        return _SHORT_VALUED[word[:2]], word[2:].lstrip("=") or None
    return ("--quiet", None) if word != "-" and set(word[1:]) <= _SHORT_FLAGS else (word, None)


def _folder(text: str) -> Optional[str]:
    """The name of the folder that a command clones into; None for one that has no name of its own."""
    name = stripped(text).rstrip("/").rpartition("/")[2]
    return None if name in ("", ".", "..", "custom_nodes", "~") or "$" in name else name


_PROGRAMS: Mapping[str, Callable[[str], Pasted]] = {
    **dict.fromkeys(("git", "gh", "cd", "mkdir"), _of_shell),
    **dict.fromkeys(("pip", "pip3", "uv", "python", "python3", "poetry", "conda"), _of_pip),
    **dict.fromkeys(("comfy", "comfy-cli", "cm-cli", "cm-cli.py"), _of_comfy),
    **dict.fromkeys(("ssh", "scp", "vastai"), _of_ssh),
    **dict.fromkeys(("wget", "curl"), _of_download),
}
