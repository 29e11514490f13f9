"""A value for each option that is not its default, derived from the definition: a new option has one by itself."""

from __future__ import annotations

from typing import Any

from app.protocol.options import OPTIONS, Option

FINGERPRINT = "SHA256:" + "A" * 43


def sample(option: Option) -> Any:
    """A valid value that is not the default."""
    if option.type is bool:
        return not option.default
    if option.choices:
        return next(choice for choice in option.choices if choice != option.default)
    return FINGERPRINT if option.type is str else option.type(option.maximum)


def flags(option: Option) -> list[str]:
    """The words on a command line that ask for `sample`."""
    return [option.flag] if option.type is bool else [option.flag, str(sample(option))]


SAMPLES = {name: sample(option) for name, option in OPTIONS.items()}
