"""The machines of test/plan: with uv, and with packages that the tests make."""

from __future__ import annotations

from test.plan.conftest import box, box_factory, index

__all__ = ["box", "box_factory", "index"]
