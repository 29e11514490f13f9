"""Commands whose argument is an SSH command: pasted in quotes, or as it stands, its options among our own."""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Sequence

import click

from app.protocol.registry_ref import read_registry_ref


class SshCommand(click.Command):
    """A command with one argument, an SSH command. All that is none of our own options belongs to it: ours have two
    hyphens, ssh's have one."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As ever, with the SSH command's words as one."""
        ours, words = self._sorted_out(args, {"-q", *self.get_help_option_names(ctx)})
        ours, words = self.without_others(ours, words)
        return super().parse_args(ctx, [*ours, "--", joined(words)] if words else ours)

    def without_others(self, ours: list[str], words: list[str]) -> tuple[list[str], list[str]]:
        """The same without what stands behind the SSH command and means something to this command."""
        return ours, words

    def _sorted_out(self, args: Sequence[str], short: Collection[str]) -> tuple[list[str], list[str]]:
        """Our own words, and the SSH command's, each in their order. `short`: ours that have one hyphen."""
        options = [option for option in self.params if isinstance(option, click.Option)]
        valued = {word for option in options if not option.is_flag and not option.count for word in option.opts}
        ours: list[str] = []
        words: list[str] = []
        waiting = iter(args)
        for word in waiting:
            if word == "--":
                words += waiting
            elif word.startswith("--") or word in short:
                ours += [word, *([value] if word in valued and (value := next(waiting, None)) is not None else [])]
            else:
                words.append(word)
        return ours, words


class SshAndPacks(SshCommand):
    """The same, and behind the SSH command packs of ComfyUI's registry: each as if it were given with `--url`."""

    def without_others(self, ours: list[str], words: list[str]) -> tuple[list[str], list[str]]:
        """The packs are taken away from the end, as long as a machine is left before them."""
        packs: list[str] = []
        while len(words) > 1 and _is_pack(words):
            packs.insert(0, words[-1])
            words = words[:-1]
        return [*ours, *(part for pack in packs for part in ("--url", pack))], words


def _is_pack(words: Sequence[str]) -> bool:
    """Whether the last word is no part of the SSH command: no option's value, nor what may be the machine itself."""
    *before, word = words
    if read_registry_ref(word) is None or re.fullmatch(r"-[A-Za-z]", before[-1]):
        return False
    has_machine = " " in before[0].strip() or before[0] != "ssh" or any("@" in each for each in before)
    return has_machine or ("@" in word and len(before) > 1)


def joined(words: Sequence[str]) -> str:
    """The words as one SSH command. The first may be a whole one itself, in quotes, with options behind it."""
    first, *rest = words
    if not rest:
        return first
    if first.startswith("-"):
        return shlex.join(["ssh", *words])
    return " ".join([first if " " in first.strip() else shlex.quote(first), *map(shlex.quote, rest)])
