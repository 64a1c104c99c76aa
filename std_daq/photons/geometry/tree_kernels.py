"""Trees of boxes over primitives, built by the surface area heuristic in bins; compiled."""

import numpy as np
from numba import types
from numpy.typing import NDArray

from std_daq.native.jit import kernel, njit
from std_daq.photons.geometry.records import LEAF_BITS, MAX_LEAF, N_CHILDREN, NODE_BOXES

_N_BINS = 16
_VISIT = 2.5  # cost of a node, in tests of a primitive, for a child of a node that tests all its children at once

_BOXES = types.Array(types.float64, 2, "C")
_LINKS = types.Array(types.int32, 2, "C")


@njit
def _half_area(box: NDArray[np.float64]) -> float:
    x, y, z = box[3] - box[0], box[4] - box[1], box[5] - box[2]
    return x * y + y * z + z * x


@njit
def _enclose(box: NDArray[np.float64], other: NDArray[np.float64]) -> None:
    for axis in range(3):
        box[axis] = min(box[axis], other[axis])
        box[axis + 3] = max(box[axis + 3], other[axis + 3])


@njit
def _clear(box: NDArray[np.float64]) -> None:
    box[:3] = np.inf
    box[3:] = -np.inf


@njit
def _best_split(
    boxes: NDArray[np.float64],
    order: NDArray[np.int32],
    first: int,
    count: int,
    bins: NDArray[np.float64],
    bin_counts: NDArray[np.int64],
    swept: NDArray[np.float64],
) -> tuple[float, int, int, float, float]:
    """Return the cost of the best split, its axis, its first bin on the right, and where the bins begin and end."""
    best, best_axis, best_bin, best_low, best_high = np.inf, -1, 0, 0.0, 0.0
    for axis in range(3):
        low, high = np.inf, -np.inf
        for i in range(first, first + count):
            centre = boxes[order[i], axis] + boxes[order[i], axis + 3]
            low, high = min(low, centre), max(high, centre)
        if not high > low:
            continue
        for b in range(_N_BINS):
            _clear(bins[b])
            bin_counts[b] = 0
        scale = _N_BINS / (high - low)
        for i in range(first, first + count):
            centre = boxes[order[i], axis] + boxes[order[i], axis + 3]
            b = min(_N_BINS - 1, int((centre - low) * scale))
            bin_counts[b] += 1
            _enclose(bins[b], boxes[order[i]])
        box, n = swept[_N_BINS], 0
        _clear(box)
        for b in range(_N_BINS - 1, 0, -1):
            _enclose(box, bins[b])
            n += bin_counts[b]
            swept[b, 0] = n * _half_area(box) if n else 0.0
        _clear(box)
        n = 0
        for b in range(1, _N_BINS):
            _enclose(box, bins[b - 1])
            n += bin_counts[b - 1]
            if n == 0 or n == count:
                continue
            cost = n * _half_area(box) + swept[b, 0]
            if cost < best:
                best, best_axis, best_bin, best_low, best_high = cost, axis, b, low, high
    return best, best_axis, best_bin, best_low, best_high


@kernel(types.int64(_BOXES, types.Array(types.boolean, 1, "C"), types.Array(types.int32, 1, "C"), _BOXES, _LINKS))
def build_binary(
    boxes: NDArray[np.float64],
    is_alone: NDArray[np.bool_],
    order: NDArray[np.int32],
    node_boxes: NDArray[np.float64],
    links: NDArray[np.int32],
) -> int:
    """Build a binary tree; returns the number of its nodes.

    Parameters
    ----------
    boxes
        Of each primitive: lower x, y, z, upper x, y, z.
    is_alone
        Whether a primitive must have a leaf of its own.
    order
        0, 1, 2, ...; afterwards the primitives in the order of the leaves.
    node_boxes, links
        Written, for at most 2 n - 1 nodes: the boxes, and both children, or for a leaf -(its first primitive + 1) and
        how many it has.
    """
    bins, swept = np.empty((_N_BINS, 6)), np.empty((_N_BINS + 1, 6))
    bin_counts = np.zeros(_N_BINS, np.int64)
    ranges = np.empty((len(order) + 1, 3), np.int64)  # node, first, count
    n_nodes, n_ranges = 1, 1
    ranges[0] = (0, 0, len(order))
    while n_ranges > 0:
        n_ranges -= 1
        node, first, count = ranges[n_ranges]
        box = node_boxes[node]
        _clear(box)
        may_be_leaf = count <= MAX_LEAF
        for i in range(first, first + count):
            _enclose(box, boxes[order[i]])
            may_be_leaf = may_be_leaf and (count == 1 or not is_alone[order[i]])
        cost, axis, split, low, high = np.inf, -1, 0, 0.0, 0.0
        if count > 1:
            cost, axis, split, low, high = _best_split(boxes, order, first, count, bins, bin_counts, swept)
        area = _half_area(box)
        if may_be_leaf and (axis < 0 or not cost + _VISIT * area < count * area):
            links[node, 0], links[node, 1] = -(first + 1), count
            continue
        middle = first + count // 2
        if axis >= 0:
            middle, scale = first, _N_BINS / (high - low)
            for i in range(first, first + count):
                centre = boxes[order[i], axis] + boxes[order[i], axis + 3]
                if min(_N_BINS - 1, int((centre - low) * scale)) < split:
                    order[i], order[middle] = order[middle], order[i]
                    middle += 1
        links[node, 0], links[node, 1] = n_nodes, n_nodes + 1
        ranges[n_ranges] = (n_nodes, first, middle - first)
        ranges[n_ranges + 1] = (n_nodes + 1, middle, first + count - middle)
        n_ranges += 2
        n_nodes += 2
    return n_nodes


@kernel(
    types.UniTuple(types.int64, 2)(
        _BOXES, _LINKS, types.float64, types.Array(types.float32, 1, "C"), types.Array(types.int32, 1, "C")
    )
)
def widen(
    node_boxes: NDArray[np.float64],
    links: NDArray[np.int32],
    margin: float,
    wide_boxes: NDArray[np.float32],
    children: NDArray[np.int32],
) -> tuple[int, int]:
    """Join the nodes of a binary tree to nodes of `N_CHILDREN` children; returns their number, and the levels.

    The child with the largest box is opened until a node is full.

    Parameters
    ----------
    margin
        By how much boxes grow, in mm.
    wide_boxes, children
        Written: the nodes, as `std_daq.photons.geometry.records` says.
    """
    waiting = np.empty((len(links), 3), np.int64)  # binary node, wide node, level
    members = np.empty(N_CHILDREN, np.int64)
    waiting[0] = (0, 0, 1)
    n_waiting, n_wide, n_levels = 1, 1, 1
    while n_waiting > 0:
        n_waiting -= 1
        binary, wide, level = waiting[n_waiting]
        n_levels = max(n_levels, level)
        members[0] = binary
        n = 1
        while n < N_CHILDREN:
            widest, area = -1, -1.0
            for k in range(n):
                if links[members[k], 0] >= 0 and _half_area(node_boxes[members[k]]) > area:
                    widest, area = k, _half_area(node_boxes[members[k]])
            if widest < 0:
                break
            opened = members[widest]
            members[widest], members[n] = links[opened, 0], links[opened, 1]
            n += 1
        for k in range(N_CHILDREN):
            slot = wide * NODE_BOXES + k
            if k >= n:
                for axis in range(3):
                    wide_boxes[slot + axis * N_CHILDREN] = np.inf
                    wide_boxes[slot + (axis + 3) * N_CHILDREN] = -np.inf
                children[wide * N_CHILDREN + k] = -1
                continue
            member = members[k]
            for axis in range(3):
                wide_boxes[slot + axis * N_CHILDREN] = node_boxes[member, axis] - margin
                wide_boxes[slot + (axis + 3) * N_CHILDREN] = node_boxes[member, axis + 3] + margin
            if links[member, 0] >= 0:
                children[wide * N_CHILDREN + k] = n_wide
                waiting[n_waiting] = (member, n_wide, level + 1)
                n_waiting += 1
                n_wide += 1
            else:
                first = -(links[member, 0] + 1)
                children[wide * N_CHILDREN + k] = -((first << LEAF_BITS | links[member, 1]) + 1)
    return n_wide, n_levels
