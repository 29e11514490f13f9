"""The demo's node packs: small, real requirements, and two that must fail."""

from __future__ import annotations

from app.standin.git_rules import MISSING, RepoRule
from app.standin.git_server import GitServer
from app.standin.packs import PackSource, make_pack

_OWNER = "nodeferry-demo"
_HEADER = "Name,RepoUrl,Subfolder,RequirementsFile"
_HEAVY_BYTES = 12_000_000
_HEAVY_RATE = 4_000_000.0
_INSTALL_PY = '''"""Makes the table that the pack reads at its start."""

from pathlib import Path

print("Demo-Scripted: writing table.txt")
Path(__file__).with_name("table.txt").write_text("ready\\n")
print("Demo-Scripted: done")
'''
_PACKS: dict[str, PackSource] = {
    "Demo-Humanize": PackSource(requirements="humanize>=4.9\n", imports=("humanize",)),
    "Demo-Progress": PackSource(requirements="tqdm>=4.60\ncolorama\n", imports=("tqdm", "colorama")),
    "Demo-Config": PackSource(requirements="pyyaml>=6\ntoml\n", imports=("yaml", "toml"), payload_bytes=1_500_000),
    "Demo-Versions": PackSource(requirements="packaging>=23\n", imports=("packaging.version",)),
    "Demo-Tensor": PackSource(requirements="torch>=2\ntorchvision\n", imports=("torch", "torchvision")),
    "Demo-Scripted": PackSource(install_py=_INSTALL_PY, requirements="tabulate\n", imports=("tabulate",)),
    "Demo-Heavy": PackSource(payload_bytes=_HEAVY_BYTES),
    "Demo-Parent": PackSource(requirements="packaging\n", payload_bytes=400_000),
    "Demo-Child": PackSource(requirements="toml\n", imports=("toml",)),
}
_CHILD_FOLDER = "Demo-Parent/demo_child"
_LIBRARY = "demo-library"
_WITH_SUBMODULE = "Demo-Submodule"
_GONE = "Demo-Gone"
_NO_SUCH_PACKAGE = "Demo-No-Such-Package"


def make_demo_packs(server: GitServer) -> str:
    """Make the packs; the manifest as CSV text.

    All end well but two: the repository of `Demo-Gone` does not exist, and `Demo-No-Such-Package` asks for a package
    that does not exist.
    """
    rows = [_make(server, name, source) for name, source in _PACKS.items()]
    library = make_pack(server, _OWNER, _LIBRARY, PackSource(files={"answer.py": "ANSWER = 42\n"}))
    rows.append(_make(server, _WITH_SUBMODULE, PackSource(submodules={"library": library})))
    rows.append(f"{_GONE},{server.url}/{_OWNER}/{_GONE},,")
    server.set_rule(f"{_OWNER}/{_GONE}", MISSING)
    impossible = PackSource(requirements="nodeferry-no-such-package==1.0\n", imports=("nodeferry_no_such_package",))
    rows.append(_make(server, _NO_SUCH_PACKAGE, impossible))
    # slow enough that its progress can be watched
    server.set_rule(f"{_OWNER}/Demo-Heavy", RepoRule(bytes_per_second=_HEAVY_RATE))
    return "\n".join([_HEADER, *rows]) + "\n"


def _make(server: GitServer, name: str, source: PackSource) -> str:
    """Make one pack; its row."""
    pack = make_pack(server, _OWNER, name, source)
    subfolder = _CHILD_FOLDER if name == "Demo-Child" else ""
    return f"{name},{pack.url},{subfolder},{source.requirements_file if source.requirements else ''}"
