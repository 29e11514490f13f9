"""Cases of requirements: files, packages that cannot be had, and packs that do not agree."""

from __future__ import annotations

from app.standin.packs import PackSource
from bench.faults.case import GOOD, Fault, asserting, failed, needs, works_all_the_same

NO_SUCH = "nodeferry_no_such_module"
_TYPING = "Look for a typing error in the name, or report it to the pack's author"
_ANOTHER = "Report it to the pack's author. The pack's requirements have to change"
_OLDER = "the second round looks whether the older one helps"
_COMPILER = "a compiler or a system library may be missing"
_BROKEN = {"broken/setup.py": "raise RuntimeError('cannot be built: no compiler for this')\n"}
"""A package in the pack whose build fails."""
_OTHER = "It contradicts: {%s} (%s). Leave one of them out"

REQUIREMENTS = (
    Fault(
        "the manifest's file is missing",
        works_all_the_same("requirements_file_missing", "Correct requirements_file"),
        entry={"requirements_file": "other.txt"},
    ),
    Fault("no such package", failed("requirement_not_found", _TYPING), needs("nodeferry-no-such-package\n", NO_SUCH)),
    Fault("no such version", failed("requirement_not_found", _ANOTHER), needs("tabulate==9999\n", NO_SUCH)),
    Fault(
        "no such package, but it imports",
        works_all_the_same("requirement_not_found", _TYPING),
        needs("nodeferry-no-such-package\n"),
    ),
    Fault("package does not build", failed("build_failed", _COMPILER), needs("./broken\n", NO_SUCH, files=_BROKEN)),
    Fault(
        "does not build, but it imports",
        works_all_the_same("build_failed", _COMPILER),
        needs("./broken\n", files=_BROKEN),
    ),
    Fault(
        "-r outside of the pack",
        failed("bad_requirement", "Report it to the pack's author"),
        needs("-r ../../requirements.txt\n", NO_SUCH),
    ),
    Fault(
        "a line that is none",
        failed("bad_requirement", "Report it to the pack's author"),
        needs("<<<<<<< HEAD\n", NO_SUCH),
    ),
    Fault("file in UTF-16", GOOD, needs("colorama\n".encode("utf-16"), "colorama")),
    Fault(
        "another torch",
        works_all_the_same("torch_version_wanted", "Use an image with that build, or another version of the pack"),
        needs("torch==1.13.1\n", "torch"),
    ),
    Fault(
        "another torch, and notices",
        failed("torch_version_wanted", "Use an image with that build, or another version of the pack"),
        asserting("torch==1.13.1\n", "import torch\nassert torch.__version__.startswith('1.13')"),
    ),
    Fault(
        "a package wants another torch",
        failed("torch_version", "Look for a version of the pack for the installed torch"),
        needs("--extra-index-url {server}simple/\nnodeferry-wants-torch\n", "nodeferry_wants_torch"),
    ),
    Fault("torch from an index", GOOD, needs("--index-url https://example.invalid/whl/cpu\ntorch\n", "torch")),
)
_OLD_NUMPY = "import numpy\nassert numpy.__version__ < '2'"
_NEW_NUMPY = "import numpy\nassert numpy.__version__ >= '2'"
_CV2 = "import cv2\ncv2.resize"
_ORT = "import onnxruntime\nonnxruntime.InferenceSession"


def _exactly(version: str) -> PackSource:
    """A pack that needs one version of a small package, and notices another."""
    return asserting(f"toml=={version}\n", f"import toml\nassert toml.__version__ == '{version}'")


CONFLICTS = (
    Fault("any numpy", GOOD, needs("numpy\n", "numpy")),
    Fault("numpy>=1.20", GOOD, needs("numpy>=1.20\n", "numpy")),
    Fault("numpy>=2", GOOD, asserting("numpy>=2\n", _NEW_NUMPY)),
    Fault(
        "numpy<2 beside it",
        failed("requirement_conflict", _OTHER % ("numpy>=2", "numpy>=2")),
        asserting("numpy<2\n", _OLD_NUMPY),
    ),
    Fault("wants toml 0.10.2", GOOD, _exactly("0.10.2")),
    Fault(
        "wants toml 0.10.1 beside it",
        failed("requirement_conflict", _OTHER % ("wants toml 0.10.2", "toml==0.10.2")),
        _exactly("0.10.1"),
    ),
    Fault("opencv-python", GOOD, asserting("opencv-python\n", _CV2)),
    Fault("opencv-python-headless beside it", GOOD, asserting("opencv-python-headless\n", _CV2)),
    Fault("onnxruntime", GOOD, asserting("onnxruntime\n", _ORT)),
    Fault("onnxruntime-gpu beside it", GOOD, asserting("onnxruntime-gpu\n", _ORT)),
)
INSTALLED = (
    Fault("numpy<2 where 2 is installed", GOOD, asserting("numpy<2\n", _OLD_NUMPY)),
    Fault("uses what is installed", GOOD, asserting("opencv-python-headless\n", _CV2)),
)
PINNED = (
    Fault("numpy>=2 beside it", GOOD, asserting("numpy>=2\n", _NEW_NUMPY)),
    Fault(
        "numpy<2 where 2 is installed and wanted",
        failed("older_version_wanted", _OLDER),
        asserting("numpy<2\n", _OLD_NUMPY),
    ),
)
BY_PIP = (
    Fault(
        "no such package, by pip",
        failed("requirement_not_found", _TYPING),
        needs("nodeferry-no-such-package\n", NO_SUCH),
    ),
    Fault("does not build, by pip", failed("build_failed", _COMPILER), needs("./broken\n", NO_SUCH, files=_BROKEN)),
    Fault(
        "another torch, by pip",
        works_all_the_same("torch_version_wanted", "Use an image with that build, or another version of the pack"),
        needs("torch==1.13.1\ntabulate\n", "torch", "tabulate"),
    ),
    Fault(
        "wants toml 0.10.2, which the next replaces",
        failed("import_failed", "report it to the pack's author"),
        _exactly("0.10.2"),
    ),
    Fault("wants toml 0.10.1, by pip", GOOD, _exactly("0.10.1")),
)
