"""Types of arguments, which say what is wrong with a value."""

import argparse
import math


def positive_integer(text: str) -> int:
    """Read a whole number from 1 on."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is not at least 1")
    return value


def positive_number(text: str) -> float:
    """Read a finite number above 0."""
    value = float(text)
    if not (value > 0 and math.isfinite(value)):
        raise argparse.ArgumentTypeError(f"{text} is not a number above 0")
    return value


def probability(text: str) -> float:
    """Read a number from 0 to 1."""
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is no probability between 0 and 1")
    return value


def broker_url(text: str) -> str:
    """Read the URL of a broker, which may hold no password: command lines are seen by everybody on the machine."""
    from std_daq.amqp.address import url_argument

    return url_argument(text)
