"""What is compressed outside HDF5 is what HDF5 and its plug-in read."""

import ctypes
import sys
import threading
from pathlib import Path

import h5py
import hdf5plugin
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from std_daq.errors import ResourceError
from std_daq.imaging.files import compression

DTYPES = ["<u1", "<u2", "<u4", "<i4", "<f4", "<f8"]


LEVELS = [None, 1, 3, 19]


def filters(level: int | None) -> dict[str, object]:
    return dict(
        hdf5plugin.Bitshuffle(cname="lz4") if level is None else hdf5plugin.Bitshuffle(cname="zstd", clevel=level)
    )


def compressed(image: np.ndarray, level: int | None = None) -> bytes:
    out = np.full(compression.bound(image.nbytes, image.itemsize, level), 0xAA, np.uint8)
    return out[: compression.compress_into(image, out, level)].tobytes()


def read_back(chunk: bytes, shape: tuple[int, ...], dtype: np.dtype, level: int | None = None) -> np.ndarray:
    with h5py.File("memory", "w", driver="core", backing_store=False) as file:
        dataset = file.create_dataset("d", (1, *shape), dtype, chunks=(1, *shape), **filters(level))
        dataset.id.write_direct_chunk((0, 0, 0), chunk)
        return dataset[0]


@given(
    image=st.sampled_from(DTYPES).flatmap(
        lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=2, max_dims=2, max_side=90))
    ),
    level=st.sampled_from(LEVELS),
)
@settings(max_examples=60, deadline=None)
def test_every_image_is_read_back_bit_by_bit(image: np.ndarray, level: int | None) -> None:
    result = read_back(compressed(image, level), image.shape, image.dtype, level)
    assert result.tobytes() == image.tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", ["zeros", "noise", "photons"])
@pytest.mark.parametrize("level", [None, 1])
def test_large_images_are_read_back_and_stay_within_the_bound(dtype: str, kind: str, level: int | None) -> None:
    generator = np.random.default_rng(1)
    shape = (257, 511)
    image = {
        "zeros": lambda: np.zeros(shape, dtype),
        "noise": lambda: np.frombuffer(generator.bytes(257 * 511 * np.dtype(dtype).itemsize), dtype).reshape(shape),
        "photons": lambda: generator.poisson(0.1, shape).astype(dtype),
    }[kind]()
    chunk = compressed(image, level)
    assert len(chunk) <= compression.bound(image.nbytes, image.itemsize, level)
    assert read_back(chunk, image.shape, image.dtype, level).tobytes() == image.tobytes()


@pytest.mark.parametrize("level", LEVELS[1:])
@pytest.mark.parametrize("dtype", ["<u2", "<u4", "<c16"])
def test_zstd_chunk_is_laid_out_as_by_the_filter_of_hdf5(dtype: str, level: int) -> None:
    image = np.random.default_rng(2).poisson(3, (201, 301)).astype(dtype)
    with h5py.File("memory", "w", driver="core", backing_store=False) as file:
        dataset = file.create_dataset("d", data=image[np.newaxis], chunks=(1, 201, 301), **filters(level))
        _, expected = dataset.id.read_direct_chunk((0, 0, 0))
    assert len(compressed(image, level)) == pytest.approx(len(expected), rel=0.02), (
        "another version may differ a little"
    )
    assert compressed(image, level)[:12] == bytes(expected)[:12]


def test_zstd_makes_smaller_chunks_than_lz4_of_photons() -> None:
    image = np.random.default_rng(3).poisson(0.5, (512, 512)).astype("<u2")
    assert len(compressed(image, 1)) < 0.95 * len(compressed(image))


def test_contexts_of_threads_that_have_ended_are_freed() -> None:
    zstd = compression._codec().zstd
    freed: list[int] = []
    counting = compression._Zstd(
        zstd.compress, zstd.bound, zstd.make_context, lambda at: freed.append(zstd.free_context(at)), zstd.address
    )
    contexts = compression._Contexts()
    threads = [threading.Thread(target=contexts.get, args=(counting,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert freed == [0, 0, 0]


def test_the_chunk_is_the_one_that_the_filter_of_hdf5_makes() -> None:
    image = np.random.default_rng(2).poisson(3, (200, 300)).astype("<u2")
    with h5py.File("memory", "w", driver="core", backing_store=False) as file:
        dataset = file.create_dataset(
            "d", data=image[np.newaxis], chunks=(1, 200, 300), **hdf5plugin.Bitshuffle(cname="lz4")
        )
        _, expected = dataset.id.read_direct_chunk((0, 0, 0))
    assert compressed(image)[:12] == bytes(expected)[:12]


def test_nothing_is_written_behind_the_chunk_s_bound() -> None:
    image = np.random.default_rng(3).integers(0, 2**16, (64, 64), "<u2")
    size = compression.bound(image.nbytes, image.itemsize)
    out = np.full(size + 64, 0x5A, np.uint8)
    compression.compress_into(image, out)
    assert (out[size:] == 0x5A).all()


def test_a_buffer_that_is_too_small_is_refused() -> None:
    image = np.zeros((64, 64), "<u2")
    with pytest.raises(ValueError, match="buffer of 10 bytes"):
        compression.compress_into(image, np.empty(10, np.uint8))


def test_an_image_that_is_not_contiguous_is_refused() -> None:
    with pytest.raises(ValueError, match="contiguous"):
        compression.compress_into(np.zeros((64, 64), "<u2")[:, ::2], np.empty(1 << 16, np.uint8))


def test_threads_compress_each_their_own_image() -> None:
    images = [np.random.default_rng(i).poisson(i, (256, 256)).astype("<u2") for i in range(4)]
    results: dict[int, bytes] = {}

    def work(number: int) -> None:
        results[number] = compressed(images[number])

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, image in enumerate(images):
        assert (read_back(results[number], image.shape, image.dtype) == image).all()


def test_without_the_bitshuffle_package_the_plugin_s_library_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    plugin = [path for path in compression._library_candidates() if path.name == "libh5bshuf.so"]
    compression._codec.cache_clear()
    monkeypatch.setattr(compression, "_library_candidates", lambda: [Path("/absent.so"), *plugin])
    try:
        image = np.arange(4096, dtype="<u4").reshape(64, 64)
        assert compression.library_path() == plugin[0]
        assert (read_back(compressed(image), image.shape, image.dtype) == image).all()
    finally:
        compression._codec.cache_clear()


def test_a_machine_without_any_library_gets_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    compression._codec.cache_clear()
    monkeypatch.setattr(compression, "_library_candidates", lambda: [Path(sys.executable)])
    try:
        with pytest.raises(ResourceError, match="install bitshuffle or hdf5plugin"):
            compression.library_path()
    finally:
        compression._codec.cache_clear()


def test_the_library_starts_no_threads_of_its_own() -> None:
    library = ctypes.CDLL(str(compression.library_path()))
    if not hasattr(library, "omp_get_max_threads"):
        pytest.skip("this build has no OpenMP")
    library.omp_set_num_threads(4)
    compressed(np.zeros((64, 64), "<u2"))
    assert library.omp_get_max_threads() == 1
