"""Checksums of chunks: small and large ones, of one piece and of several."""

import numpy as np
import pytest
import xxhash

from std_daq.checksums import ChunkChecksums, checksum_of_parts


@pytest.mark.parametrize("n_bytes", [1, 65_536, 1024 * 1024 - 1, 1024 * 1024, 3_000_001])
def test_checksum_of_a_chunk_is_that_of_its_bytes_however_it_is_computed(n_bytes: int) -> None:
    chunk = np.random.default_rng(n_bytes).integers(0, 256, n_bytes, np.uint8)
    wanted = xxhash.xxh3_64_intdigest(chunk.tobytes())
    parts = [chunk[: n_bytes // 3], chunk[n_bytes // 3 :]]
    checksums = ChunkChecksums()
    for begun in (checksums.begin(chunk, n_bytes), checksums.begin_parts(parts, n_bytes)):
        assert checksums.end(begun) == wanted
        assert checksums.end(begun) == wanted  # as after a failure, where it is asked for once more
    checksums.close()
    assert checksum_of_parts(parts) == wanted
