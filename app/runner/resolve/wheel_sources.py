"""The wheels that uv and pip are offered besides the registry's: those that were built here, and the user's own.

uv takes a wheel rather than a source archive of the same version, so that what is kept is not built again. The version
is still the resolver's choice. Only where uv may not build does it go past the versions that have no wheel: there what
is kept is offered only to those who ask for exact versions.
"""

from __future__ import annotations

import logging
import os
import platform
import re
import threading
from contextlib import suppress
from pathlib import Path
from typing import Dict, FrozenSet, List, Mapping, Optional, Sequence, Tuple

from app.protocol.wheel_names import package_of
from app.runner.context import Context
from app.runner.process.children import Children, Limits
from app.runner.process.errors import RunCancelled
from app.runner.resolve.installer_settings import InstallerSettings
from app.runner.resolve.kept_wheels import KeptWheels, built_in_cache, kept_folder
from app.runner.resolve.wheelhouse import Wheelhouse, WheelhouseUnavailable, look_at

_ASK = Limits(idle=20.0, total=20.0)
_CLOCK_SECONDS = 2.0
_PIN = re.compile(r"^([A-Za-z0-9](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9])?)==([0-9][A-Za-z0-9.+!]{0,79})\Z")
_BUILT = re.compile(r"^ +Built ([A-Za-z0-9._-]{1,100})==([0-9][A-Za-z0-9.+!]{0,79})$", re.MULTILINE)
_UNREADABLE = re.compile(r"Failed to (?:read `--find-links`|fetch: ?`?)[^\n]*")
_LEVELS = (("v4", {"avx512f", "avx512bw", "avx512vl"}), ("v3", {"avx2", "bmi2", "fma"}), ("v2", {"sse4_2", "popcnt"}))
_CHANGES_NOTHING = "The run goes on without it. What has no wheel elsewhere is built."
KEPT, WHEELHOUSE = "kept", "wheelhouse"
_log = logging.getLogger("runner")
_making = threading.Lock()


class WheelSources:
    """One run's. Every method may be called from any thread; none raises but RunCancelled."""

    def __init__(self, context: Context, kept: Optional[KeptWheels], wheelhouse: Optional[Wheelhouse]) -> None:
        """`kept`: None where nothing can be kept. `of` makes the run's own."""
        self._context = context
        self._kept = kept
        self._wheelhouse = wheelhouse
        self._lock = threading.Lock()
        self._caches: Dict[str, Optional[Path]] = {}
        self._told = 0

    @classmethod
    def of(cls, context: Context) -> WheelSources:
        """The run's, made at its first use: an unusable wheelhouse is told then, and left out."""
        with _making:
            known = context.shared.get(cls.__name__)
            if not isinstance(known, cls):
                known = context.shared[cls.__name__] = cls(context, _kept_for(context), _wheelhouse_of(context))
            return known

    @property
    def kept_now(self) -> FrozenSet[Tuple[str, str]]:
        """The packages, by canonical name and version, whose wheels are kept and fit."""
        found = [package_of(kept.name) for kept in self._kept.fitting()] if self._kept else []
        return frozenset(package for package in found if package)

    def origins(self) -> Dict[str, str]:
        """KEPT or WHEELHOUSE for the file name of each wheel that is offered."""
        own = dict.fromkeys(self._wheelhouse.names if self._wheelhouse else (), WHEELHOUSE)
        return {**own, **dict.fromkeys([kept.name for kept in self._kept.fitting()] if self._kept else [], KEPT)}

    def find_links(self, *, kept: bool = True) -> List[str]:
        """Folders and pages, as addresses. Without `kept` only the user's own."""
        found = [folder.as_uri() for folder in self._kept.folders()] if kept and self._kept else []
        self._tell_spoiled()
        wheelhouse = self._wheelhouse
        return found + (list(wheelhouse.find_links) if wheelhouse else [])

    def for_uv(self, *, kept: bool = True) -> Dict[str, str]:
        """The variable by which uv finds them, with what the instance says itself. On a command line others on the
        instance would see it."""
        own = InstallerSettings.of(self._context).find_links
        links = [link.replace(",", "%2C") for link in self.find_links(kept=kept)]
        return {"UV_FIND_LINKS": ",".join([*own, *links])} if links else {}

    def for_pip(self) -> List[str]:
        """The options by which pip finds them; they come on top of its configuration."""
        return [part for link in self.find_links() for part in ("--find-links", link)]

    def dropped(self, output: str) -> bool:
        """Whether a program failed since it could not read the wheelhouse, which is left out from now on; told."""
        with self._lock:
            wheelhouse = self._wheelhouse
            said = _UNREADABLE.search(output)
            if wheelhouse is None or said is None or not any(link in output for link in _spelled(wheelhouse)):
                return False
            self._wheelhouse = None
        text = "The wheelhouse %s could not be read any more." % wheelhouse.given
        self._context.warn("wheelhouse_unavailable", text, _CHANGES_NOTHING)
        return True

    def keep(self, children: Children, program: str, pins: Mapping[str, str], since: float) -> List[str]:
        """Keeps what uv has built of these packages (canonical name: version) since a moment (Unix seconds); their
        names."""
        if self._kept is None or not pins:
            return []
        try:
            cache = self._cache(children, program)
            found = built_in_cache(cache, pins, since - _CLOCK_SECONDS) if cache else []
        except OSError as exc:
            _log.warning("no built wheel can be looked for: %s", exc)
            return []
        names = [self._kept.keep(path, {"index": _index_of(path)}) for path in found]
        for name in filter(None, names):
            _log.info("kept the built wheel %s", name)
        return [name for name in names if name]

    def _cache(self, children: Children, program: str) -> Optional[Path]:
        """uv's cache, as it says itself. Raises OSError."""
        with self._lock:
            if program not in self._caches:
                try:
                    settings = InstallerSettings.of(self._context)
                    said = children.run(
                        [program, "cache", "dir", "--color", "never"],
                        cwd=Path("/"),
                        limits=_ASK,
                        environ=settings.environ,
                        unset=settings.unset,
                    )
                except RunCancelled:
                    return None
                folder = said.output.strip().splitlines()[-1:] if said.ok else []
                self._caches[program] = Path(folder[0]) if folder and os.path.isabs(folder[0]) else None
            return self._caches[program]

    def _tell_spoiled(self) -> None:
        if self._kept is None:
            return
        with self._lock:
            fresh, self._told = self._kept.spoiled[self._told :], len(self._kept.spoiled)
        if fresh:
            text = "Wheels that were kept of earlier builds are damaged and were removed: %s."
            self._context.warn("kept_wheel_spoiled", text % ", ".join(fresh[:8]), "They are built again.")


def pins_of(lines: Sequence[str]) -> Dict[str, str]:
    """The packages that these lines ask for exactly, by canonical name."""
    return _by_name(found.groups() for found in map(_PIN.match, map(str.strip, lines)) if found)


def pins_in(argv: Sequence[str]) -> Dict[str, str]:
    """The packages that a command line's files ask for exactly, by canonical name; of a file that is gone none."""
    found: Dict[str, str] = {}
    for option, path in zip(argv, argv[1:]):
        if option == "-r":
            with suppress(OSError):
                found.update(pins_of(Path(path).read_text("utf-8", "replace").splitlines()))
    return found


def built_in_output(output: str) -> Dict[str, str]:
    """The packages of an index that uv says it has built, by canonical name."""
    return _by_name(_BUILT.findall(output))


def _by_name(pairs: object) -> Dict[str, str]:
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in pairs}  # type: ignore[attr-defined]


def _spelled(wheelhouse: Wheelhouse) -> List[str]:
    """Its addresses, as uv may write them."""
    spelled = [*wheelhouse.find_links, *(link.rstrip("/") for link in wheelhouse.find_links)]
    return spelled + [link[len("file://") :] for link in spelled if link.startswith("file://")]


def _index_of(wheel: Path) -> str:
    parts = wheel.parts
    return parts[parts.index("index") + 1] if "index" in parts[-6:] else "pypi"


def _kept_for(context: Context) -> Optional[KeptWheels]:
    if context.environment is None:
        return None
    try:
        folder = kept_folder(context.ui_home)
    except OSError as exc:
        _log.warning("no built wheel can be kept: %s", exc)
        return None
    return KeptWheels(folder, facts_of(context), context.task.task_id)


def facts_of(context: Context) -> Dict[str, str]:
    """What a wheel with compiled code depends on and its name does not say. A build looks at the GPU and the processor
    unless it is told otherwise. Raises RunCancelled."""
    environment = context.environment
    torch = environment.torch if environment else None
    facts = {
        "torch": (environment.torch_version if environment else None) or "",
        "cuda": (torch.cuda if torch else None) or "",
        "libc": "-".join(platform.libc_ver()),
        "machine": platform.machine(),
        "processor": _processor(),
    }
    if torch and torch.cuda_available:
        facts["gpu"] = _gpu(context.children)
    return facts


def _processor() -> str:
    """The level of the x86-64 instruction set, or nothing."""
    try:
        lines = Path("/proc/cpuinfo").read_text("ascii", "replace").splitlines()
    except OSError:
        return ""
    flags = next((set(line.split(":", 1)[-1].split()) for line in lines if line.startswith("flags")), set())
    return next((level for level, wanted in _LEVELS if wanted <= flags), "")


def _gpu(children: Children) -> str:
    argv = ["nvidia-smi", "--query-gpu=compute_cap", "--format=csv,noheader"]
    try:
        finished = children.run(argv, cwd=Path("/"), limits=_ASK)
    except OSError:
        return ""
    return " ".join(sorted(set(finished.output.split())))[:100] if finished.ok else ""


def _wheelhouse_of(context: Context) -> Optional[Wheelhouse]:
    given = context.options.wheelhouse
    if given is None:
        return None
    try:
        return look_at(given)
    except WheelhouseUnavailable as exc:
        context.warn("wheelhouse_unavailable", str(exc), _CHANGES_NOTHING)
        return None
