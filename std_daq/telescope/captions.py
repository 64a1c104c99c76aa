"""The words above a plot: what an image is, when it was taken, from which file. Pure."""

import re
import textwrap
from collections.abc import Iterable
from typing import Any

import numpy as np

_START = re.compile(r"\bstart_(?P<date>\d{4}-\d\d-\d\d)T(?P<time>\d\d[:_]\d\d[:_]\d\d)Z")
_QUABO_KEY = "quabo_num"


def image_caption(image: dict[str, Any], width: int) -> str:
    """Return type, board, module, time, number and file of a parsed image, in lines of at most so many characters."""
    words = [kind_in_words(image["type"])]
    if _QUABO_KEY in image["header"]:
        words.append(f"quabo {image['header'][_QUABO_KEY]}")
    lines = [" ".join(words), time_of(image), f"frame {image['frame_number']}", image["file"]]
    return "\n".join(part for line in lines if line for part in textwrap.wrap(line, width, break_on_hyphens=False))


def kind_in_words(kind: str) -> str:
    """Return a type of images in words."""
    return kind.replace("_", " ").lower()


def time_of(image: dict[str, Any]) -> str:
    """Return when an image was taken: by its header, else by the server; empty if nobody tells."""
    for time in (image["header"].get("pandas_unix_timestamp"), image.get("capture_time"), image.get("server_time")):
        if time is not None:
            return str(np.datetime64(time, "ms")).replace("T", " ") + " UTC"
    return ""


def overall_caption(file: str, module_ids: Iterable[int]) -> str:
    """Return the start of the run that a file name tells, and the modules."""
    found = _START.search(file)
    start = f"run of {found['date']} {found['time'].replace('_', ':')} UTC, " if found else ""
    return f"{start}modules {', '.join(map(str, module_ids)) or 'none yet'}"
