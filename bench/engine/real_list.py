"""The default list of 34 packs as the bench plays it: names, order, sizes and requirements as in the real one.

Order: `test/support/custom_nodes.csv`. What the packs need was read off their newest versions in 2026. Left out: three
requirements that are repositories.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from bench.engine.catalog import BASE, LONG_BUILD, PLACEHOLDER, Release
from bench.engine.packs import PackSpec

_SCRIPT_SECONDS = 5.0
_SLOW_SCRIPT = f"""import threading

print("### Check basic models", flush=True)
threading.Event().wait({_SCRIPT_SECONDS})
"""
_PIP_SCRIPT = """import subprocess
import sys

with open("requirements.txt") as file:
    for line in file:
        print("Installing", line.strip(), flush=True)
        subprocess.run([sys.executable, "-m", "pip", "install", line.strip()], check=True)
"""
_KB = 1_000
_OPENCV = "opencv-python-headless"
_CONTROL = (
    *("torch", "importlib_metadata", "huggingface_hub", "scipy", "opencv-python", "filelock", "numpy", "Pillow"),
    *("einops", "torchvision", "pyyaml", "scikit-image", "python-dateutil", "mediapipe>=0.8.0", "fvcore", "yapf"),
    *("omegaconf", "ftfy", "addict", "yacs", "trimesh", "albumentations", "scikit-learn", "matplotlib"),
    "onnxruntime-gpu",
)
_SUITE = (
    *("cmake", "fairscale>=0.4.4", "gitpython", "imageio", "joblib", "matplotlib", "numba", "numpy"),
    *("opencv-python-headless", "pilgram", "rembg", "scikit-image>=0.20.0", "scikit-learn", "scipy", "timm>=0.4.12"),
    *("tqdm", "transformers"),
)
_LAYERS = (
    *("numpy", "pillow", "torch", "matplotlib", "Scipy", "scikit_image", "scikit_learn", "opencv-contrib-python"),
    *("pymatting", "timm", "colour-science", "transformers>=4.43.2", "blend_modes", "huggingface_hub>=0.23.4"),
    "loguru",
)
_DEVGIRL = (
    *("kornia", "librosa", "imageio", "opencv-python", "torchcodec", "google-generativeai", "av", "stable-ts"),
    *("demucs", "transformers", "accelerate", "huggingface_hub", "Cython", "scikit-build-core", "voxcpm"),
    LONG_BUILD,
)


def _wants(name: str, kilobytes: int, *lines: str, stage: int = 1, script: str | None = None) -> PackSpec:
    return PackSpec(name, kilobytes * _KB, lines or None, stage, install_py=script, slow_build=LONG_BUILD in lines)


REAL_LIST = (
    _wants("ComfyUI-Manager", 1_842, "GitPython", "PyGithub", "matrix-client==0.4.0", "transformers",
           "huggingface-hub>0.20", "typer", "rich", "typing-extensions", "toml", "uv", "chardet", stage=2),
    _wants("ComfyUI-Impact-Pack", 1_639, "segment-anything", "scikit-image", "piexif", "transformers", _OPENCV,
           "GitPython", "scipy>=1.11.4", "numpy<2", "dill", "matplotlib", stage=2, script=_SLOW_SCRIPT),
    _wants("ComfyUI-Impact-Subpack", 39, "matplotlib", "ultralytics", "numpy", _OPENCV, "dill"),
    _wants("ComfyUI-GGUF", 116, "gguf>=0.13.0", "sentencepiece", "protobuf"),
    _wants("ComfyUI-mxToolkit", 98),
    _wants("ComfyUI-Custom-Scripts", 173),
    _wants("ComfyUI-KJNodes", 1_123, "pillow>=10.3.0", "color-matcher", "matplotlib", "mss", _OPENCV),
    _wants("ComfyUI-WanVideoWrapper", 5_485, "ftfy", "accelerate>=1.2.1", "einops", "diffusers>=0.32.0",
           "sentencepiece>=0.2.0", "protobuf"),
    _wants("ComfyUI-VideoHelperSuite", 116, "opencv-python", "imageio-ffmpeg"),
    _wants("ComfyUI-Frame-Interpolation", 13_130, "torch", "numpy", "einops", "opencv-contrib-python", "kornia",
           "scipy", "Pillow", "torchvision", "tqdm", script=_PIP_SCRIPT),
    _wants("rgthree-comfy", 3_858),
    _wants("ComfyUI-Easy-Use", 6_171, "diffusers", "accelerate", "clip_interrogator>=0.6.0", "lark", "onnxruntime",
           _OPENCV, "sentencepiece", "spandrel", "matplotlib", "peft"),
    _wants("ComfyUI-HunyuanVideoMultiLora", 19),
    _wants("was-node-suite-comfyui", 16_172, *_SUITE),
    _wants("ComfyUI-Florence2", 50, "transformers>=4.39.0,!=4.50.*", "matplotlib", "timm", "pillow>=10.2.0", "peft",
           "accelerate>=0.26.0"),
    _wants("ComfyUI-MultiGPU", 17_560),
    _wants("ComfyUI-WanStartEndFramesNative", 217),
    _wants("ComfyUI-Image-Saver", 502, "piexif"),
    _wants("ComfyUI_UltimateSDUpscale", 449),
    _wants("comfyui_controlnet_aux", 32_741, *_CONTROL),
    _wants("x-flux-comfyui", 2_074, "GitPython", "einops==0.8.0", "transformers", "diffusers", "sentencepiece",
           "opencv-python", stage=2),
    _wants("ComfyUI-Detail-Daemon", 201, "matplotlib"),
    _wants("ComfyUI-TeaCache", 9_092, "einops >= 0.7.0", "diffusers >= 0.31.0"),
    _wants("ComfyUI-Crystools", 5_415, "deepdiff", "torch", "numpy", "Pillow", "pynvml", "py-cpuinfo", "piexif"),
    _wants("ComfyUI-nunchaku", 832, "diffusers>=0.33.1", "accelerate", "sentencepiece", "protobuf", "huggingface_hub",
           "tomli", "insightface", "opencv-python", "facexlib", "onnxruntime", "timm"),
    _wants("ComfyUI-NAG", 940),
    _wants("wlsh_nodes", 2_859, "piexif"),
    _wants("ComfyUI_essentials", 254, "numba", "colour-science", "rembg", "pixeloe", "transparent-background"),
    _wants("ComfyUI-wanBlockswap", 222),
    _wants("Derfuu_ComfyUI_ModdedNodes", 61),
    _wants("ComfyUI_LayerStyle", 64_464, *_LAYERS),
    _wants("ComfyUI-MagCache", 6_597, "einops >= 0.7.0", "diffusers >= 0.31.0"),
    PackSpec(
        "ComfyUI-Upscaler-Tensorrt", 354 * _KB, (PLACEHOLDER, "polygraphy", "requests"), 3, impossible=(PLACEHOLDER,)
    ),
    _wants("comfyui-vrgamedevgirl", 84_375, *_DEVGIRL, stage=3),
)  # fmt: skip


def _few() -> tuple[PackSpec, ...]:
    """A pack of each kind, with little to fetch."""
    by_name = {spec.name: spec for spec in REAL_LIST}
    flux = replace(by_name["x-flux-comfyui"], requirements=("einops==0.8.0", "GitPython"))
    script = (by_name["ComfyUI-Impact-Pack"].install_py or "").replace(str(_SCRIPT_SECONDS), "0.2")
    impact = replace(by_name["ComfyUI-Impact-Pack"], requirements=("piexif", "toml"), stage=1, install_py=script)
    names = ("ComfyUI-mxToolkit", "ComfyUI-Image-Saver", "ComfyUI-Upscaler-Tensorrt")
    return (impact, flux, *(by_name[name] for name in names))


FEW = _few()


def needed(specs: Sequence[PackSpec], releases: Sequence[Release]) -> list[Release]:
    """Of the index's releases those that these packs can lead to, and what builds need."""
    known: dict[str, list[Release]] = {}
    for release in releases:
        known.setdefault(release.name, []).append(release)
    todo = ["setuptools", *(_name(line) for spec in specs for line in spec.requirements or ())]
    found: dict[str, list[Release]] = {}
    while todo:
        name = todo.pop()
        if name not in found:
            found[name] = known[name]
            todo += [_name(line) for release in known[name] for line in release.requires]
    return [release for own in found.values() for release in own]


def base_of(releases: Sequence[Release]) -> list[str]:
    """What of ComfyUI's own packages the index has, pinned."""
    names = {release.name for release in releases}
    return [line for line in BASE if _name(line) in names]


def _name(line: str) -> str:
    return canonicalize_name(Requirement(line).name)
