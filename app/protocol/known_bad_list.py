"""The published cases of malicious packs and packages that this project knows of: data, an entry a case.

A new entry needs a public source. Names stand here only where no other pack or package has them.
"""

from __future__ import annotations

from typing import Sequence

from app.protocol.known_bad import KnownBad

PUBLISHED: Sequence[KnownBad] = (
    KnownBad(
        name="ComfyUI_LLMVISION",
        what="its wheels of openai and anthropic sent passwords and browser data of its users to the author",
        date="2024-06",
        source="https://github.com/AppleBotzz/ComfyUI_LLMVISION/issues/6",
        addresses=("github.com/AppleBotzz",),
        packs=("ComfyUI_LLMVISION",),
    ),
    KnownBad(
        name="comfyui-terminal",
        what="it brought scripts that run a cryptocurrency miner",
        date="2024-05",
        source="https://github.com/Comfy-Org/ComfyUI/issues/3473",
        addresses=("github.com/NullBulgeGroup",),
    ),
    KnownBad(
        name="Upscaler_4K",
        what="it installed Akira Stealer, which takes passwords and wallets",
        date="2026-01",
        source="https://github.com/Comfy-Org/ComfyUI/issues/11791",
        addresses=("github.com/EliseiBorisov/ComfyUI-Upscaler-4K",),
        packs=("lonemilk-upscalernew-4k",),
    ),
    KnownBad(
        name="ultralytics",
        what="its releases were tampered with, and ran a cryptocurrency miner (XMRig)",
        date="2024-12",
        source="https://github.com/ultralytics/ultralytics/pull/18018",
        packages={"ultralytics": ("8.3.41", "8.3.42", "8.3.45", "8.3.46")},
    ),
    KnownBad(
        name="torchtriton",
        what="a stranger registered the name of a dependency of PyTorch's nightly builds, to take keys and files",
        date="2022-12",
        source="https://pytorch.org/blog/compromised-nightly-dependency/",
        packages={"torchtriton": ("3.0.0",)},
    ),
    KnownBad(
        name="litellm",
        what="its releases were tampered with, and took credentials at each start of Python",
        date="2026-03",
        source="https://github.com/BerriAI/litellm/issues/24518",
        packages={"litellm": ("1.82.7", "1.82.8")},
        hashes=("71e35aef03099cd1f2d6446734273025a163597de93912df321ef118bf135238",),
    ),
    KnownBad(
        name="lightning",
        what="its releases were tampered with, and took cloud credentials when they were imported",
        date="2026-04",
        source="https://github.com/Lightning-AI/pytorch-lightning/issues/21691",
        packages={"lightning": ("2.6.2", "2.6.3")},
    ),
)
