"""Our bit shuffle gives what bitshuffle's own does, byte by byte."""

import ctypes

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from std_daq.imaging.files import compression
from std_daq.imaging.files.kernels import ITEM_SIZES, shuffle


def slowly_shuffled(elements: np.ndarray) -> bytes:
    """Gather bit after bit."""
    n_bits = 8 * elements.itemsize
    planes = [(elements >> elements.dtype.type(bit)) & elements.dtype.type(1) for bit in range(n_bits)]
    return b"".join(np.packbits(plane.astype(np.uint8), bitorder="little").tobytes() for plane in planes)


def compressed_by_the_library(image: np.ndarray) -> bytes:
    """Return the blocks that ``bshuf_compress_lz4`` makes."""
    codec = compression._codec()
    if codec.set_n_threads is not None:
        codec.set_n_threads(1)
    out = np.zeros(compression.bound(image.nbytes, image.itemsize), np.uint8)
    block_size = codec.default_block_size(image.itemsize)
    n_bytes = codec.compress(image.ctypes.data, out.ctypes.data, image.size, image.itemsize, block_size)
    assert n_bytes >= 0
    return out[:n_bytes].tobytes()


def compressed_by_us(image: np.ndarray) -> bytes:
    out = np.full(compression.bound(image.nbytes, image.itemsize), 0x5A, np.uint8)
    return out[12 : compression.compress_into(image, out)].tobytes()


unsigned = st.sampled_from([f"<u{size}" for size in ITEM_SIZES])


@given(elements=unsigned.flatmap(lambda dtype: hnp.arrays(dtype, st.integers(0, 40).map(lambda n: 8 * n))))
@settings(max_examples=150, deadline=None)
def test_a_block_is_shuffled_as_bit_after_bit_is_gathered(elements: np.ndarray) -> None:
    out = np.full(elements.nbytes + 64, 0xA5, np.uint8)
    assert shuffle(elements, out) == elements.nbytes
    assert out[: elements.nbytes].tobytes() == slowly_shuffled(elements)
    assert (out[elements.nbytes :] == 0xA5).all()


@given(
    n=st.integers(1, 20_000),
    dtype=st.sampled_from(["<u1", "<i2", "<u2", "<u4", "<i4", "<f4", "<u8", "<f8"]),
    seed=st.integers(0, 2**32 - 1),
    mean=st.sampled_from([0.0, 0.01, 1.0, 100.0]),
)
@settings(max_examples=80, deadline=None)
def test_an_image_is_compressed_to_the_library_s_bytes(n: int, dtype: str, seed: int, mean: float) -> None:
    image = np.random.default_rng(seed).poisson(mean, n).astype(dtype)
    assert compressed_by_us(image) == compressed_by_the_library(image)


@pytest.mark.parametrize("size", ITEM_SIZES)
def test_noise_is_compressed_to_the_library_s_bytes(size: int) -> None:
    image = np.frombuffer(np.random.default_rng(1).bytes(100_003 * size), f"<u{size}")
    assert compressed_by_us(image) == compressed_by_the_library(image)


def test_pixels_that_lie_at_an_odd_address_are_compressed() -> None:
    memory = np.random.default_rng(2).integers(0, 4, 2 * 5000 + 1, np.uint8)
    image = memory[1:].view("<u2")
    assert compressed_by_us(image) == compressed_by_the_library(image.copy())


def test_elements_of_other_sizes_are_left_to_the_library() -> None:
    image = np.random.default_rng(3).normal(size=3001).astype(np.complex128)
    assert compressed_by_us(image) == compressed_by_the_library(image)


def test_a_failure_of_zstd_is_told() -> None:
    kinds = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    failing = ctypes.CFUNCTYPE(ctypes.c_ssize_t, *kinds)(lambda *_: -70)
    from std_daq.imaging.files.kernels import compress_blocks

    address = ctypes.cast(failing, ctypes.c_void_p).value
    block, out = np.zeros(64, np.uint8), np.zeros(256, np.uint8)
    assert compress_blocks(np.zeros(64, np.uint8), 64, address, 1, 1, block, out) < 0


def test_a_failure_of_lz4_is_told() -> None:
    failing = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_int)(lambda *_: 0)
    from std_daq.imaging.files.kernels import compress_blocks

    address = ctypes.cast(failing, ctypes.c_void_p).value
    block, out = np.zeros(64, np.uint8), np.zeros(256, np.uint8)
    assert compress_blocks(np.zeros(64, np.uint8), 64, address, 0, 0, block, out) < 0
