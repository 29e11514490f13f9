"""The machine's settings for pip and uv, as the engine's calls of uv get them in one run; told where they are not
followed. Secrets in them are never told: variables are named, not their values, and addresses by their hosts."""

from __future__ import annotations

import logging
import os
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Dict, FrozenSet, List, Sequence, Tuple
from urllib.parse import urlsplit

from app.runner.context import Context
from app.runner.daemon.run_files import replace_file
from app.runner.environment.torch_family import is_protected
from app.runner.machine.pip_settings import PipSettings
from app.runner.machine.uv_settings import UvSettings, decide
from app.runner.policies.known_bad import known_bads
from app.runner.policies.run_policies import RunPolicies
from app.runner.process.execute import existing_files
from app.runner.requirements.files import decode
from app.runner.requirements.lines import as_constraint, bounds_of, name_of
from app.runner.requirements.versions import satisfies
from app.runner.resolve.no_builds import NoBuilds

_SMALL_DISK = 1 << 30
"""Bytes that uv's cache needs at least, where another disk has more."""
_MAX_BYTES = 1 << 20
_MOST_TOLD = 8
_WHY = "Nodeferry plans and installs in one way on all images. Nothing has to be done."
_log = logging.getLogger("runner")
_making = threading.Lock()


class InstallerSettings:
    """One run's. `environ` and `unset`: for each call of uv; `arguments`: for each `uv pip install`."""

    def __init__(self, context: Context) -> None:
        """Looks which of the places answer that only pip's settings name. `of` makes the run's own."""
        prefix = context.environment.prefix if context.environment else ""
        pip = PipSettings.read(prefix, os.environ)
        settings = _without_dead_places(context, decide(os.environ, pip))
        self.arguments: Tuple[str, ...] = settings.arguments
        self.indexes: Tuple[str, ...] = settings.indexes
        self.find_links: Tuple[str, ...] = settings.find_links
        self.unset: FrozenSet[str] = settings.unset
        self.cache = _cache(context)
        self.no_builds = NoBuilds.of(context)
        """What a run that only plans keeps from being built."""
        self.environ: Dict[str, str] = {**settings.environ, "UV_CACHE_DIR": str(self.cache)}
        if settings.find_links:
            self.environ["UV_FIND_LINKS"] = ",".join(settings.find_links)
        policies = RunPolicies.of(context)
        if not (policies.allows("direct_urls") and policies.allows("indexes")):
            self.environ["UV_NO_SOURCES"] = "1"  # a pack's own pyproject.toml can name both
        self.config = settings.config
        if settings.config:
            self.environ["UV_CONFIG_FILE"] = str(_written(context, settings.config))
        else:
            self.unset |= {"UV_CONFIG_FILE"}
            self.environ["UV_NO_CONFIG"] = "1"
        self.constraints = [*_constraints(context, settings.constraints), *known_bads(context).excluded]
        told = [*settings.told, *("%s cannot be read" % path for path in pip.unreadable)]
        if told:
            more = " and %d more" % (len(told) - _MOST_TOLD) if len(told) > _MOST_TOLD else ""
            text = "This machine's settings for pip and uv were not all taken over as they are: %s%s."
            context.warn("image_settings", text % ("; ".join(told[:_MOST_TOLD]), more), _WHY)

    @classmethod
    def of(cls, context: Context) -> InstallerSettings:
        """The run's, made at its first use."""
        with _making:
            known = context.shared.get(cls.__name__)
            if not isinstance(known, cls):
                known = context.shared[cls.__name__] = cls(context)
            return known


def may_break_system(prefix: str) -> bool:
    """Whether the machine's owner lets installers change the system's own Python (PEP 668)."""
    return decide(os.environ, PipSettings.read(prefix, os.environ)).may_break_system


def _written(context: Context, text: str) -> Path:
    path = context.task.folder / "uv.toml"
    replace_file(path, text.encode("utf-8"))
    return path


def _cache(context: Context) -> Path:
    """Where uv's cache lies: where the machine says so, but on a disk that has room, and where it can be written."""
    default = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")) / "uv"
    given = os.environ.get("UV_CACHE_DIR", "").strip()
    if not given:
        return default
    first = Path(os.path.abspath(os.path.expanduser(given)))
    other = context.ui_home.parent / ".nodeferry" / "uv-cache"
    free = {path: _free(path) for path in dict.fromkeys([first, default, other])}
    if free[first] >= _SMALL_DISK:
        return first
    best = max(free, key=lambda path: free[path])
    if free[best] <= 2 * max(free[first], 0):
        return first
    text = "uv's cache was put into %s, since the disk of %s has only %d MB free." % (best, first, free[first] >> 20)
    if free[first] < 0:
        text = "uv's cache was put into %s, since %s cannot be written." % (best, first)
    context.warn("cache_moved", text, "Nothing has to be done. It can be removed when no install is running.")
    return best


def _free(folder: Path) -> int:
    """The bytes that are free where a folder is, or would be made; -1 where it cannot be written."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        return shutil.disk_usage(str(folder)).free if folder.is_dir() and os.access(str(folder), os.W_OK) else -1
    except OSError:
        return -1


def _constraints(context: Context, files: Sequence[str]) -> List[str]:
    """What the machine's own files of constraints say, but for what contradicts what is installed."""
    found: List[str] = []
    against: List[str] = []
    for path in existing_files(" ".join(files)):
        if "://" in path:
            continue
        try:
            with open(path, "rb") as file:
                lines = decode(file.read(_MAX_BYTES)).splitlines()
        except OSError:
            continue
        for line in filter(None, (as_constraint(line.split(" #")[0].strip()) for line in lines if line.strip())):
            name, bounds = name_of(line), bounds_of(line)
            version = context.packages.get(name)
            if is_protected(name):
                continue
            if version is not None and bounds and satisfies(version, bounds) is False:
                against.append("%s (%s is installed)" % (line, version))
            else:
                found.append(line)
    if against:
        text = (
            "This machine has constraints for pip and uv that what is installed does not keep: %s. They were left out."
        )
        context.warn("image_settings", text % ", ".join(against[:_MOST_TOLD]), _WHY)
    return found


# -- places that do not answer ---------------------------------------------------------------------------------------


def _without_dead_places(context: Context, settings: UvSettings) -> UvSettings:
    """Without the places of pip's that cannot be reached: pip goes on without them."""
    asked = [url for url in settings.from_pip if url.startswith(("http://", "https://"))]
    if not asked:
        return settings
    from dataclasses import replace

    from app.runner.resolve.pages import is_reached  # as long to load as much else together

    with ThreadPoolExecutor(min(8, len(asked))) as pool:
        dead = {url for url, good in zip(asked, pool.map(is_reached, asked)) if not good}
    if not dead:
        return settings
    hosts = sorted({urlsplit(url).hostname or "?" for url in dead})
    text = "This machine's settings for pip name packages on %s, which does not answer. It was left out."
    context.warn("index_unreachable", text % ", ".join(hosts), "Where a package is missing, look at its pip.conf.")
    environ: Dict[str, str] = dict(settings.environ)
    left = [url for url in environ.get("UV_EXTRA_INDEX_URL", "").split() if url not in dead]
    environ.pop("UV_EXTRA_INDEX_URL", None)
    if left:
        environ["UV_EXTRA_INDEX_URL"] = " ".join(left)
    return replace(
        settings,
        environ=environ,
        find_links=tuple(link for link in settings.find_links if link not in dead),
        indexes=tuple(url for url in settings.indexes if url not in dead),
    )
