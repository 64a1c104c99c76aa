"""The nearest primitive along a ray, found in a tree of boxes; compiled.

The tree has two levels. Leaves of the upper one hold primitives of the detector, or one instance: a part at its place,
with a tree in coordinates of its own. Both levels share a stack: a marker on it says where the ray returns from a part.

Boxes are float32 and grown outwards (`std_daq.photons.geometry.trees`). A float32 at 20 m is wrong by 0.001 mm. So the
boxes are tested from a point where the ray enters the tree; primitives are tested in float64 from the photon's place.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from std_daq.photons.geometry.records import INSTANCE, LEAF_BITS, N_CHILDREN, Scene
from std_daq.photons.propagation.box_kernels import Singles, enter_children, lowest
from std_daq.photons.propagation.inner_kernels import inlined, inner
from std_daq.photons.propagation.shape_kernels import NEVER, distance
from std_daq.photons.propagation.vector_kernels import Vector, plus, turned_back, vector

_MARKER = np.int32(-(2**31))  # no leaf: it would begin at primitive 2**27
_FAR = np.float32(np.inf)
_AT_ONCE = np.float32(0.0)
_OUTWARDS = np.float32(1.0 + 2.0**-20)  # more than the rounding of a test in float32
_INWARDS = 1.0 - 2.0**-20
_STEEP = 1e30  # inverse of a direction's component that is zero
_COUNT = (1 << LEAF_BITS) - 1


class Scratch(NamedTuple):
    """Memory of one thread.

    Parameters
    ----------
    nodes, enters
        The stack: what is still to be visited, and where the ray enters it.
    entries
        Where the ray enters each child of a node.
    """

    nodes: NDArray[np.int32]
    enters: NDArray[np.float32]
    entries: NDArray[np.float32]


@inner()
def _inverse(component: float) -> np.float32:
    if abs(component) > 1.0 / _STEEP:
        return np.float32(1.0 / component)
    return np.float32(_STEEP)


@inlined()
def _for_boxes(place: Vector, d: Vector, shift: float) -> tuple[Singles, Singles]:
    """Return what tests of boxes need of a ray in float32: where they begin, and the inverse of its direction."""
    x, y, z = plus(place, shift, d)
    return (np.float32(x), np.float32(y), np.float32(z)), (_inverse(d[0]), _inverse(d[1]), _inverse(d[2]))


@inlined()
def _push_children(children: NDArray[np.int32], node: int, entered: int, scratch: Scratch, n_stack: int) -> int:
    """Push the children that the ray enters, the nearest last; returns the entries of the stack."""
    first = n_stack
    while entered != 0:
        k = lowest(entered)
        entered &= entered - 1
        enter = scratch.entries[k]
        at = n_stack
        while at > first and scratch.enters[at - 1] < enter:
            scratch.nodes[at], scratch.enters[at] = scratch.nodes[at - 1], scratch.enters[at - 1]
            at -= 1
        scratch.nodes[at], scratch.enters[at] = children[node * N_CHILDREN + k], enter
        n_stack += 1
    return n_stack


@inlined()
def _enter_everything(bounds: NDArray[np.float64], place: Vector, d: Vector) -> float:
    """Return where a ray enters the box of everything, 0 inside; `NEVER` where it passes by."""
    enter, leave = 0.0, NEVER
    for axis in range(3):
        low, high = bounds[axis] - place[axis], bounds[axis + 3] - place[axis]
        if d[axis] != 0.0:
            first, second = low / d[axis], high / d[axis]
            enter = max(enter, min(first, second))
            leave = min(leave, max(first, second))
        elif low > 0.0 or high < 0.0:
            return NEVER
    return enter if enter <= leave else NEVER


@inlined()
def nearest(
    scene: Scene, place: Vector, d: Vector, last: int, last_instance: int, scratch: Scratch
) -> tuple[float, int, int]:
    """Return the way to the nearest primitive, its index or -1, and that of its instance or -1.

    Parameters
    ----------
    last, last_instance
        Primitive and instance on which the ray begins; -1: on none.
    """
    best, found, found_instance = NEVER, -1, -1
    begin = _enter_everything(scene.bounds, place, d)
    if begin == NEVER:
        return best, found, found_instance
    primitives, shapes = scene.primitives, scene.shapes
    instance, p, r, shift = -1, place, d, begin  # the ray in the coordinates of the tree
    corner, inverse = _for_boxes(p, r, shift)
    limit = _FAR
    n_stack = 1
    scratch.nodes[0], scratch.enters[0] = 0, _AT_ONCE
    while n_stack > 0:
        n_stack -= 1
        code = scratch.nodes[n_stack]
        if code == _MARKER:
            instance, p, r, shift = -1, place, d, begin
            corner, inverse = _for_boxes(p, r, shift)
            limit = np.float32(best - shift) * _OUTWARDS
            continue
        if scratch.enters[n_stack] > limit:
            continue
        if code >= 0:
            entered = enter_children(scene.boxes, code, corner, inverse, limit, scratch.entries)
            n_stack = _push_children(scene.children, code, entered, scratch, n_stack)
            continue
        leaf = -(code + 1)
        first = leaf >> LEAF_BITS
        if primitives[first].kind == INSTANCE:
            instance, i = first, primitives[first].numbers
            p, r = turned_back(shapes, i, plus(place, -1.0, vector(shapes, i + 9))), turned_back(shapes, i, d)
            shift = begin + scratch.enters[n_stack] * _INWARDS
            corner, inverse = _for_boxes(p, r, shift)
            limit = np.float32(best - shift) * _OUTWARDS
            scratch.nodes[n_stack] = _MARKER
            scratch.nodes[n_stack + 1], scratch.enters[n_stack + 1] = primitives[first].boundary, _AT_ONCE
            n_stack += 2
            continue
        for one in range(first, first + (leaf & _COUNT)):
            is_last = one == last and instance == last_instance
            way = distance(primitives[one].kind, shapes, primitives[one].numbers, p, r, is_last)
            if way < best:
                best, found, found_instance = way, one, instance
                limit = np.float32(best - shift) * _OUTWARDS
    return best, found, found_instance
