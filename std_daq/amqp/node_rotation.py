"""Which node of a cluster is tried next, and after what pause."""

import random
from collections import deque
from collections.abc import Sequence

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 2.0


class NodeRotation:
    """The nodes, in an order by chance that stays; a single node is a cluster of one.

    Parameters
    ----------
    urls
        Of the nodes.
    chance
        Gives the order and shortens the pauses.
    """

    def __init__(self, urls: Sequence[str], chance: random.Random | None = None) -> None:
        self._chance = chance or random.Random()  # noqa: S311 -- not a secret
        self._urls = deque(self._chance.sample(urls, len(urls)))
        self._n_failures = 0
        self._n_refusals = 0

    @property
    def current(self) -> str:
        """URL of the node whose turn it is."""
        return self._urls[0]

    @property
    def is_refused_by_all(self) -> bool:
        """Whether each node has refused in the last round, so that waiting is of no use."""
        return self._n_refusals >= len(self._urls)

    def succeed(self) -> None:
        """Note that the current node serves."""
        self._n_failures = self._n_refusals = 0

    def fail(self, *, is_refused: bool) -> None:
        """Note that the current node does not serve, or no longer; the next one has its turn."""
        self._n_failures += 1
        self._n_refusals = self._n_refusals + 1 if is_refused else 0
        self._urls.rotate(-1)

    def pause_s(self) -> float:
        """Return how long to wait before the next attempt.

        Each round through all nodes doubles the pause, up to `LONGEST_PAUSE_S`; chance shortens it by up to a half, so
        that the many clients of a broker that comes back do not come at once.
        """
        n_rounds = min(self._n_failures // len(self._urls), 10)
        return min(FIRST_PAUSE_S * float(2**n_rounds), LONGEST_PAUSE_S) * self._chance.uniform(0.5, 1.0)
