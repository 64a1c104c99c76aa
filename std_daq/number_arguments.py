"""Numbers on command lines: each function converts a text, or says in words what is wrong with it."""

import argparse
import math


def integer(text: str) -> int:
    """Convert a text to an integer."""
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number, such as 100") from None


def number(text: str) -> float:
    """Convert a text to a number."""
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number, such as 0.5") from None


def finite_number(text: str) -> float:
    """Convert a text to a number that is neither infinite nor none."""
    value = number(text)
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"'{text}' is not a finite number, such as 0.5")
    return value
