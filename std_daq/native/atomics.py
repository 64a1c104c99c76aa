"""Ordered reads and writes of 64-bit words in shared memory, for compiled code: Python has `ordered_words`.

Readers in other processes rely on the generations and cursors of a ring. These words are therefore read with acquire
order and written with release order. Each function takes a one-dimensional array of ``uint64`` and an index. The array
may have any stride; for example, its words may be the generations in the headers of all slots. Each function is
compiled once, for arrays of any stride, when this module is imported.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import extending
from numba.core import cgutils, types
from numba.np.arrayobj import make_array

from std_daq.native.jit import njit_now

# The type stubs of numba describe how the compiler calls an intrinsic, not how compiled code calls it.
intrinsic: Any = extending.intrinsic

_WORD, _INDEX, _NOTHING = types.uint64, types.int64, types.void
# Layout "A" accepts any stride. Numba converts writable arrays to read-only ones, but not read-only to writable.
_SEEN = types.Array(_WORD, 1, "A", readonly=True)
_CHANGED = types.Array(_WORD, 1, "A")


def _word_pointer(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    struct = make_array(array_type)(context, builder, array)
    return cgutils.get_item_pointer(context, builder, array_type, struct, [index], wraparound=False)


@intrinsic
def _load(typing_context: Any, array: Any, index: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = _word_pointer(context, builder, signature.args[0], *arguments)
        return builder.load_atomic(pointer, "acquire", 8)

    return types.uint64(array, types.intp), generate


@intrinsic
def _store(typing_context: Any, array: Any, index: Any, value: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = _word_pointer(context, builder, signature.args[0], arguments[0], arguments[1])
        builder.store_atomic(arguments[2], pointer, "release", 8)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.uint64), generate


@intrinsic
def _fence(typing_context: Any) -> Any:
    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        builder.fence("acq_rel")
        return context.get_dummy_value()

    return types.void(), generate


@njit_now(_WORD(_SEEN, _INDEX))
def load_acquire(words: np.ndarray, index: int) -> int:
    """Return a word; everything that its writer wrote before this word is visible afterwards."""
    return _load(words, index)


@njit_now(_NOTHING(_CHANGED, _INDEX, _WORD))
def store_release(words: np.ndarray, index: int, value: int) -> None:
    """Write a word; whoever reads it also sees everything that was written before it."""
    _store(words, index, np.uint64(value))


@njit_now(_NOTHING(_CHANGED, _INDEX, _WORD))
def publish(words: np.ndarray, index: int, value: int) -> None:
    """Write a word as `store_release` does; no later write becomes visible before it."""
    _store(words, index, np.uint64(value))
    _fence()


@njit_now(_NOTHING())
def fence() -> None:
    """Complete all earlier reads and writes before any later ones."""
    _fence()


@njit_now(_WORD(_CHANGED, _INDEX))
def begin_write(generations: np.ndarray, index: int) -> int:
    """Mark a slot as being written, and return its new, odd generation; afterwards its contents may be changed."""
    odd = (_load(generations, index) + np.uint64(1)) | np.uint64(1)
    _store(generations, index, odd)
    _fence()
    return odd


@njit_now(_WORD(_CHANGED, _INDEX))
def end_write(generations: np.ndarray, index: int) -> int:
    """Mark a slot as complete, and return its new, even generation."""
    even = (_load(generations, index) | np.uint64(1)) + np.uint64(1)
    _store(generations, index, even)
    return even


@njit_now(types.boolean(_SEEN, _INDEX, _WORD))
def is_unchanged(generations: np.ndarray, index: int, generation: int) -> bool:
    """Return whether a slot still has the even generation that was read before its contents were read."""
    _fence()
    return _load(generations, index) == np.uint64(generation)
