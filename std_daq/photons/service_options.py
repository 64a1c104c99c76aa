"""Options that router and worker share."""

import argparse
import math

from std_daq.photons.config import DEFAULT_SYSTEM


def add_ping_reply_option(parser: argparse.ArgumentParser) -> None:
    """Declare ``--ping-reply``."""
    parser.add_argument(
        "--ping-reply", type=_word, default="ACK", metavar="TEXT",
        help="the answer to PING; PONG for clients written after the README of ChAR0N; default %(default)s",
    )  # fmt: skip


def add_system_options(parser: argparse.ArgumentParser) -> None:
    """Declare under which names other commands find the process."""
    parser.add_argument(
        "--system", default=DEFAULT_SYSTEM, metavar="NAME",
        help="without --config: name of the system that this process belongs to; default %(default)s",
    )  # fmt: skip
    parser.add_argument("--instance", metavar="NAME", help="name of this process, unique in its system")


def positive_int(text: str) -> int:
    """Return a number from 1."""
    if not (text.isascii() and text.isdigit() and int(text)):
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number from 1")
    return int(text)


def number_from_zero(text: str) -> int:
    """Return a number from 0."""
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number from 0")
    return int(text)


def positive_seconds(text: str) -> float:
    """Return a time in seconds."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise argparse.ArgumentTypeError(f"'{text}' is not a time in seconds")
    return seconds


def _word(text: str) -> str:
    if not (text and text.isascii() and text.isprintable()):
        raise argparse.ArgumentTypeError(f"'{text}' is not a word in ASCII")
    return text
