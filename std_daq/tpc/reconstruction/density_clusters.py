"""HDBSCAN: clusters of points by density.

scikit-learn makes the tree in which points join by distance. What follows is done here, because scikit-learn up to
1.9.1 fails with numpy 2.4 when there is a distance below which clusters are not told apart (its issue 33219).

Sources: Campello, Moulavi, Sander: Density-based clustering based on hierarchical density estimates (2013), for the
condensed tree and the excess of mass; Malzer, Baum: A hybrid approach to hierarchical density-based cluster selection
(2020), for the rule of the distance.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

_ROOT = 0


@dataclass(slots=True)
class _Branch:
    """A cluster of the condensed tree: born when its parent splits, at a density of 1 / distance."""

    parent: int
    birth: float
    n_points: int
    children: list[int] = field(default_factory=list)
    mass: float = 0.0


def density_clusters(
    features: NDArray[np.float64], *, min_size: int, min_samples: int, epsilon: float
) -> NDArray[np.int32]:
    """Return the label of each point, int32; -1: noise.

    Parameters
    ----------
    features
        float64 (n, k)
    min_size
        Points that a cluster needs.
    min_samples
        Neighbours that say how dense it is at a point, the point itself among them.
    epsilon
        Clusters that are born at a smaller distance are parts of their parent.
    """
    from sklearn.cluster import HDBSCAN

    n_points = len(features)
    if n_points < max(2, min_samples, min_size):
        return np.full(n_points, -1, np.int32)
    model = HDBSCAN(min_cluster_size=min_size, min_samples=min_samples, copy=True).fit(features)
    tree = model._single_linkage_tree_  # scikit-learn gives the tree under no other name
    branches, branch_of_point = _condense(
        tree["left_node"].tolist(), tree["right_node"].tolist(), tree["value"].tolist(), n_points, min_size
    )
    chosen = _above_distance(branches, _of_most_mass(branches), epsilon)
    label_of_branch = _labels_of_branches(branches, chosen)
    return label_of_branch[branch_of_point]


def _condense(
    left: Sequence[int], right: Sequence[int], distances: Sequence[float], n_points: int, min_size: int
) -> tuple[list[_Branch], NDArray[np.int64]]:
    """Return the branches of the condensed tree, and the branch from which each point falls; branch 0 is the root."""
    sizes = [1] * n_points
    for a, b in zip(left, right, strict=True):
        sizes.append(sizes[a] + sizes[b])
    branches = [_Branch(parent=-1, birth=0.0, n_points=n_points)]
    branch_of_point = np.empty(n_points, np.int64)
    level = [(2 * n_points - 2, _ROOT)]
    while level:  # in the order of the levels, which is that in which masses are summed
        below = []
        for node, branch in level:
            a, b = left[node - n_points], right[node - n_points]
            distance = distances[node - n_points]
            density = 1.0 / distance if distance > 0 else math.inf
            big = [child for child in (a, b) if sizes[child] >= min_size]
            for child in (a, b):
                n_child = sizes[child]
                if len(big) == 2:
                    branches[branch].children.append(len(branches))
                    branches[branch].mass += (density - branches[branch].birth) * n_child
                    branches.append(_Branch(parent=branch, birth=density, n_points=n_child))
                    below.append((child, len(branches) - 1))
                elif child in big:
                    below.append((child, branch))
                else:
                    mass = density - branches[branch].birth
                    for point in _points_under(child, left, right, n_points):
                        branch_of_point[point] = branch
                        branches[branch].mass += mass
        level = below
    return branches, branch_of_point


def _points_under(node: int, left: Sequence[int], right: Sequence[int], n_points: int) -> list[int]:
    points, nodes = [], [node]
    while nodes:
        one = nodes.pop()
        if one < n_points:
            points.append(one)
        else:
            nodes += [right[one - n_points], left[one - n_points]]
    return points


def _of_most_mass(branches: Sequence[_Branch]) -> list[int]:
    """Return the branches, none below another, that together have the largest excess of mass; never the root."""
    masses = [branch.mass for branch in branches]
    is_chosen = [True] * len(branches)
    is_chosen[_ROOT] = False
    for index in range(len(branches) - 1, _ROOT, -1):
        children = branches[index].children
        below = sum(masses[child] for child in children)
        if below > masses[index]:
            is_chosen[index] = False
            masses[index] = below
        else:
            _drop_below(branches, index, is_chosen)
    return [index for index in range(len(branches)) if is_chosen[index]]


def _drop_below(branches: Sequence[_Branch], index: int, is_chosen: list[bool]) -> None:
    below = list(branches[index].children)
    while below:
        one = below.pop()
        is_chosen[one] = False
        below += branches[one].children


def _above_distance(branches: Sequence[_Branch], chosen: Sequence[int], epsilon: float) -> list[int]:
    """Return the chosen branches, each replaced by the nearest one above it that is born above a distance."""
    if epsilon == 0:
        return list(chosen)
    taken: set[int] = set()
    for index in chosen:
        branch = index
        while 1.0 / branches[branch].birth < epsilon and branches[branch].parent != _ROOT:
            branch = branches[branch].parent
        taken.add(branch)
    return sorted(index for index in taken if not _is_below(branches, index, taken))


def _is_below(branches: Sequence[_Branch], index: int, taken: set[int]) -> bool:
    parent = branches[index].parent
    while parent > _ROOT:
        if parent in taken:
            return True
        parent = branches[parent].parent
    return False


def _labels_of_branches(branches: Sequence[_Branch], chosen: Sequence[int]) -> NDArray[np.int32]:
    """Return the label of each branch: that of the chosen one that it is or is below; parents come before children."""
    labels = np.full(len(branches), -1, np.int32)
    labels[list(chosen)] = np.arange(len(chosen))
    for index, branch in enumerate(branches):
        if index != _ROOT and labels[index] < 0:
            labels[index] = labels[branch.parent]
    return labels
