"""Non-temporal stores of pixels, which write whole cache lines to memory without reading them first; compiled.

A slot of a ring is usually no longer in the caches when it is written again. An ordinary store then first reads the
cache line that it overwrites. A non-temporal store of a whole line does not. Non-temporal stores are faster where
pixels are copied directly from the source. Where pixels first pass through an intermediate block of memory, ordinary
stores are faster (decision 21). The first and the last line of a row are often written only in part, so they must be
read; `fetch_ends` requests them some rows in advance.

Non-temporal stores are not ordered with other stores. Call `order_stores` after them, before other threads or processes
are told of the pixels.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import extending
from numba.core import cgutils, types
from numba.np.arrayobj import make_array
from numpy.typing import NDArray

from std_daq.native.jit import njit

LINE_BYTES = np.uint64(64)
"""Size of a cache line in bytes."""

_REST = np.uint64(63)  # mask of the offset in a line
_ONE = np.uint64(1)
_BYTE, _INT, _WORD = ir.IntType(8), ir.IntType(32), ir.IntType(64)

# The type stubs of numba describe how the compiler calls an intrinsic, not how compiled code calls it.
intrinsic: Any = extending.intrinsic


@intrinsic
def _address(typing_context: Any, array: Any, row: Any, column: Any) -> Any:
    """Return the address of an element of a two-dimensional array."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        struct = make_array(signature.args[0])(context, builder, arguments[0])
        pointer = cgutils.get_item_pointer(context, builder, signature.args[0], struct, arguments[1:], wraparound=False)
        return builder.ptrtoint(pointer, _WORD)

    return types.uint64(array, types.uint64, types.uint64), generate


def _load(builder: Any, source: Any, n_bytes: int) -> Any:
    return builder.load(builder.inttoptr(source, ir.VectorType(_BYTE, n_bytes).as_pointer()), align=1)


def _store(builder: Any, vector: Any, target: Any, *, is_line: bool) -> None:
    align = vector.type.count if is_line else 1
    stored = builder.store(vector, builder.inttoptr(target, vector.type.as_pointer()), align=align)
    if is_line:
        stored.set_metadata("nontemporal", builder.module.add_metadata([ir.Constant(_INT, 1)]))


def _copy(builder: Any, target: Any, source: Any, n_bytes: int, *, is_line: bool = False) -> None:
    _store(builder, _load(builder, source, n_bytes), target, is_line=is_line)


def _unpack(builder: Any, target: Any, source: Any, n_pixels: int, *, is_line: bool = False) -> None:
    """Store 4-bit pixels as bytes; each byte of the source has two pixels, the first one in its low half."""
    pairs = _load(builder, source, n_pixels // 2)
    low = builder.and_(pairs, ir.Constant(pairs.type, [15] * pairs.type.count))
    high = builder.lshr(pairs, ir.Constant(pairs.type, [4] * pairs.type.count))
    in_turn = [i // 2 + i % 2 * pairs.type.count for i in range(n_pixels)]
    pixels = builder.shuffle_vector(low, high, ir.Constant(ir.VectorType(_INT, n_pixels), in_turn))
    _store(builder, pixels, target, is_line=is_line)


@intrinsic
def _copy_line(typing_context: Any, target: Any, source: Any) -> Any:
    """Copy a whole line to an aligned address with a non-temporal store."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _copy(builder, arguments[0], arguments[1], int(LINE_BYTES), is_line=True)
        return context.get_dummy_value()

    return types.void(types.uint64, types.uint64), generate


@intrinsic
def _copy_part(typing_context: Any, target: Any, source: Any, n_bytes: Any) -> Any:
    """Copy less than a line with ordinary stores of 32, 16, ..., 1 bytes, as the bits of the number tell."""

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
def _unpack_line(typing_context: Any, target: Any, source: Any) -> Any:
    """Unpack pixels into a whole line at an aligned address with a non-temporal store."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _unpack(builder, arguments[0], arguments[1], int(LINE_BYTES), is_line=True)
        return context.get_dummy_value()

    return types.void(types.uint64, types.uint64), generate


@intrinsic
def _unpack_anywhere(typing_context: Any, target: Any, source: Any) -> Any:
    """Unpack as many pixels as a line has to any address, with an ordinary store."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _unpack(builder, arguments[0], arguments[1], int(LINE_BYTES))
        return context.get_dummy_value()

    return types.void(types.uint64, types.uint64), generate


@intrinsic
def _unpack_part(typing_context: Any, target: Any, source: Any, n_pixels: Any) -> Any:
    """Unpack an even number of pixels, less than a line, with ordinary stores as in `_copy_part`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        target, source, n_pixels = arguments
        for power in (32, 16, 8, 4, 2):
            bit = builder.and_(n_pixels, ir.Constant(_WORD, power))
            with builder.if_then(cgutils.is_not_null(builder, bit)):
                _unpack(builder, target, source, power)
            target = builder.add(target, bit)
            source = builder.add(source, builder.lshr(bit, ir.Constant(_WORD, 1)))
        return context.get_dummy_value()

    return types.void(types.uint64, types.uint64, types.uint64), generate


@intrinsic
def _fetch_to_write(typing_context: Any, address: Any) -> Any:
    """Prefetch the line of an address for writing; the address need not be valid."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = _BYTE.as_pointer()
        prefetch = ir.FunctionType(ir.VoidType(), [pointer, _INT, _INT, _INT])
        function = cgutils.get_or_insert_function(builder.module, prefetch, "llvm.prefetch.p0i8")
        # The arguments mean: for writing, to be kept in all caches, data.
        builder.call(function, [builder.inttoptr(arguments[0], pointer), _INT(1), _INT(3), _INT(1)])
        return context.get_dummy_value()

    return types.void(types.uint64), generate


@intrinsic
def _fence(typing_context: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        if builder.module.triple.startswith("x86_64"):
            # On x86-64, only non-temporal stores need this instruction; other stores are ordered anyway.
            flush = ir.FunctionType(ir.VoidType(), [])
            builder.call(cgutils.get_or_insert_function(builder.module, flush, "llvm.x86.sse.sfence"), [])
        builder.fence("release")
        return context.get_dummy_value()

    return types.void(), generate


@njit(inline="always")
def copy_pixels(image: NDArray[Any], y: int, x: int, pixels: NDArray[Any], row: int, column: int, n: int) -> None:
    """Copy ``n`` pixels of a row to a row of the image; both have one type, are C-contiguous and do not overlap."""
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
def unpack_nibbles(image: NDArray[Any], y: int, x: int, packed: NDArray[Any], row: int, column: int, n: int) -> None:
    """Unpack an even number ``n`` of 4-bit pixels to a row of the image; both arrays are C-contiguous bytes."""
    target = _address(image, np.uint64(y), np.uint64(x))
    source = _address(packed, np.uint64(row), np.uint64(column))
    n_pixels = np.uint64(n)
    at = np.uint64(0)
    if target & _ONE:  # cache lines begin between the two pixels of a byte
        while at + LINE_BYTES <= n_pixels:
            _unpack_anywhere(target + at, source + (at >> _ONE))
            at += LINE_BYTES
    else:
        at = min((np.uint64(0) - target) & _REST, n_pixels)
        _unpack_part(target, source, at)
        while at + LINE_BYTES <= n_pixels:
            _unpack_line(target + at, source + (at >> _ONE))
            at += LINE_BYTES
    _unpack_part(target + at, source + (at >> _ONE), n_pixels - at)


@njit(inline="always")
def fetch_ends(image: NDArray[Any], y: int, x: int, n: int) -> None:
    """Prefetch the first and the last line of ``n`` pixels of the image, which will be written in part."""
    first = _address(image, np.uint64(y), np.uint64(x))
    _fetch_to_write(first)
    _fetch_to_write(first + np.uint64(n) * np.uint64(image.itemsize) - _ONE)


@njit(inline="always")
def order_stores() -> None:
    """Make the pixels that this thread has copied visible before anything that it writes afterwards."""
    _fence()
