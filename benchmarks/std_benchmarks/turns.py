"""Taking turns: what is compared is measured side by side, because a shared machine changes from minute to minute."""

from collections.abc import Callable, Sequence


def take_turns(ways: Sequence[Callable[[], float]], repeats: int) -> list[list[float]]:
    """Measure each way once a turn, in alternating order, after one turn that does not count.

    Parameters
    ----------
    ways
        Each does its work once and returns what is measured.
    repeats
        Turns that count.

    Returns
    -------
    What each way returned, one list for each way in the order of the turns.
    """
    values: list[list[float]] = [[] for _ in ways]
    for turn in range(repeats + 1):
        order = range(len(ways)) if turn % 2 else range(len(ways) - 1, -1, -1)
        for index in order:
            value = ways[index]()
            if turn:
                values[index].append(value)
    return values
