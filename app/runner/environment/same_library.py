"""Packages that bring the same library under several names, and overwrite each other: OpenCV's four share one `cv2`,
onnxruntime's share one `onnxruntime`."""

from __future__ import annotations

from typing import Collection, List, Optional, Sequence

OPENCV = (
    "opencv-contrib-python-headless",
    "opencv-contrib-python",
    "opencv-python-headless",
    "opencv-python",
)
ONNXRUNTIME = ("onnxruntime-gpu", "onnxruntime")
FAMILIES = (OPENCV, ONNXRUNTIME)


def family_of(name: str) -> Sequence[str]:
    """All names of the library that a package (canonical name) brings, its own among them; empty where it has one
    name only."""
    return next((family for family in FAMILIES if name in family), ())


def provider(name: str, installed: Collection[str]) -> Optional[str]:
    """The installed package that does for `name`: itself, else another one of the same library."""
    return name if name in installed else next((other for other in family_of(name) if other in installed), None)


def members(family: Sequence[str], installed: Collection[str]) -> List[str]:
    """Those of a family that are installed."""
    return [name for name in family if name in installed]
