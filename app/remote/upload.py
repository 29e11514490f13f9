"""Uploads a file through the input of a command, which works where SFTP is off."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from typing import Protocol

from app.domain.errors import TransferFailed

_MARK = "nodeferry-path"

SCRIPT = """
set -u
umask 077
folder=$1 name=$2 sum=$3 size=$4 tag=$5
case $folder in
  "~") folder=$HOME ;;
  "~/"*) folder=$HOME/${folder#"~/"} ;;
esac
check() {
  if command -v sha256sum >/dev/null 2>&1; then found=$(sha256sum <"$1"); expected=$sum
  elif command -v shasum >/dev/null 2>&1; then found=$(shasum -a 256 <"$1"); expected=$sum
  elif command -v python3 >/dev/null 2>&1; then
    found=$(python3 -c "import hashlib,sys; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())" <"$1")
    expected=$sum
  else found=$(wc -c <"$1"); expected=$size
  fi
  set -- $found
  [ "${1-}" = "$expected" ]
}
done_with() { printf "%s\\n" "" "$tag:$folder/$name"; exit 0; }
mkdir -p -- "$folder" && cd -- "$folder" && folder=$(pwd) || exit 11
ours() { [ -O "$1" ] && case $(ls -ld "$1") in ?????w*|????????w*) false ;; esac; }
case $(ls -ld .) in ?????w*|????????w*) exit 15 ;; esac
if [ -f "./$name" ] && ours "./$name" && check "./$name"; then cat >/dev/null; done_with; fi
temporary=./.$name.$tag.tmp
trap 'rm -f -- "$temporary"' EXIT
trap 'exit 14' HUP INT TERM PIPE
cat >"$temporary" || exit 12
check "$temporary" || exit 13
mv -f -- "$temporary" "./$name" || exit 12
done_with
"""
"""Arguments: folder, name, SHA-256 in hex, size in bytes, tag. The only backslash is printf's."""

_REASONS = {
    11: "the folder cannot be created",
    12: "it cannot be written",
    13: "it arrived damaged",
    15: "other users can write into the folder",
}


class _Result(Protocol):
    @property
    def exit_status(self) -> int: ...
    @property
    def stdout(self) -> bytes: ...
    @property
    def stderr(self) -> bytes: ...


class _Host(Protocol):
    def run_script(
        self, script: str, *, args: Sequence[str] = (), stdin: bytes = b"", timeout: float, why: str = ""
    ) -> _Result: ...


def upload(host: _Host, content: bytes, *, folder: str, name: str, sha256: str, timeout: float) -> str:
    """See `RemoteHost.upload`."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise ValueError(f"not a plain file name: {name!r}")
    tag = f"{_MARK}-{secrets.token_hex(8)}"
    result = host.run_script(
        SCRIPT,
        args=[folder, name, sha256, str(len(content)), tag],
        stdin=content,
        timeout=timeout,
        why="upload the runner",
    )
    # The path in the script's own line, wherever the login shell has printed something before it.
    _, found, rest = result.stdout.decode("utf-8", errors="surrogateescape").rpartition(f"\n{tag}:")
    path = rest.partition("\n")[0] if found else ""
    if result.exit_status == 0 and path:
        return path
    reason = _REASONS.get(result.exit_status, f"exit status {result.exit_status}")
    detail = result.stderr.decode("utf-8", errors="replace").strip().rpartition("\n")[2][-300:]
    raise TransferFailed(
        f"{folder}/{name} could not be uploaded to the instance: {reason}{f' ({detail})' if detail else ''}."
    )
