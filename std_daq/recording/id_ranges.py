"""Lists of image ids as short text, such as ``"12-40,57"``: the ids 12 to 40, both included, and 57."""

import re
from collections.abc import Iterable, Iterator

_RANGE = re.compile(r"([0-9]{1,20})(?:-([0-9]{1,20}))?")


def consecutive_ranges(ids: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Yield the first and last id of each range in which ids rise by one; both belong to the range."""
    first = last = None
    for image_id in ids:
        if first is None or last is None:
            first = last = image_id
        elif image_id == last + 1:
            last = image_id
        else:
            yield first, last
            first = last = image_id
    if first is not None and last is not None:
        yield first, last


def format_id_ranges(ids: Iterable[int], max_chars: int) -> tuple[str, int]:
    """Format ids as ranges, as many as fit into `max_chars` characters.

    Returns
    -------
    tuple
        The text, at most `max_chars` long, and the number of ids that were left out. Ids are left out from the end.
    """
    parts: list[str] = []
    n_chars = 0
    n_left_out = 0
    for first, last in consecutive_ranges(ids):
        part = f"{first}-{last}" if last > first else f"{first}"
        n_chars += len(part) + 1
        if n_left_out or n_chars > max_chars + 1:
            n_left_out += last - first + 1
        else:
            parts.append(part)
    return ",".join(parts), n_left_out


def parse_ranges(text: str) -> Iterator[tuple[int, int]]:
    """Yield the first and last id of each range of a text that `format_id_ranges` returns; both belong to the range.

    Raises
    ------
    ValueError
        The text is not a list of ranges.
    """
    for part in text.split(",") if text else ():
        match = _RANGE.fullmatch(part)
        if match is None:
            raise ValueError(f"{part[:50]!r} is not a range of ids")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first:
            raise ValueError(f"{part!r} is not a range of ids: its end is before its beginning")
        yield first, last


def parse_id_ranges(text: str, max_ids: int) -> tuple[tuple[int, ...], int]:
    """Parse the text that `format_id_ranges` returns.

    Parameters
    ----------
    text
        Ranges separated by commas; empty for no ids.
    max_ids
        Largest number of ids to return. The limit is needed because a few characters can name 2**64 ids.

    Returns
    -------
    tuple
        The ids, and the number of ids beyond the limit.

    Raises
    ------
    ValueError
        The text is not a list of ranges.
    """
    ids: list[int] = []
    n_left_out = 0
    for first, last in parse_ranges(text):
        n_ids = last - first + 1
        n_expanded = min(n_ids, max_ids - len(ids))
        ids.extend(range(first, first + n_expanded))
        n_left_out += n_ids - n_expanded
    return tuple(ids), n_left_out
