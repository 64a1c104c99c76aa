"""The bit shuffle of bitshuffle, compiled; it gives the same bytes as the library in less time (decision 27).

A block has n elements of b bits each, where n is a multiple of 8. The shuffle gathers bit 0 of all elements, then bit 1
of all elements, and so on. The result is b planes of n / 8 bytes; in each byte, the first element has the lowest bit.
LZ4 or Zstandard compresses each shuffled block separately.

The library moves bytes in a first pass over the block and bits in a second pass, in memory that it allocates for each
block. The code here shuffles a vector of elements in registers. It takes one byte of each element; the sign bits of
these bytes are a piece of a plane. A shift by one bit then makes the next plane's bits the sign bits.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import extending
from numba.core import types
from numpy.typing import NDArray

from std_daq.native.jit import kernel, njit

ITEM_SIZES = (1, 2, 4, 8)
"""Sizes of the elements for which there is compiled code, in bytes."""

_LANES = np.uint64(64)  # number of elements that are shuffled at once
_FEWEST = np.uint64(8)  # the same for the rest of a block
_LENGTH_BYTES = np.uint64(4)
_ZSTD_SHARE, _ZSTD_MARGIN_SHARE = np.uint64(8), np.uint64(11)
_ZSTD_LARGE = np.uint64(128 << 10)  # bytes; smaller blocks need a margin
_BYTE, _INT, _WORD = ir.IntType(8), ir.IntType(32), ir.IntType(64)

# numba's stubs describe how the compiler calls an intrinsic, not how compiled code calls it.
intrinsic: Any = extending.intrinsic


def _take_apart(builder: Any, addresses: Any, item_size: int, lanes: int) -> None:
    """Write one piece of each plane; a piece has one bit of each of ``lanes`` elements."""
    source, target, plane_bytes = addresses
    elements = ir.VectorType(_BYTE, item_size * lanes)
    loaded = builder.load(builder.inttoptr(source, elements.as_pointer()), align=1)
    piece = ir.IntType(lanes)
    zeros = ir.Constant(ir.VectorType(_BYTE, lanes), [0] * lanes)
    for byte in range(item_size):
        places = ir.Constant(ir.VectorType(_INT, lanes), [item_size * i + byte for i in range(lanes)])
        values = builder.shuffle_vector(loaded, ir.Constant(elements, ir.Undefined), places)
        for bit in reversed(range(8)):
            signs = builder.bitcast(builder.icmp_signed("<", values, zeros), piece)
            plane = builder.add(target, builder.mul(plane_bytes, ir.Constant(_WORD, 8 * byte + bit)))
            builder.store(signs, builder.inttoptr(plane, piece.as_pointer()), align=1)
            values = builder.add(values, values)


@intrinsic
def _take_many_apart(typing_context: Any, image: Any, source: Any, target: Any, plane_bytes: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _take_apart(builder, arguments[1:], image.dtype.bitwidth // 8, int(_LANES))
        return context.get_dummy_value()

    return types.void(image, types.uint64, types.uint64, types.uint64), generate


@intrinsic
def _take_few_apart(typing_context: Any, image: Any, source: Any, target: Any, plane_bytes: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _take_apart(builder, arguments[1:], image.dtype.bitwidth // 8, int(_FEWEST))
        return context.get_dummy_value()

    return types.void(image, types.uint64, types.uint64, types.uint64), generate


@intrinsic
def _call_lz4(typing_context: Any, function: Any, source: Any, target: Any, n_bytes: Any, room: Any) -> Any:
    """Call ``LZ4_compress_default``, whose address is known at run time only."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = _BYTE.as_pointer()
        compress = ir.FunctionType(_INT, [pointer, pointer, _INT, _INT])
        called = builder.call(
            builder.inttoptr(arguments[0], compress.as_pointer()),
            [
                *(builder.inttoptr(address, pointer) for address in arguments[1:3]),
                *(builder.trunc(number, _INT) for number in arguments[3:]),
            ],
        )
        return builder.sext(called, _WORD)

    return types.int64(*[types.uint64] * 5), generate


@intrinsic
def _call_zstd(
    typing_context: Any, function: Any, context: Any, target: Any, room: Any, source: Any, n_bytes: Any, level: Any
) -> Any:
    """Call ``ZSTD_compressCCtx``, whose address is known at run time only; an error is a negative number."""

    def generate(builder_context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = _BYTE.as_pointer()
        compress = ir.FunctionType(_WORD, [pointer, pointer, _WORD, pointer, _WORD, _INT])
        function, context, target, room, source, n_bytes, level = arguments
        return builder.call(
            builder.inttoptr(function, compress.as_pointer()),
            [
                builder.inttoptr(context, pointer),
                builder.inttoptr(target, pointer),
                room,
                builder.inttoptr(source, pointer),
                n_bytes,
                builder.trunc(level, _INT),
            ],
        )

    return types.int64(*[types.uint64] * 7), generate


@intrinsic
def _write_length(typing_context: Any, target: Any, n_bytes: Any) -> Any:
    """Write a length as 32 bits, highest byte first."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        swapped = builder.bswap(builder.trunc(arguments[1], _INT))
        builder.store(swapped, builder.inttoptr(arguments[0], _INT.as_pointer()), align=1)
        return context.get_dummy_value()

    return types.void(types.uint64, types.uint64), generate


@njit(inline="always")
def _shuffle_at(image: NDArray[Any], source: Any, n: Any, target: Any) -> None:
    """Shuffle ``n`` elements of the type of ``image``; ``n`` is a multiple of 8."""
    item_size = np.uint64(image.itemsize)
    plane_bytes = n // _FEWEST
    at = np.uint64(0)
    while at + _LANES <= n:
        _take_many_apart(image, source + at * item_size, target + at // _FEWEST, plane_bytes)
        at += _LANES
    while at < n:
        _take_few_apart(image, source + at * item_size, target + at // _FEWEST, plane_bytes)
        at += _FEWEST


@njit(inline="always")
def _zstd_margin(n_bytes: Any) -> Any:
    return (_ZSTD_LARGE - n_bytes) >> _ZSTD_MARGIN_SHARE if n_bytes < _ZSTD_LARGE else np.uint64(0)


def _images(*others: Any) -> dict[str, Any]:
    """Return a signature for each size of elements, by the name of the type."""
    kinds = (types.uint8, types.uint16, types.uint32, types.uint64)
    return {str(kind): types.int64(types.Array(kind, 1, "C", readonly=True), *others) for kind in kinds}


@kernel(_images(types.uint8[::1]))
def shuffle(image: NDArray[Any], out: NDArray[np.uint8]) -> int:
    """Shuffle one block, (n,) with n a multiple of 8, into as many bytes; return the number of bytes."""
    _shuffle_at(image, np.uint64(image.ctypes.data), np.uint64(image.size), np.uint64(out.ctypes.data))
    return image.size * image.itemsize


@kernel(_images(types.int64, types.uint64, types.uint64, types.uint64, types.uint8[::1], types.uint8[::1]))
def compress_blocks(
    image: NDArray[Any],
    block_size: int,
    compress: int,
    context: int,
    level: int,
    block: NDArray[np.uint8],
    out: NDArray[np.uint8],
) -> int:
    """Shuffle and compress the blocks of an image; in ``out``, each block follows its length.

    The last elements, fewer than 8, are left out.

    Parameters
    ----------
    image
        Elements, (n,).
    block_size
        Number of elements in a block, a multiple of 8; the last block may have fewer.
    compress
        Address of ``LZ4_compress_default``, or of ``ZSTD_compressCCtx``.
    context
        Address of the context of Zstandard, which only this thread uses; 0: compress with LZ4.
    level
        Level of Zstandard.
    block
        Scratch memory for a shuffled block.
    out
        Filled with the result; at least as many bytes as the bound of the library for this compression.

    Returns
    -------
    Number of bytes written; negative if LZ4 or Zstandard failed.
    """
    source, target = np.uint64(image.ctypes.data), np.uint64(out.ctypes.data)
    shuffled = np.uint64(block.ctypes.data)
    n_left = np.uint64(image.size)
    item_size = np.uint64(image.itemsize)
    while n_left >= _FEWEST:
        n = min(np.uint64(block_size), n_left // _FEWEST * _FEWEST)
        n_bytes = n * item_size
        _shuffle_at(image, source, n, shuffled)
        most = n_bytes + n_bytes // np.uint64(255) + np.uint64(16)  # LZ4_COMPRESSBOUND
        if context == 0:
            n_compressed = _call_lz4(np.uint64(compress), shuffled, target + _LENGTH_BYTES, n_bytes, most)
        else:
            most = n_bytes + (n_bytes >> _ZSTD_SHARE) + _zstd_margin(n_bytes)  # ZSTD_COMPRESSBOUND
            n_compressed = _call_zstd(
                np.uint64(compress),
                np.uint64(context),
                target + _LENGTH_BYTES,
                most,
                shuffled,
                n_bytes,
                np.uint64(level),
            )
        if n_compressed <= 0:
            return -1
        _write_length(target, np.uint64(n_compressed))
        target += _LENGTH_BYTES + np.uint64(n_compressed)
        source += n_bytes
        n_left -= n
    return int(target - np.uint64(out.ctypes.data))
