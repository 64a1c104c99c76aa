"""Compression of whole images with bitshuffle and LZ4 or Zstandard: the format of HDF5 filter 32008, outside HDF5.

A chunk of this filter begins with the sizes of the image and of a block in bytes (``>QI``). The blocks follow, in the
format of ``bshuf_compress_lz4`` or ``bshuf_compress_zstd``.

LZ4 and Zstandard come from the extension module of the ``bitshuffle`` package, or, if that is not installed, from
``hdf5plugin``. The bit shuffle of elements of 1, 2, 4 and 8 bytes is compiled here (`std_daq.imaging.files.kernels`);
for other sizes the library does it.

Compression releases the GIL, so several threads compress in parallel, each its own image. The library's own threads
(OpenMP) are switched off. They wait for each other in spin loops, and on cores that have other work they are ten times
slower than a single thread.
"""

import ctypes
import importlib.util
import struct
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from std_daq.errors import ResourceError
from std_daq.imaging.files.kernels import ITEM_SIZES, compress_blocks

_HEADER = struct.Struct(">QI")


@dataclass(frozen=True, slots=True)
class _Codec:
    """Functions of a library that contains bitshuffle."""

    path: Path
    compress: Callable[..., int]
    bound: Callable[..., int]
    default_block_size: Callable[..., int]
    set_n_threads: Callable[[int], object] | None
    lz4: int
    """Address of ``LZ4_compress_default``."""
    zstd: "_Zstd"


@dataclass(frozen=True, slots=True)
class _Zstd:
    """Functions of Zstandard in the same library."""

    compress: Callable[..., int]
    bound: Callable[..., int]
    make_context: Callable[[], int | None]
    free_context: Callable[[int], int]
    address: int
    """Address of ``ZSTD_compressCCtx``."""


class _Context:
    """A context of Zstandard, freed with this object."""

    def __init__(self, zstd: _Zstd) -> None:
        self.address = zstd.make_context() or 0
        if not self.address:
            raise MemoryError("no memory for a context of Zstandard")
        weakref.finalize(self, zstd.free_context, self.address)


class _Contexts(threading.local):
    """The context of each thread; made once, because that costs more than to compress a block."""

    context: _Context | None = None

    def get(self, zstd: _Zstd) -> int:
        """Return the address of this thread's context."""
        if self.context is None:
            self.context = _Context(zstd)
        return self.context.address


def _library_candidates() -> list[Path]:
    """Return the library files that may contain ``bshuf_compress_lz4``, the fastest first."""
    candidates: list[Path] = []
    for package, pattern in (("bitshuffle", "ext.*.so"), ("hdf5plugin", "plugins/libh5bshuf.so")):
        spec = importlib.util.find_spec(package)
        if spec is not None and spec.origin is not None:
            candidates.extend(Path(spec.origin).parent.glob(pattern))
    return candidates


def _load(path: Path) -> _Codec:
    """Declare the functions of a library; raises OSError or AttributeError if it does not have them."""
    library = ctypes.CDLL(str(path))
    size_t, pointer = ctypes.c_size_t, ctypes.c_void_p
    compress, bound_of = library.bshuf_compress_lz4, library.bshuf_compress_lz4_bound
    block_size_of = library.bshuf_default_block_size
    compress.argtypes, compress.restype = (pointer, pointer, size_t, size_t, size_t), ctypes.c_int64
    bound_of.argtypes, bound_of.restype = (size_t, size_t, size_t), size_t
    block_size_of.argtypes, block_size_of.restype = (size_t,), size_t
    # The function belongs to the OpenMP library; it is found if this library was linked with OpenMP.
    set_n_threads = getattr(library, "omp_set_num_threads", None)
    lz4 = ctypes.cast(library.LZ4_compress_default, ctypes.c_void_p).value or 0
    return _Codec(path, compress, bound_of, block_size_of, set_n_threads, lz4, _zstd_of(library))


def _zstd_of(library: ctypes.CDLL) -> _Zstd:
    size_t, pointer = ctypes.c_size_t, ctypes.c_void_p
    compress, bound_of = library.bshuf_compress_zstd, library.bshuf_compress_zstd_bound
    make, free = library.ZSTD_createCCtx, library.ZSTD_freeCCtx
    compress.argtypes, compress.restype = (pointer, pointer, size_t, size_t, size_t, ctypes.c_int), ctypes.c_int64
    bound_of.argtypes, bound_of.restype = (size_t, size_t, size_t), size_t
    make.argtypes, make.restype = (), pointer
    free.argtypes, free.restype = (pointer,), size_t
    return _Zstd(compress, bound_of, make, free, ctypes.cast(library.ZSTD_compressCCtx, pointer).value or 0)


_contexts = _Contexts()


@cache
def _codec() -> _Codec:
    candidates = _library_candidates()
    for path in candidates:
        try:
            return _load(path)
        except (OSError, AttributeError):
            continue
    tried = ", ".join(str(path) for path in candidates) or "nothing"
    raise ResourceError(
        f"no library of bitshuffle with LZ4 and Zstandard: tried {tried}; install bitshuffle or hdf5plugin"
    )


def library_path() -> Path:
    """Return the path of the library that is used.

    Raises
    ------
    ResourceError
        Neither bitshuffle nor hdf5plugin is installed.
    """
    return _codec().path


def compile_for(itemsize: int) -> None:
    """Compile the kernel for pixels of this size, so that no image has to wait for the compiler."""
    if itemsize in ITEM_SIZES:
        compress_blocks.compile(f"uint{8 * itemsize}")


def bound(n_bytes: int, itemsize: int, zstd_level: int | None = None) -> int:
    """Return the largest possible size of the chunk for an image of `n_bytes`, in bytes."""
    codec = _codec()
    bound_of = codec.bound if zstd_level is None else codec.zstd.bound
    size = bound_of(n_bytes // itemsize, itemsize, codec.default_block_size(itemsize))
    return _HEADER.size + size


def compress_into(image: npt.NDArray[np.generic], out: npt.NDArray[np.uint8], zstd_level: int | None = None) -> int:
    """Compress an image into a buffer, as a chunk that can be written directly.

    Several threads may compress at the same time, each into its own buffer.

    Parameters
    ----------
    image
        C-contiguous pixels of any type.
    out
        C-contiguous bytes, at least `bound` of the image's size.
    zstd_level
        Level of Zstandard; None: compress with LZ4.

    Returns
    -------
    int
        Size of the chunk in `out`, in bytes.

    Raises
    ------
    ValueError
        An array is not contiguous, or `out` is too small.
    """
    if not (image.flags.c_contiguous and out.flags.c_contiguous and out.flags.writeable):
        raise ValueError("image and buffer must be contiguous, and the buffer writeable")
    needed = bound(image.nbytes, image.itemsize, zstd_level)
    if out.dtype != np.uint8 or out.nbytes < needed:
        raise ValueError(f"buffer of {out.nbytes} bytes ({out.dtype}); a chunk may need {needed}")
    codec = _codec()
    block_size = codec.default_block_size(image.itemsize)
    if codec.set_n_threads is not None:
        codec.set_n_threads(1)  # OpenMP keeps this number for each calling thread
    _HEADER.pack_into(out.data, 0, image.nbytes, block_size * image.itemsize)
    if image.itemsize in ITEM_SIZES:
        n_bytes = _compress_blocks(codec, image, block_size, out[_HEADER.size :], zstd_level)
    else:
        sizes = (image.ctypes.data, out.ctypes.data + _HEADER.size, image.size, image.itemsize, block_size)
        n_bytes = codec.compress(*sizes) if zstd_level is None else codec.zstd.compress(*sizes, zstd_level)
    if n_bytes < 0:
        codec_name = "LZ4" if zstd_level is None else "Zstd"
        raise ValueError(f"bitshuffle/{codec_name} cannot compress {image.dtype} of shape {image.shape}: {n_bytes}")
    return _HEADER.size + n_bytes


def _compress_blocks(
    codec: _Codec, image: npt.NDArray[Any], block_size: int, out: npt.NDArray[np.uint8], zstd_level: int | None
) -> int:
    """Compress the blocks of an image like the library; return their size, or a negative number."""
    elements = image.reshape(-1).view(f"u{image.itemsize}")
    block = np.empty(block_size * image.itemsize, np.uint8)
    if zstd_level is None:
        how = codec.lz4, 0, 0
    else:
        how = codec.zstd.address, _contexts.get(codec.zstd), zstd_level
    n_bytes: int = compress_blocks(elements, block_size, *how, block, out)
    rest = elements[len(elements) // 8 * 8 :].view(np.uint8)  # fewer than 8: one bit of each does not fill a byte
    if n_bytes >= 0 and len(rest):
        out[n_bytes : n_bytes + len(rest)] = rest
    return n_bytes if n_bytes < 0 else n_bytes + len(rest)
