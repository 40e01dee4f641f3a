"""Command lines of programs that have options of their own: what is wrong is one line, as everywhere."""

import argparse
import difflib
import os
import re
import sys
from collections.abc import Callable, Sequence

from ..errors import VALUE, UserError, listed, plain, short
from ..reading import is_file

LONGEST_NAME = 40  # characters of an option for which the nearest one is looked for


class Arguments(argparse.ArgumentParser):
    """An argument parser whose errors are `UserError`s: no usage, no exit."""

    def parse_args(self, args: Sequence[str] | None = None, namespace=None) -> argparse.Namespace:
        options = list(self._option_string_actions)
        for one in sys.argv[1:] if args is None else args:
            name = one.partition("=")[0]
            if re.match("--[A-Za-z]", name) and not any(option.startswith(name) for option in options):
                raise UserError(self._unknown([name]))  # which argparse says only if nothing else is wrong
        known, rest = self.parse_known_args(args, namespace)
        if rest:
            raise UserError(self._unknown(rest))
        return known

    def parse_known_args(self, args: Sequence[str] | None = None, namespace=None) -> tuple:
        args = sys.argv[1:] if args is None else list(args)
        for one in args:
            try:
                os.fsencode(one)
            except UnicodeEncodeError:
                raise UserError(f"{short(one)} holds half of a character (a surrogate)") from None
            if "\0" in one:
                raise UserError(f"{short(one)} holds a NUL character")
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> None:
        """What argparse has to say, in one line."""
        missing = re.fullmatch(r"the following arguments are required: (.*)", message)
        if missing:
            message = f"{missing[1]} {'are' if ',' in missing[1] else 'is'} missing"
        message = message.removeprefix("argument ").replace(": expected one argument", " needs a value")
        message = re.sub(r"^(\S+): (is|must) ", r"\1 \2 ", message)
        message = re.sub(rf"'([^']{{{VALUE}}})[^']*'", r"'\1...'", message)
        raise UserError(f"{message}; see --help")

    def _unknown(self, rest: Sequence[str]) -> str:
        names = [one.partition("=")[0] for one in rest if one.startswith("-") and one != "-"]
        if not names:
            return f"unexpected argument {listed(map(short, rest))}; see --help"
        options = [option for option in self._option_string_actions if option.startswith("--")]
        nearest = difflib.get_close_matches(names[0], options, 1, 0.5) if len(names[0]) <= LONGEST_NAME else []
        hint = f"did you mean {nearest[0]}?" if nearest else "--help lists all options"
        return f"unknown option {plain(names[0])}; {hint}"


def whole_number(low: int, high: int) -> Callable[[str], int]:
    """The type of an option that takes whole numbers from `low` to `high`."""
    return _number(int, "a whole number", low, high)


def number(low: float, high: float) -> Callable[[str], float]:
    """The type of an option that takes numbers from `low` to `high`."""
    return _number(float, "a number", low, high)


def number_or_file(low: float, high: float) -> Callable[[str], float | str]:
    """The type of an option that takes numbers from `low` to `high`, or the name of a file that is there."""

    def read(text: str) -> float | str:
        return text if is_file(text) else _number(float, "a number, or a file", low, high)(text)

    return read


def _number(kind: type, what: str, low: float, high: float) -> Callable[[str], float]:
    def read(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"must be {what}, not {short(text)}") from None
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"is {plain(text)}; it must be at least {low:,} and at most {high:,}")
        return value

    return read
