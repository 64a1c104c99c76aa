"""The boxes of a node's children, all tested at once by vector instructions, or one by one; compiled.

A loop over the children is unrolled by the compiler before it could become vector instructions, and the walk through a
tree takes half of the time of a photon. So the test is written as vectors of `N_CHILDREN` numbers. Each processor gets
what it has of it: one AVX instruction, or two of SSE or NEON. A GPU, whose threads are the lanes of its vectors, tests
one box after the other. Both forms give the same bits.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import extending
from numba.core import types
from numba.np.arrayobj import make_array
from numpy.typing import NDArray

from std_daq.photons.geometry.records import N_CHILDREN, NODE_BOXES
from std_daq.photons.propagation.inner_kernels import inlined

Singles = tuple[np.float32, np.float32, np.float32]
"""A vector in float32."""

_OUTWARDS = 1.0 + 2.0**-20  # more than the rounding of a test in float32
_OUTWARDS_SINGLE = np.float32(_OUTWARDS)
_FAR = np.float32(np.inf)

_SINGLE, _WORD = ir.FloatType(), ir.IntType(64)
_SINGLES = ir.VectorType(_SINGLE, N_CHILDREN)

# The type stubs of numba describe how the compiler calls an intrinsic, not how compiled code calls it.
intrinsic: Any = extending.intrinsic


@intrinsic
def _enter(typing_context: Any, boxes: Any, first: Any, begin: Any, inverse: Any, limit: Any, entries: Any) -> Any:
    """Write where a ray enters the boxes that begin at ``boxes[first]``; returns a bit for each that it enters."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        boxes, first, begin, inverse, limit, entries = arguments
        data = make_array(signature.args[0])(context, builder, boxes).data

        def everywhere(number: Any) -> Any:
            one = builder.insert_element(ir.Constant(_SINGLES, ir.Undefined), number, ir.Constant(ir.IntType(32), 0))
            zeros = ir.Constant(ir.VectorType(ir.IntType(32), N_CHILDREN), [0] * N_CHILDREN)
            return builder.shuffle_vector(one, ir.Constant(_SINGLES, ir.Undefined), zeros)

        def way_to(side: Any, axis: int) -> Any:
            place = builder.add(first, builder.add(side, ir.Constant(_WORD, axis * N_CHILDREN)))
            pointer = builder.bitcast(builder.gep(data, [place]), _SINGLES.as_pointer())
            way = builder.fsub(builder.load(pointer, align=4), everywhere(builder.extract_value(begin, axis)))
            return builder.fmul(way, everywhere(builder.extract_value(inverse, axis)))

        def larger(a: Any, b: Any) -> Any:
            return builder.select(builder.fcmp_ordered(">", a, b), a, b)

        def smaller(a: Any, b: Any) -> Any:
            return builder.select(builder.fcmp_ordered("<", a, b), a, b)

        lower, upper = ir.Constant(_WORD, 0), ir.Constant(_WORD, 3 * N_CHILDREN)
        enter, leave = everywhere(ir.Constant(_SINGLE, 0.0)), None
        for axis in range(3):
            is_up = builder.fcmp_ordered(">=", builder.extract_value(inverse, axis), ir.Constant(_SINGLE, 0.0))
            enter = larger(way_to(builder.select(is_up, lower, upper), axis), enter)
            far = way_to(builder.select(is_up, upper, lower), axis)
            leave = far if leave is None else smaller(far, leave)
        leave = smaller(builder.fmul(leave, everywhere(ir.Constant(_SINGLE, _OUTWARDS))), everywhere(limit))
        written = make_array(signature.args[5])(context, builder, entries).data
        builder.store(enter, builder.bitcast(written, _SINGLES.as_pointer()), align=4)
        is_entered = builder.bitcast(builder.fcmp_ordered("<=", enter, leave), ir.IntType(N_CHILDREN))
        return builder.zext(is_entered, _WORD)

    three = types.UniTuple(types.float32, 3)
    return types.int64(boxes, types.int64, three, three, types.float32, entries), generate


@intrinsic
def _lowest(typing_context: Any, bits: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.int64), generate


@inlined()
def enter_children(
    boxes: NDArray[np.float32],
    node: int,
    begin: Singles,
    inverse: Singles,
    limit: np.float32,
    entries: NDArray[np.float32],
) -> int:
    """Write for each child of a node where the ray enters its box.

    Returns a bit for each child whose box the ray enters before ``limit``; the entries of the others say nothing.
    """
    return _enter(boxes, node * NODE_BOXES, begin, inverse, limit, entries)


@inlined()
def lowest(bits: int) -> int:
    """Return the place of the lowest bit that is set; there must be one."""
    return _lowest(bits)


def enter_children_in_turn(
    boxes: NDArray[np.float32],
    node: int,
    begin: Singles,
    inverse: Singles,
    limit: np.float32,
    entries: NDArray[np.float32],
) -> int:
    """Do what `enter_children` does, box by box."""
    entered = 0
    for child in range(N_CHILDREN):
        first = node * NODE_BOXES + child
        enter, leave = np.float32(0.0), _FAR
        for axis in range(3):
            lower, upper = first + axis * N_CHILDREN, first + (axis + 3) * N_CHILDREN
            is_up = inverse[axis] >= np.float32(0.0)
            near = (boxes[lower if is_up else upper] - begin[axis]) * inverse[axis]
            far = (boxes[upper if is_up else lower] - begin[axis]) * inverse[axis]
            enter = max(enter, near)
            leave = min(leave, far)
        leave *= _OUTWARDS_SINGLE
        if enter <= min(limit, leave):
            entered |= 1 << child
        entries[child] = enter
    return entered


def lowest_in_turn(bits: int) -> int:
    """Do what `lowest` does, bit by bit."""
    place = 0
    while bits >> place & 1 == 0:
        place += 1
    return place
