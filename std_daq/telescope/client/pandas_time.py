"""A point in time as programs of telescopes know it: a pandas.Timestamp, where pandas is installed."""

from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np


def wall_time(time_ns: int) -> Any:
    """Return a time in nanoseconds since 1970 as pandas.Timestamp or, where there is no pandas, as numpy.datetime64."""
    timestamp = _timestamp_class()
    return np.datetime64(time_ns, "ns") if timestamp is None else timestamp(time_ns, unit="ns")


@cache
def _timestamp_class() -> Any:
    if find_spec("pandas") is None:
        return None
    from importlib import import_module  # no extra brings pandas: it is the user's own

    return import_module("pandas").Timestamp
