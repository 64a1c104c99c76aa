"""Trees of boxes: one for the detector, and one for each part that stands at many places."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from std_daq.photons.geometry.records import LEAF_BITS, N_CHILDREN, NODE_BOXES
from std_daq.photons.geometry.tree_kernels import build_binary, widen

MARGIN = 2.0**-21
"""By how much boxes grow, as a share of the largest coordinate: more than the rounding of a place to float32."""


@dataclass(frozen=True, slots=True)
class Tree:
    """A tree over primitives.

    Parameters
    ----------
    boxes, children
        The nodes, as `std_daq.photons.geometry.records` says, shapes (nodes * 48,) and (nodes * 8,).
    order
        The primitives in the order of the leaves.
    bounds
        The box of everything.
    n_levels
        Levels of nodes.
    """

    boxes: NDArray[np.float32]
    children: NDArray[np.int32]
    order: NDArray[np.int32]
    bounds: NDArray[np.float64]
    n_levels: int

    @classmethod
    def over(cls, lower: NDArray[np.float64], upper: NDArray[np.float64], is_alone: NDArray[np.bool_]) -> Self:
        """Build a tree over boxes; those that are alone get a leaf of their own."""
        n = len(lower)
        if n == 0:
            nowhere = np.array([np.inf] * 3 + [-np.inf] * 3)
            boxes = np.repeat(nowhere, N_CHILDREN).astype(np.float32)
            return cls(boxes, np.full(N_CHILDREN, -1, np.int32), np.zeros(0, np.int32), nowhere, 1)
        order = np.arange(n, dtype=np.int32)
        binary, links = np.empty((2 * n - 1, 6)), np.empty((2 * n - 1, 2), np.int32)
        n_nodes = build_binary(np.hstack([lower, upper]), is_alone, order, binary, links)
        margin = MARGIN * float(np.abs(binary[0]).max())
        boxes = np.empty(n_nodes * NODE_BOXES, np.float32)
        children = np.empty(n_nodes * N_CHILDREN, np.int32)
        n_wide, n_levels = widen(binary[:n_nodes], links[:n_nodes], margin, boxes, children)
        bounds = binary[0] + np.repeat([-margin, margin], 3)
        return cls(
            boxes[: n_wide * NODE_BOXES].copy(), children[: n_wide * N_CHILDREN].copy(), order, bounds, int(n_levels)
        )

    @property
    def n_nodes(self) -> int:
        """Number of nodes."""
        return len(self.children) // N_CHILDREN

    def children_from(self, first_node: int, first_primitive: int) -> NDArray[np.int32]:
        """Return the children as they are numbered behind other trees."""
        leaves = self.children - (first_primitive << LEAF_BITS)
        return np.where(self.children >= 0, self.children + first_node, leaves).astype(np.int32)
