"""A value for each option that is not its default, made from the definition or, a text, named here."""

from __future__ import annotations

from typing import Any

from app.protocol.options import OPTIONS, Option

FINGERPRINT = "SHA256:" + "A" * 43
TEXTS = {
    "wheelhouse": "/srv/wheels",
    "allow_yanked": "foo==1.2",
    "policies": "scripts=refuse",
    "host_key_sha256": FINGERPRINT,
}


def sample(option: Option) -> Any:
    """A valid value that is not the default."""
    if option.type is bool:
        return not option.default
    if option.choices:
        return next(choice for choice in option.choices if choice != option.default)
    if option.is_list:
        return (TEXTS[option.name],)
    return TEXTS[option.name] if option.type is str else option.type(option.maximum)


def flags(option: Option) -> list[str]:
    """The words on a command line that ask for `sample`."""
    given = sample(option)[0] if option.is_list else sample(option)
    return [option.flag] if option.type is bool else [option.flag, str(given)]


SAMPLES = {name: sample(option) for name, option in OPTIONS.items()}
