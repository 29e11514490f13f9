"""What helps a build that needs something which its package does not say: it is tried once more, with that, for that
package alone.

uv takes it from its settings (`extra-build-dependencies`), which a file in the run's folder holds. The installed torch
is shown to a build that imports it: another one would be gigabytes, and the wrong one.
"""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Dict, List, Mapping, Optional, Sequence

from app.runner.context import Context
from app.runner.environment.torch_family import is_protected
from app.runner.process.children import Finished
from app.runner.process.execute import execute
from app.runner.requirements.lines import canonical, name_of
from app.runner.requirements.versions import readable
from app.runner.resolve import blame
from app.runner.resolve.installer_settings import InstallerSettings
from app.runner.resolve.torch_for_builds import write_finder

_MOST = 64
"""Remedies of one run: packs bring no more that is honest."""
_MOST_TRIES = 3
"""Of one package."""
_SINCE = (0, 8, 4)
"""The uv that has `extra-build-dependencies`; older ones take constraints for builds alone."""
_ASK_SECONDS = 20.0
_MOST_BYTES = 1 << 20
_making = threading.Lock()
_OLD_SETUPTOOLS: Mapping[str, str] = {
    r"cannot import name '(?:packaging|six|appdirs|extern)' from 'pkg_resources": "setuptools<70",
    r"module 'pkg_resources' has no attribute '(?:packaging|extern)'|No module named 'pkg_resources\.": "setuptools<70",
    r"No module named 'setuptools\.(?:extern|dep_util|py\d\dcompat)\b": "setuptools<70",
    r"No module named 'setuptools\.command\.test'": "setuptools<72",
    r"cannot import name 'test' from 'setuptools\.command": "setuptools<72",
    r"No module named '?pkg_resources\b": "setuptools<81",
}
"""What today's setuptools does not have any more, and the last one that has."""
_MODULES: Mapping[str, str] = {
    "Cython": "Cython",
    "cffi": "cffi",
    "cmake": "cmake",
    "distutils": "setuptools",
    "flit_core": "flit-core",
    "hatchling": "hatchling",
    "jinja2": "Jinja2",
    "mako": "Mako",
    "mesonpy": "meson-python",
    "ninja": "ninja",
    "numpy": "numpy",
    "packaging": "packaging",
    "pkgconfig": "pkgconfig",
    "poetry": "poetry-core",
    "psutil": "psutil",
    "pybind11": "pybind11",
    "pythran": "pythran",
    "requests": "requests",
    "scipy": "scipy",
    "setuptools": "setuptools",
    "setuptools_rust": "setuptools-rust",
    "setuptools_scm": "setuptools-scm",
    "six": "six",
    "skbuild": "scikit-build",
    "toml": "toml",
    "tomli": "tomli",
    "tqdm": "tqdm",
    "wheel": "wheel",
    "yaml": "PyYAML",
}
"""Modules that builds import without saying so, and the packages that have them. No other name becomes a package: a
module's name may be somebody else's package."""
_MISSING = re.compile(r"No module named '?(?P<module>[A-Za-z_]\w*)(?!\w*\.)'?")
_NO_WHEEL_COMMAND = re.compile(r"invalid command 'bdist_wheel'")
_UV_NAMES = re.compile(r"error likely indicates that `([A-Za-z0-9][A-Za-z0-9._-]*?)(?:@[^`]*)?` depends on")
_NOT_SOLVED = re.compile(
    r"(?i)failed to resolve requirements from|no solution found when resolving|was not found in the"
)
_OFFLINE = re.compile(r"[Nn]etwork (?:was|connectivity is) disabled|wasn.t found in the cache")


@dataclass
class Remedy:
    """`requirement`: what the package's build gets besides; empty: the installed torch."""

    package: str
    requirement: str
    module: str
    told: bool = False

    def __str__(self) -> str:
        if not self.requirement:
            return "%s imports %s while it is built, and does not say so. It was built with the installed one." % (
                self.package,
                self.module,
            )
        if self.requirement.startswith("setuptools<"):
            text = "%s cannot be built with today's setuptools. It was built with %s, for its build alone."
            return text % (self.package, self.requirement)
        text = "%s needs %s while it is built, and does not say so. It was built with %s, for its build alone."
        return text % (self.package, self.module, self.requirement)


@dataclass
class _Learnt:
    """By package: what its build gets, by the project's name; an empty name: the installed torch."""

    by_package: Dict[str, Dict[str, Remedy]] = field(default_factory=dict)
    tried: Dict[str, List[str]] = field(default_factory=dict)

    @property
    def all(self) -> List[Remedy]:
        """Each of them."""
        return [remedy for found in self.by_package.values() for remedy in found.values()]


class BuildRemedies:
    """One run's, for every uv of it. From any thread."""

    def __init__(
        self,
        folder: Path,
        packages: Mapping[str, str],
        paths: Sequence[str],
        python: str,
        *,
        warn: Callable[[str, str, str], None],
        config: str = "",
    ) -> None:
        """`folder`: the run's, in which every uv runs; `packages` and `paths`: what is installed, and where; `python`:
        the interpreter's version; `config`: the text of uv's settings without what is learnt here."""
        self._config = config
        self._folder = folder
        self._packages = packages
        self._paths = paths
        self._python = python
        self.warn = warn
        self._lock = threading.Lock()
        self._learnt = _Learnt()
        self._old: Dict[str, bool] = {}
        self._by_constraints = False
        """uv takes no requirements of single builds here: of its settings the bounds of setuptools count, for all."""

    @classmethod
    def of(cls, context: Context) -> BuildRemedies:
        """The run's, made at its first use; there is an environment by then."""
        with _making:
            known = context.shared.get(cls.__name__)
            if not isinstance(known, cls):
                environment = context.environment
                assert environment is not None
                known = cls(
                    context.task.folder,
                    environment.packages,
                    environment.paths,
                    environment.version,
                    warn=context.warn,
                    config=InstallerSettings.of(context).config,
                )
                context.shared[cls.__name__] = known
            return known

    # -- for each uv --------------------------------------------------------------------------------------------------

    def arguments(self) -> List[str]:
        """More options of uv."""
        return ["--config-file", str(self._settings)] if self._settings.exists() else []

    def environ(self, names: Optional[Sequence[str]], environ: Mapping[str, str]) -> Dict[str, str]:
        """More variables of uv. `names`: the only packages that it may build, None where that is not known."""
        found: Dict[str, str] = {}
        learnt = self._learnt.all
        wants_torch = {canonical(remedy.package) for remedy in learnt if not remedy.requirement}
        if wants_torch and (names is None or wants_torch & set(names)):
            found["PYTHONPATH"] = str(self._folder / "torch-for-builds")
        if self._by_constraints and any(remedy.requirement for remedy in learnt):
            earlier = environ.get("UV_BUILD_CONSTRAINT", "")
            found["UV_BUILD_CONSTRAINT"] = " ".join(filter(None, [earlier, str(self._constraints)]))
        return found

    def learn(self, finished: Finished, program: str) -> Optional[Remedy]:
        """What may help a build that failed, from now on; None where nothing is known, or where all was tried. Raises
        OSError."""
        output = blame.error_of(finished.output)
        package = blame.failed_package(output) or _named_by_uv(output)
        with self._lock:
            self._by_constraints = self._by_constraints or self._is_old(program) or _has_own(self._config)
            found = self._remedy(package, output) if package else None
            if found is None or package is None:
                return None
            self._learnt.tried.setdefault(package, []).append(found.requirement)
            self._learnt.by_package.setdefault(package, {})[name_of(found.requirement)] = found
            self._write()
            return found

    def judge(self, remedy: Remedy, finished: Finished) -> bool:
        """After it was tried once more: whether that helped, which is told once; where the remedy itself cannot be had,
        it is forgotten, and the first failure is the reason."""
        output = blame.error_of(finished.output)
        same = not finished.ok and (blame.failed_package(output) or _named_by_uv(output)) == remedy.package
        if same and _OFFLINE.search(output):
            return True  # it is asked for again with the network
        if same and _NOT_SOLVED.search(output):
            with self._lock:
                self._learnt.by_package[remedy.package].pop(name_of(remedy.requirement), None)
                self._write()
            return False
        self._report(remedy, helped=not same)
        return True

    def _report(self, remedy: Remedy, *, helped: bool) -> None:
        if helped and not remedy.told:
            for each in self._learnt.by_package.get(remedy.package, {}).values():
                if not each.told:
                    each.told = True
                    self.warn("build_requirement_added", str(each), "Nothing has to be done.")

    # -- what helps ----------------------------------------------------------------------------------------------------

    def _remedy(self, package: str, output: str) -> Optional[Remedy]:
        tried = self._learnt.tried.get(package, [])
        if len(tried) >= _MOST_TRIES or len(self._learnt.tried) >= _MOST:
            return None
        for pattern, requirement in _OLD_SETUPTOOLS.items():
            if re.search(pattern, output):
                return Remedy(package, requirement, "pkg_resources") if requirement not in tried else None
        missing = _MISSING.findall(output)
        module = "wheel" if _NO_WHEEL_COMMAND.search(output) else missing[-1] if missing else ""
        if canonical(module) in self._packages and is_protected(module):
            return Remedy(package, "", module) if "" not in tried else None
        name = _MODULES.get(module)
        if name is None or self._by_constraints:
            return None
        requirement = self._as_installed(name)
        return Remedy(package, requirement, module) if requirement not in tried else None

    def _as_installed(self, name: str) -> str:
        """numpy in the version that the result will meet."""
        version = readable(self._packages.get(name, "")) if name == "numpy" else None
        return "%s==%s" % (name, version) if version and "+" not in version else name

    # -- files ---------------------------------------------------------------------------------------------------------

    @property
    def _settings(self) -> Path:
        return self._folder / "uv-for-builds.toml"

    @property
    def _constraints(self) -> Path:
        return self._folder / "build-constraints.txt"

    def _write(self) -> None:
        """Each file as a whole: a uv of another thread may be reading it."""
        added = [remedy for remedy in self._learnt.all if remedy.requirement]
        if len(added) < len(self._learnt.all):
            write_finder(self._folder / "torch-for-builds", self._paths, self._python)
        if self._by_constraints:
            bounds = sorted({each.requirement for each in added if each.requirement.startswith("setuptools<")})
            _replace(self._constraints, "".join("%s\n" % each for each in bounds[:1]))
            return
        lines = [self._config, "[extra-build-dependencies]"]
        for package, found in sorted(self._learnt.by_package.items()):
            wanted = sorted(remedy.requirement for remedy in found.values() if remedy.requirement)
            if wanted:
                lines.append("%s = [%s]" % (package, ", ".join('"%s"' % each for each in wanted)))
        _replace(self._settings, "\n".join(lines) + "\n")

    def _is_old(self, program: str) -> bool:
        """Whether this uv has no requirements of single builds. Asked for once, when it matters."""
        if program not in self._old:
            try:
                said = execute([program, "--version"], _ASK_SECONDS)
            except OSError:
                said = ""
            found = re.search(r"^uv (\d+)\.(\d+)\.(\d+)", said)
            self._old[program] = not found or tuple(map(int, found.groups())) < _SINCE
        return self._old[program]


def _named_by_uv(output: str) -> Optional[str]:
    """The package of a build for which uv prints no other name."""
    found = _UV_NAMES.search(output)
    return canonical(found.group(1)) if found else None


def _has_own(settings: str) -> bool:
    return "extra-build-dependencies" in settings


def _replace(path: Path, text: str) -> None:
    fresh = path.with_suffix(".new")
    fresh.write_text(text, "utf-8")
    fresh.replace(path)
