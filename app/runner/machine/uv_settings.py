"""What of the machine's settings for pip and uv counts for the engine's own calls of uv: the one place that decides.

Each variable of uv's is kept, translated or left out; whatever is not in these tables is left out, so that planning and
installing see the same. pip's settings are translated where uv has none of its own. docs/compatibility.md has the list.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Dict, FrozenSet, List, Mapping, Optional, Sequence, Tuple
from urllib.parse import unquote, urlsplit

from app.runner.machine import uv_config
from app.runner.machine.pip_settings import PipSettings
from app.runner.machine.uv_variables import KEPT, KEPT_PREFIXES, NOT_TOLD

_TOLD_WHY = {
    "UV_NO_CACHE": "uv's cache is used all the same, since without it everything is fetched and built several times",
    "UV_OFFLINE": "packages are fetched",
    "UV_OVERRIDE": "packages' own requirements count",
    "UV_RESOLUTION": "the newest versions that go together are taken",
    "UV_REQUIRE_HASHES": "packs name no hashes",
}
_CONSTRAINTS = ("UV_CONSTRAINT", "PIP_CONSTRAINT")
_PROXIES = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
_TRUE = frozenset({"1", "true", "t", "yes", "y", "on"})
_SPACES = re.compile(r"\s+")


@dataclass(frozen=True)
class UvSettings:
    """`environ`: variables for each of the engine's calls of uv; `unset`: those of the machine's that it must not get;
    `arguments`: options of `uv pip install` for what has no variable; `config`: the text of uv's only configuration
    file, empty for none. `told`: what is not followed, a sentence's part each. `constraints`: the machine's files of
    constraints."""

    environ: Mapping[str, str]
    unset: FrozenSet[str]
    arguments: Tuple[str, ...]
    config: str
    told: Tuple[str, ...]
    constraints: Tuple[str, ...]
    find_links: Tuple[str, ...]
    indexes: Tuple[str, ...]
    """The default one first, then the others."""
    from_pip: Tuple[str, ...]
    """Places that only pip's settings name: pip goes on without one that does not answer, and so must uv."""
    may_break_system: bool


def decide(environ: Mapping[str, str], pip: PipSettings) -> UvSettings:
    """`environ`: the machine's variables; `pip`: what its pip is told."""
    config = uv_config.read(environ)
    ours = {name for name in environ if name.startswith("UV_")}
    unset = {name for name in ours if name not in KEPT and not name.startswith(KEPT_PREFIXES)}
    kept = {name: environ[name] for name in ours - unset}
    unset |= {name for name in ours if not environ[name].strip()}  # an empty one is none, and uv refuses some
    kept = {name: value for name, value in kept.items() if value.strip()}
    added = _Translation(environ, kept, config.keys, pip)
    told = [_of_variable(name) for name in sorted(unset) if name not in NOT_TOLD and _is_set(environ[name])]
    told += ["%s of uv.toml" % key for key in config.dropped if key not in ("link-mode", "system", "pip", "cache-dir")]
    if "UV_EXCLUDE_NEWER" in kept or "exclude-newer" in config.keys:
        told.append("UV_EXCLUDE_NEWER is followed: packages that were published later are not seen")
    constraints = [*added.words(environ.get("UV_CONSTRAINT", "")), *pip.words("constraint")]
    return UvSettings(
        environ=added.environ,
        unset=frozenset(unset),
        arguments=tuple(added.arguments),
        config=config.text,
        told=tuple(told),
        constraints=tuple(dict.fromkeys(constraints)),
        find_links=tuple(added.find_links),
        indexes=tuple(added.indexes),
        from_pip=tuple(added.from_pip),
        may_break_system=may_break_system(environ, pip),
    )


def may_break_system(environ: Mapping[str, str], pip: PipSettings) -> bool:
    """Whether the machine's owner lets installers change the system's own Python (PEP 668)."""
    return pip.is_on("break-system-packages") or _is_set(environ.get("UV_BREAK_SYSTEM_PACKAGES", "0"))


class _Translation:
    """pip's settings in uv's words, where uv has none of its own."""

    def __init__(
        self, environ: Mapping[str, str], kept: Mapping[str, str], keys: Sequence[str], pip: PipSettings
    ) -> None:
        self._given, self._kept, self._keys, self._pip = environ, kept, keys, pip
        self.environ: Dict[str, str] = {}
        self.arguments: List[str] = []
        self.from_pip: List[str] = []
        self.find_links = [part for part in kept.get("UV_FIND_LINKS", "").split(",") if part]
        self.indexes: List[str] = []
        self._locations()
        self._network()
        if pip.is_on("pre") and "UV_PRERELEASE" not in kept and "prerelease" not in keys:
            self.environ["UV_PRERELEASE"] = "allow"
        if may_break_system(environ, pip):
            self.environ["UV_BREAK_SYSTEM_PACKAGES"] = "1"

    @staticmethod
    def words(text: str) -> List[str]:
        """What spaces separate."""
        return [word for word in _SPACES.split(text) if word]

    def _locations(self) -> None:
        kept, pip = self._kept, self._pip
        default = (kept.get("UV_DEFAULT_INDEX") or kept.get("UV_INDEX_URL") or "").rpartition("=")[2]
        if not default and pip.text("index-url") and not {"index-url", "index"} & set(self._keys):
            default = self.environ["UV_DEFAULT_INDEX"] = pip.text("index-url").split()[0]
        own = [word.partition("=")[2] if _is_named(word) else word for word in self.words(kept.get("UV_INDEX", ""))]
        own += self.words(kept.get("UV_EXTRA_INDEX_URL", ""))
        more = [url for url in pip.words("extra-index-url") if url not in own]
        self.from_pip += more
        if more:
            self.environ["UV_EXTRA_INDEX_URL"] = " ".join([*self.words(kept.get("UV_EXTRA_INDEX_URL", "")), *more])
            if "UV_INDEX_STRATEGY" not in kept and "index-strategy" not in self._keys:
                self.environ["UV_INDEX_STRATEGY"] = "unsafe-best-match"  # as pip: all of them count alike
        self.indexes = [default or "https://pypi.org/simple", *own, *more]
        links = [link for link in map(_as_link, pip.words("find-links")) if link and link not in self.find_links]
        self.from_pip += links
        self.find_links += links
        if pip.is_on("no-index") and "no-index" not in self._keys:
            self.arguments.append("--no-index")

    def _network(self) -> None:
        kept, pip, given = self._kept, self._pip, self._given
        if pip.words("trusted-host"):
            known = self.words(kept.get("UV_INSECURE_HOST", ""))
            self.environ["UV_INSECURE_HOST"] = " ".join(dict.fromkeys([*known, *pip.words("trusted-host")]))
        if pip.text("proxy") and not any(given.get(name) for name in _PROXIES):
            proxy = pip.text("proxy")
            proxy = proxy if "://" in proxy else "http://" + proxy
            self.environ.update(dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), proxy))
        cert, client = os.path.expanduser(pip.text("cert")), os.path.expanduser(pip.text("client-cert"))
        if cert and not given.get("SSL_CERT_FILE") and os.path.isfile(cert):
            self.environ["SSL_CERT_FILE"] = cert
        if client and not given.get("SSL_CLIENT_CERT") and os.path.isfile(client):
            self.environ["SSL_CLIENT_CERT"] = client
        for option, name in (
            ("timeout", "UV_HTTP_TIMEOUT"),
            ("default-timeout", "UV_HTTP_TIMEOUT"),
            ("retries", "UV_HTTP_RETRIES"),
        ):
            number = re.match(r"^(\d{1,5})(?:\.\d+)?$", pip.text(option))
            if number and name not in kept and "UV_REQUEST_TIMEOUT" not in kept:
                self.environ[name] = number.group(1)
        if pip.text("keyring-provider") == "subprocess" and "UV_KEYRING_PROVIDER" not in kept:
            self.environ["UV_KEYRING_PROVIDER"] = "subprocess"


def _as_link(given: str) -> Optional[str]:
    """A folder or page as uv takes it; None for a folder that is not there: pip goes on without, and uv would not."""
    if given.startswith(("http://", "https://")):
        return given
    path = unquote(urlsplit(given).path) if given.startswith("file:") else os.path.expanduser(given)
    return path if os.path.isabs(path) and os.path.isdir(path) else None


def _is_named(word: str) -> bool:
    return re.match(r"^[A-Za-z0-9_.-]+=", word) is not None


def _is_set(value: str) -> bool:
    return value.strip().lower() not in ("", "0", "false", "no", "off", "f", "n")


def _of_variable(name: str) -> str:
    why = _TOLD_WHY.get(name)
    return "%s (%s)" % (name, why) if why else name
