"""The addresses of files that a pack's code fetches: what a user needs when they could not be had."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import List, Sequence

_MOST = 4
_MOST_CHARS = 200
_READ_BYTES = 256 * 1024
_URL = re.compile(r"https?://[A-Za-z0-9.-]+(?::\d+)?/[A-Za-z0-9_./%+~=&?,-]+")
_OF_A_FILE = re.compile(
    r"(?i)\.(?:safetensors|ckpt|pth?|bin|onnx|gguf|engine|zip|tar|gz|tgz|7z|whl|js|json|ya?ml|exe|so|msgpack|npz?|pkl)"
    r"(?:\?|$)|/resolve/|/releases/download/|/uc\?"
)
_REQUESTS = re.compile(
    r"HTTPS?ConnectionPool\(host='(?P<host>[A-Za-z0-9.-]+)', port=(?P<port>\d+)\): [^\n]*?with url: (?P<path>/\S*)"
)


def in_output(text: str) -> List[str]:
    """Those that a program could not fetch, as its output says; each once, at most four."""
    pools = [_of_pool(found) for found in _REQUESTS.finditer(text)]
    return _chosen([*pools, *(url for url in _URL.findall(text) if _OF_A_FILE.search(url))])


def in_code(file: Path) -> List[str]:
    """Those of files that a program names; none where it cannot be read."""
    try:
        with open(str(file), "rb") as opened:
            text = opened.read(_READ_BYTES).decode("utf-8", "replace")
    except OSError:
        return []
    return _chosen([url for url in _URL.findall(text) if _OF_A_FILE.search(url)])


def in_words(addresses: Sequence[str]) -> str:
    """The sentence that is added to a message; empty for none."""
    return " What was to be fetched: %s." % ", ".join(addresses) if addresses else ""


def _of_pool(found: re.Match[str]) -> str:
    usual = {"443": "https://%s", "80": "http://%s"}
    return usual.get(found["port"], "http://%%s:%s" % found["port"]) % found["host"] + found["path"]


def _chosen(addresses: Sequence[str]) -> List[str]:
    """Without what stands behind a `?` (it may be a key), and without what is too long to read."""
    short = [address.partition("?")[0].rstrip(".,)'\"") for address in addresses]
    return [address for address in dict.fromkeys(short) if len(address) <= _MOST_CHARS and os.path.basename(address)][
        :_MOST
    ]
