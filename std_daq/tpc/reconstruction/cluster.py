"""Cluster: points of a cloud that belong together."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Cluster:
    """Points of a cloud that belong together.

    Attributes
    ----------
    label
        The number that the points have among the labels of the cloud.
    points
        Rows of the cloud, ascending, so in the order of z.
    """

    label: int
    points: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.points)


def joined(clusters: list[Cluster], kept: Cluster) -> Cluster:
    """Return one cluster with the points of several, and the label of the one that is kept."""
    return Cluster(kept.label, np.sort(np.concatenate([cluster.points for cluster in clusters])))
