"""How long things may take. A request may carry other `limits` than these: for slow instances, and for tests."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Mapping, Optional, Tuple

from app.runner.process.children import Limits
from app.runner.process.load_watch import Load


@dataclass(frozen=True)
class RunLimits:
    """Seconds. docs/journal.md names the keys of a request's `limits`."""

    retry_delays: Tuple[float, ...] = (0.0, 1.0, 4.0)
    """Before each try of a download; the last one asks for HTTP/1.1."""
    git: Limits = Limits(idle=120.0, total=3600.0)
    low_speed: int = 60
    """git ends a download that stays under 1,000 bytes a second for so long."""
    packages: Limits = Limits(idle=900.0, total=10800.0, busy=10800.0, load=Load(builds=True))
    """uv, and each build of a package. One that is silent goes on for as long as its compilers work."""
    resolve_builds: float = 30.0
    """For resolving what may have to be built: what takes longer to say what it requires is not for the first stage."""
    scripts: Limits = Limits(idle=600.0, total=3600.0, load=Load())
    imports: Limits = Limits(idle=180.0, total=1800.0, load=Load())
    """One start of ComfyUI in its quick test mode."""
    import_search: float = 3600.0
    """No further start of ComfyUI after so long a search for who brings it down."""
    question: float = 3600.0
    """For a person's answer."""
    repair_disk: float = 4e9
    """Bytes that the second round's copy of the environment may take."""
    restart: float = 600.0
    """Until a restarted ComfyUI answers: some images install again when they start."""
    repository_bytes: float = 20 * 1024**3
    """Bytes that a repository may have with its files, its submodules and what Git LFS brings; 0: any number."""
    repository_files: float = 500_000
    """Files and folders that it may have, those of .git included; 0: any number."""

    @classmethod
    def of(cls, request: Mapping[str, Any]) -> RunLimits:
        """The request's limits, and for what it does not name (or not as a number) the usual ones."""
        raw = request.get("limits")
        given: Mapping[str, Any] = raw if isinstance(raw, dict) else {}
        usual = cls()
        delays = given.get("retry_waits")
        good = isinstance(delays, list) and delays and all(_is_seconds(wait) for wait in delays)
        processes, memory, disk = (_whole(given, "script_" + each) for each in ("processes", "memory", "disk"))
        load = Load(processes, memory, disk)
        return cls(
            retry_delays=tuple(float(wait) for wait in delays) if good and delays else usual.retry_delays,
            git=Limits(_seconds(given, "git_idle", usual.git.idle), usual.git.total),
            low_speed=max(1, int(_seconds(given, "low_speed", usual.low_speed))),
            packages=_packages(given, usual.packages, load),
            resolve_builds=_seconds(given, "resolve_builds", usual.resolve_builds),
            scripts=Limits(
                _seconds(given, "script_idle", usual.scripts.idle),
                _seconds(given, "script_total", usual.scripts.total),
                load=load,
            ),
            imports=Limits(
                _seconds(given, "import_idle", usual.imports.idle),
                _seconds(given, "import_total", usual.imports.total),
                load=load,
            ),
            import_search=_seconds(given, "import_search", usual.import_search),
            question=_seconds(given, "question", usual.question),
            repair_disk=_number(given, "repair_disk", usual.repair_disk),
            restart=_seconds(given, "restart", usual.restart),
            repository_bytes=_number(given, "repository_bytes", usual.repository_bytes),
            repository_files=_number(given, "repository_files", usual.repository_files),
        )


def _packages(given: Mapping[str, Any], usual: Limits, load: Load) -> Limits:
    total = _seconds(given, "packages_total", usual.total)
    return Limits(_seconds(given, "packages_idle", usual.idle), total, busy=total, load=replace(load, builds=True))


def _whole(given: Mapping[str, Any], name: str) -> Optional[int]:
    value = _number(given, name, 0)
    return int(value) if value >= 1 else None


def _seconds(given: Mapping[str, Any], name: str, usual: float) -> float:
    value = given.get(name)
    return float(value) if _is_seconds(value) and value is not None else usual


def _number(given: Mapping[str, Any], name: str, usual: float) -> float:
    value = given.get(name)
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if is_number and value is not None and 0 <= value < 1e15 else usual


def _is_seconds(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 1e6
