"""Makes one line of a pasted SSH address: without what chats, documents and terminals put around it. Pure."""

from __future__ import annotations

import re
import shlex
import unicodedata

MAX_PASTED = 8000

_LINK = re.compile(r"\[([^\[\]\s]{1,300})\]\((?:mailto:|ssh://|https?://)[^()\s]{1,300}\)")
_SLACK_LINK = re.compile(r"<(?:mailto:|https?://)[^<>|\s]{1,300}\|([^<>|\s]{1,300})>")
_FENCE = re.compile(r"\s*(?:```|~~~)[A-Za-z]{0,20}\s*\Z")
_QUOTED_LINE = re.compile(r"\A\s*>\s+")
_COMMAND = r"(?:\S*/)?(?:ssh|scp|sftp|rsync)(?:\.exe)?\s"
_PROMPT = re.compile(
    rf"\A(?!{_COMMAND})(?:(?:PS )?[A-Za-z]:[^>]{{0,200}}>\s*|[^\s$#%>]{{0,100}}[$#%❯➜>] +(?=\S)"
    rf"|[^'\"]{{0,120}}[$#%❯➜>] +(?={_COMMAND}))"
)
_LABEL = re.compile(
    r"\A(?:ssh|direct ssh|proxy ssh|ssh command|command|connect|address|host)\s*:\s+(?=\S)", re.IGNORECASE
)
_TO_PORT_22 = re.compile(r"\s*(?:->|→|➜|=>)\s*:?22(?:/tcp)?\s*\Z")
_ENDING = re.compile(r"[\s,;]+\Z")
_FULL_STOP = re.compile(r"(-p\s*[0-9]{1,5})\.\Z")
_DASH = re.compile("(?<!\\S)[\u2010-\u2015\u2212\ufe58\ufe63\uff0d](?=[A-Za-z0-9])")
_CHARACTERS = str.maketrans(
    {
        **dict.fromkeys("\u201c\u201d\u201e\u201f\u00ab\u00bb\u2033\uff02", '"'),
        **dict.fromkeys("\u2018\u2019\u201a\u201b\u2032\uff07", "'"),
        "\uff1a": ":",
        "\uff20": "@",
        "\uff0e": ".",
    }
)
_BLOCK_KEYWORDS = {"port": "-p", "identityfile": "-i", "proxyjump": "-J"}
_BREAKS = frozenset("\n\r\t\v\f\x85\u2028\u2029")


def one_line(text: str) -> str:
    """`text` as one line of a shell: line breaks, tabs and odd spaces as spaces; prompts, comments, code fences,
    invisible characters and typographic quotation marks gone. A `Host` block of ssh_config becomes a command.

    Control characters stay, for the reader to refuse."""
    text = text.translate(_CHARACTERS).replace("\\\r\n", " ").replace("\\\n", " ")
    text = "".join(_character(character) for character in text)
    text = _SLACK_LINK.sub(r"\1", _LINK.sub(r"\1", text))
    lines = [_QUOTED_LINE.sub("", line) for line in re.split(r"\n", text) if line.strip() and not _FENCE.match(line)]
    block = _host_block(lines)
    if block is not None:
        return block
    lines = [
        _undecorated(line) for line in lines if not re.match(r"\s*#+\s*\S+(?:\s|\Z)(?!@)", line) or _is_prompt(line)
    ]
    line = _TO_PORT_22.sub("", _DASH.sub("-", " ".join(line for line in lines if line)))
    return _FULL_STOP.sub(r"\1", _ENDING.sub("", line)).strip()


def _character(character: str) -> str:
    if character in _BREAKS:
        return " " if character == "\t" else "\n"
    kind = unicodedata.category(character)
    if kind == "Zs":
        return " "
    return "" if kind == "Cf" else character


def _is_prompt(line: str) -> bool:
    """Whether a line that begins with `#` is root's prompt and not a comment."""
    return re.match(r"\s*#\s+(?:\S*/)?(?:ssh|scp|sftp|rsync)\b", line) is not None


def _undecorated(line: str) -> str:
    """One line without Markdown's backticks, a prompt, a label, and a comment behind it."""
    line = line.strip()
    inner = line.strip("`").strip() if line.startswith("`") and line.endswith("`") else line
    for pattern in (_LABEL, _PROMPT):
        inner = pattern.sub("", inner, count=1)
    inner = inner.strip("`") if inner.startswith("`") and inner.endswith("`") else inner
    if len(inner) > 2 and inner[0] == inner[-1] and inner[0] in "'\"" and inner.count(inner[0]) == 2:
        inner = inner[1:-1]
    return re.sub(r"\s+#(?:\s.*)?\Z", "", inner).strip()


def _host_block(lines: list[str]) -> str | None:
    """The command for a pasted `Host` block of ssh_config; None when it is none."""
    if len(lines) < 2 or not re.match(r"\s*host\s+\S", lines[0], re.IGNORECASE):
        return None
    words = {"host": lines[0].split()[1]}
    options: list[str] = []
    for line in lines[1:]:
        name, _, value = line.strip().replace("=", " ", 1).partition(" ")
        name, value = name.lower(), value.strip().strip('"')
        if name in ("hostname", "user"):
            words[name] = value
        elif name in _BLOCK_KEYWORDS:
            options += [_BLOCK_KEYWORDS[name], shlex.quote(value)]
        elif name:
            options += ["-o", shlex.quote(f"{name}={value}")]
    user = words["user"] + "@" if "user" in words else ""
    return " ".join(["ssh", *options, user + words.get("hostname", words["host"])])
