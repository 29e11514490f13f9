"""The lock of a run: told at its end; and, where a lock was given, brought about: packages at their versions, packs at
their commits, and said what cannot be had.

Versions are installed as they stand, without what they require: the lock names that too. With `options.exact` it is
everything or nothing.
"""

from __future__ import annotations

import os
from typing import Any, Dict, List, Mapping, Optional, Sequence, Set

from app.protocol.events import Kind
from app.protocol.lock import FORMAT, Lock, mismatches, read_lock
from app.protocol.manifest import split_source
from app.runner.context import Context, PackResult
from app.runner.daemon.faults import RunFault
from app.runner.hints import reasons
from app.runner.lock.lock_undo import Before
from app.runner.machine.interpreter import Execute, prove
from app.runner.packages.requirement_files import bounds_of, canonical, constraints, is_protected, name_of
from app.runner.packages.uv import Uv
from app.runner.packages.variants import FAMILIES
from app.runner.packages.versions import satisfies

_NOT_OURS = frozenset({"pip", "uv"})
_MOST_NAMED = 20
_EXACT_HINT = "Leave out options.exact to get as near to the lock as can be."


def of_request(context: Context) -> Optional[Lock]:
    """The lock that the run was asked to bring about, checked before by `read_manifest`; None for another manifest."""
    form, value = split_source(context.request.get("manifest"))
    return read_lock(value, context.request.get("schemes") or ["https", "ssh"]) if form == "lock" else None


class Locked:
    """Brings a lock about, in the order of the methods. Each raises RunFault where `exact` was asked for and cannot
    be; what was changed until then is undone."""

    def __init__(self, context: Context, lock: Lock, uv: Optional[str], run: Execute) -> None:
        self._context = context
        self._lock = lock
        self._run = run
        self._exact = context.options.get("exact") is True
        self._log = context.task.folder / "lock.log"
        self._uv: Optional[Uv] = None
        if uv is not None and context.python and context.python_problem is None:
            self._uv = Uv(context.children, uv, context.python, context.task.folder, context.tuning.packages)
        self._before = Before(context, lock.packs, self._uv, self._log)

    def before_clones(self) -> None:
        """What does not fit is told; with `exact` it ends the run, before anything is changed."""
        python = self._context.python
        torch, cuda = _torch_of(python)
        found = mismatches(self._lock, str(python.get("version", "")), torch, cuda)
        found += ["%s cannot be had: %s" % (entry["name"], entry["reason"]) for entry in self._lock.left_out]
        found += sorted(self._refused().values())
        if found and self._exact:
            raise RunFault("lock_mismatch", "Nothing was changed. %s." % _some(found), _EXACT_HINT)
        for text in found[:_MOST_NAMED]:
            self._context.warn("lock_mismatch", "%s." % text.rstrip("."), "The rest of the lock is installed.")
        if self._exact:
            self._try_out()

    def _try_out(self) -> None:
        """Whether all versions can be had, without a change."""
        pins = self._pins()
        if not pins:
            return
        if self._uv is None:
            raise RunFault("lock_unavailable", "Nothing was changed. No uv could be had.", _EXACT_HINT)
        finished = self._uv.install(self._file(pins), self._log, _ignore, dry_run=True)
        if not finished.ok:
            said = reasons.of_packages(finished).message
            raise RunFault("lock_unavailable", "Nothing was changed. %s" % said, _EXACT_HINT)

    def after_clones(self, results: Sequence[PackResult]) -> None:
        """The packages, once all packs are there."""
        bad = [result for result in results if result.commit != result.pack.ref]
        if bad and self._exact:
            self._give_up(results, "%s could not be had at its commit" % bad[0].pack.name)
        unavailable = self._install(self._pins())
        if unavailable and self._exact:
            self._give_up(results, _some(sorted(unavailable.values())))
        for text in sorted(unavailable.values())[:_MOST_NAMED]:
            self._context.warn("lock_package_unavailable", text, "The version that is installed stays.")
        self._look_again()

    def before_verify(self, results: Sequence[PackResult]) -> None:
        """What is there now, compared with the lock."""
        self._look_again()
        found = ["%s is %s, the lock has %s" % item for item in self._differences()]
        found += [
            "%s is at %s, the lock has %s" % (result.pack.name, (result.commit or "no commit")[:10], result.pack.ref)
            for result in results
            if result.commit != result.pack.ref
        ]
        if found and self._exact:
            self._give_up(results, _some(found))
        if found:
            self._context.warn(
                "lock_not_exact", "%s." % _some(found), "Install the lock again, or by hand what it says."
            )

    # -- packages ----------------------------------------------------------------------------------------------------

    def _differences(self) -> List[Any]:
        there = {canonical(name): version for name, version in self._context.packages.items()}
        return [
            (name, there.get(canonical(name), "not there"), version)
            for name, version in sorted(self._lock.packages.items())
            if there.get(canonical(name)) != version and canonical(name) not in _NOT_OURS
        ]

    def _pins(self) -> List[str]:
        """What is to be installed. The torch family stays as it is; that it differs is told."""
        if not self._context.python:
            return []
        refused = self._refused()
        return [
            "%s==%s" % (name, version)
            for name, _, version in self._differences()
            if not is_protected(name) and name not in refused
        ]

    def _refused(self) -> Dict[str, str]:
        """Versions that would break what is there, and why: ComfyUI's own requirements stay met, and two variants of
        one library would overwrite each other's files."""
        wanted = {name_of(line): bounds_of(line) for line in constraints({}, self._context.ui_home)}
        there = {canonical(name) for name in self._context.packages}
        refused = {}
        for name, _, version in self._differences():
            bounds = wanted.get(canonical(name))
            other = sorted(there & _variants_of(canonical(name)))
            if bounds and satisfies(version, bounds) is False:
                refused[name] = "%s stays: this ComfyUI wants %s%s, the lock has %s" % (name, name, bounds, version)
            elif other and canonical(name) not in there:
                refused[name] = "%s is not installed, since %s is" % (name, ", ".join(other))
        return refused

    def _install(self, pins: List[str]) -> Dict[str, str]:
        """Installs; by halves where that fails, so that one version that cannot be had costs only itself. What could
        not be had, and why."""
        if not pins:
            return {}
        if self._uv is None:
            return {"": "The packages of the lock were not installed: there is no uv, or no Python to install into."}
        finished = self._uv.install(self._file(pins), self._log, _ignore)
        if finished.ok:
            return {}
        if len(pins) == 1 or self._exact:
            return {pins[0]: "%s could not be had: %s" % (", ".join(pins[:3]), reasons.of_packages(finished).message)}
        half = len(pins) // 2
        return {**self._install(pins[:half]), **self._install(pins[half:])}

    def _file(self, pins: Sequence[str]) -> Any:
        path = self._context.task.folder / "lock.txt"
        path.write_text("\n".join(pins) + "\n", "utf-8")
        return path

    def _look_again(self) -> None:
        """What comes after plans with what is installed now."""
        if self._context.python:
            proof, _ = prove(self._context.python["executable"], self._run)
            if proof is not None:
                self._context.python["packages"] = proof["packages"]

    def _give_up(self, results: Sequence[PackResult], why: str) -> None:
        """Puts everything back as it was and ends the run."""
        self._look_again()
        left = self._before.restore(results, self._context.packages)
        said = "Everything was put back." if not left else "Not all could be put back: %s." % _some(left)
        raise RunFault("lock_not_exact", "%s. %s" % (why.rstrip("."), said), _EXACT_HINT)


def tell(context: Context, results: Sequence[PackResult], run: Execute) -> None:
    """Tells the lock of what the run leaves."""
    packages: Mapping[str, str] = {}
    python = context.python
    if python:
        proof, _ = prove(python["executable"], run)
        packages = proof["packages"] if proof else {}
    torch, cuda = _torch_of(python)
    probe = context.journal.snapshot.probe
    lock = {
        "format": FORMAT,
        "ui_home": str(context.ui_home),
        "comfyui_commit": probe.get("comfyui_commit"),
        "interpreter": python.get("executable"),
        "python": python.get("version"),
        "torch": {"version": torch, "cuda": cuda} if torch else None,
        "gpu": probe.get("gpu"),
        "driver": probe.get("driver"),
        "system": probe.get("system"),
        "machine": os.uname().machine,
        "node_packs": [found for found in (_pack(context, result) for result in results) if found],
        "packages": dict(sorted(packages.items())),
    }
    context.journal.tell(Kind.LOCK, lock=lock)


def _pack(context: Context, result: PackResult) -> Optional[Dict[str, Any]]:
    """What is there now: a pack that a rollback took away is not."""
    pack = result.pack
    commit = context.git().head(result.folder) if result.there else None
    if commit is None:
        return None
    return {
        "name": pack.name,
        "repo_url": pack.repo_url,
        "folder": pack.folder,
        "requirements_file": pack.requirements_file,
        "commit": commit,
    }


def _variants_of(name: str) -> Set[str]:
    """The names under which the same library comes, if it comes under several."""
    return next((set(family) for family in FAMILIES if name in family), set())


def _torch_of(python: Mapping[str, Any]) -> Any:
    """torch's version and its CUDA's; None for what is not there."""
    torch = python.get("torch")
    if torch:
        return torch.get("version"), torch.get("cuda")
    return (python.get("packages") or {}).get("torch"), None


def _some(texts: Sequence[str]) -> str:
    more = "; and %d more" % (len(texts) - _MOST_NAMED) if len(texts) > _MOST_NAMED else ""
    return "; ".join(text.rstrip(".") for text in texts[:_MOST_NAMED]) + more


def _ignore(line: str) -> None:
    """The lock's packages are not counted."""
