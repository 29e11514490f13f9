"""Machines with uv and an index of packages that the tests make."""

from test.plan.conftest import box, box_factory, index

__all__ = ["box", "box_factory", "index"]
