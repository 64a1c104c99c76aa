"""Which node of a cluster is tried next, and how long to wait before the attempt."""

import random
from collections import deque
from collections.abc import Sequence

FIRST_PAUSE_S = 0.1
MAX_PAUSE_S = 2.0


class NodeRotation:
    """The nodes of a cluster, which are tried in turn in a random order; a single broker is a cluster of one node.

    Parameters
    ----------
    urls
        URLs of the nodes.
    chance
        Random numbers for the order, which is chosen once, and for the pauses.
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
        """Whether every node has refused the connection in the last round, so that waiting does not help."""
        return self._n_refusals >= len(self._urls)

    def succeed(self) -> None:
        """Note that the current node is connected."""
        self._n_failures = self._n_refusals = 0

    def fail(self, *, is_refused: bool) -> None:
        """Note that the attempt at the current node failed, or its connection broke; move on to the next node."""
        self._n_failures += 1
        self._n_refusals = self._n_refusals + 1 if is_refused else 0
        self._urls.rotate(-1)

    def pause_s(self) -> float:
        """Return the pause before the next attempt, in seconds.

        The pause doubles with each round through all nodes, up to `MAX_PAUSE_S` (exponential back-off). A random
        factor shortens it by up to a half, so that the clients of a broker that is up again do not all connect at the
        same moment.
        """
        n_rounds = min(self._n_failures // len(self._urls), 10)
        return min(FIRST_PAUSE_S * float(2**n_rounds), MAX_PAUSE_S) * self._chance.uniform(0.5, 1.0)
