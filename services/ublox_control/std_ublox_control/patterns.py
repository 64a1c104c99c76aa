"""Which messages a client wants: regular expressions, matched from the start of a name. Pure."""

import re
from collections.abc import Iterable

import grpc

from std_daq.grpc_server.refused_call import RefusedCallError

_MAX_LENGTH = 200
_MAX_REPETITIONS = 4
_REPETITION = re.compile(r"[*+{]")
_REPEATED_GROUP = re.compile(r"\)[*+{?]")


class Patterns:
    """What a client wants; without patterns it is everything.

    Some expressions take years to find that a name does not match. One that repeats much, or that repeats a group, is
    refused.

    Parameters
    ----------
    patterns
        Regular expressions.

    Raises
    ------
    RefusedCallError
        One is wrong.
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        self._patterns = [_compiled(pattern) for pattern in patterns]

    def matches(self, *names: str) -> bool:
        """Return whether one of the names of a thing is wanted."""
        return not self._patterns or any(pattern.match(name) for pattern in self._patterns for name in names)


def _compiled(pattern: str) -> re.Pattern[str]:
    if len(pattern) > _MAX_LENGTH:
        raise _refused(f"{pattern[:40]}…", f"has more than {_MAX_LENGTH} characters")
    if len(_REPETITION.findall(pattern)) > _MAX_REPETITIONS or _REPEATED_GROUP.search(pattern):
        raise _refused(pattern, f"has more than {_MAX_REPETITIONS} repetitions, or repeats a group")
    try:
        return re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise _refused(pattern, f"is no regular expression: {error}") from None


def _refused(pattern: str, problem: str) -> RefusedCallError:
    return RefusedCallError(grpc.StatusCode.INVALID_ARGUMENT, f"The pattern {pattern!r} {problem}.")
