"""Copies of pixels that go to memory without fetching first what they replace, compiled.

An ordinary store into a slot of a ring, which is no longer in the caches, first reads the cache line that it is about
to overwrite. Non-temporal stores of whole lines do not. They pay where pixels are copied as they are, and what is read
straight from the source is stored at once: pixels that pass through a block of memory in between are slower than
with ordinary stores (decision 21).

Such stores are not ordered with any others: whoever has made some calls `order_stores` before anybody is told of them.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import extending, njit
from numba.core import cgutils, types
from numba.np.arrayobj import make_array
from numpy.typing import NDArray

LINE_BYTES = np.uint64(64)
"""Bytes of a cache line."""

_REST = np.uint64(63)  # of a line
_WORD = ir.IntType(64)

# numba's stubs describe an intrinsic as called by the compiler, not as called by compiled code.
intrinsic: Any = extending.intrinsic


@intrinsic
def _address(typing_context: Any, array: Any, row: Any, column: Any) -> Any:
    """Return where an element of a two-dimensional array lies."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        struct = make_array(signature.args[0])(context, builder, arguments[0])
        pointer = cgutils.get_item_pointer(context, builder, signature.args[0], struct, arguments[1:], wraparound=False)
        return builder.ptrtoint(pointer, _WORD)

    return types.uint64(array, types.uint64, types.uint64), generate


def _copy(builder: Any, target: Any, source: Any, n_bytes: int, *, is_line: bool = False) -> None:
    vector = ir.VectorType(ir.IntType(8), n_bytes).as_pointer()
    loaded = builder.load(builder.inttoptr(source, vector), align=1)
    stored = builder.store(loaded, builder.inttoptr(target, vector), align=n_bytes if is_line else 1)
    if is_line:
        stored.set_metadata("nontemporal", builder.module.add_metadata([ir.Constant(ir.IntType(32), 1)]))


@intrinsic
def _copy_line(typing_context: Any, target: Any, source: Any) -> Any:
    """Copy a whole line to an address that is a multiple of its size, past the caches."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _copy(builder, arguments[0], arguments[1], int(LINE_BYTES), is_line=True)
        return context.get_dummy_value()

    return types.void(types.uint64, types.uint64), generate


@intrinsic
def _copy_part(typing_context: Any, target: Any, source: Any, n_bytes: Any) -> Any:
    """Copy less than a line with ordinary stores: 32 bytes, 16, ..., 1, those that the number is the sum of."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        target, source, n_bytes = arguments
        for power in (32, 16, 8, 4, 2, 1):
            bit = builder.and_(n_bytes, ir.Constant(_WORD, power))
            with builder.if_then(cgutils.is_not_null(builder, bit)):
                _copy(builder, target, source, power)
            target, source = builder.add(target, bit), builder.add(source, bit)
        return context.get_dummy_value()

    return types.void(types.uint64, types.uint64, types.uint64), generate


@intrinsic
def _fence(typing_context: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        if builder.module.triple.startswith("x86_64"):
            # Unlike any other store of such a processor, these wait in its buffers until an instruction sends them.
            flush = ir.FunctionType(ir.VoidType(), [])
            builder.call(cgutils.get_or_insert_function(builder.module, flush, "llvm.x86.sse.sfence"), [])
        builder.fence("release")
        return context.get_dummy_value()

    return types.void(), generate


@njit(inline="always")
def copy_pixels(image: NDArray[Any], y: int, x: int, pixels: NDArray[Any], row: int, column: int, n: int) -> None:
    """Copy ``n`` pixels of a row to a row of the image; both of the same type, C-contiguous, not overlapping."""
    target = _address(image, np.uint64(y), np.uint64(x))
    source = _address(pixels, np.uint64(row), np.uint64(column))
    n_bytes = np.uint64(n) * np.uint64(image.itemsize)
    head = min((np.uint64(0) - target) & _REST, n_bytes)
    _copy_part(target, source, head)
    at = head
    while at + LINE_BYTES <= n_bytes:
        _copy_line(target + at, source + at)
        at += LINE_BYTES
    _copy_part(target + at, source + at, n_bytes - at)


@njit(inline="always")
def order_stores() -> None:
    """Make the pixels that this thread has copied visible before all that it writes afterwards."""
    _fence()
