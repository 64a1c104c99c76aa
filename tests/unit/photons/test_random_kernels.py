"""Random numbers of photons."""

import numpy as np
import pytest

from std_daq.native.jit import njit
from std_daq.photons.propagation.random_kernels import philox, uniforms


@njit(cache=False)
def words_of(c0, c1, c2, c3, k0, k1):
    return philox(c0, c1, c2, c3, k0, k1)


@njit(cache=False)
def numbers_of(key, photon, block):
    return uniforms((key, photon), block)


# Of the authors' Random123: counter, key, words.
KNOWN = [
    ([0] * 4, [0] * 2, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
    ([0xFFFFFFFF] * 4, [0xFFFFFFFF] * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
    (
        [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
        [0xA4093822, 0x299F31D0],
        [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
    ),
]


@pytest.mark.parametrize(("counter", "key", "words"), KNOWN)
@pytest.mark.parametrize("function", [words_of, philox.py_func], ids=["compiled", "python"])
def test_philox_gives_the_words_of_its_authors(function, counter, key, words):
    with np.errstate(over="ignore"):
        assert [int(word) for word in function(*map(np.uint64, counter + key))] == words


def test_the_numbers_lie_between_0_and_1_and_depend_on_key_photon_and_block():
    blocks = {
        numbers_of(np.uint64(key), np.uint64(photon), block)
        for key in (0, 2**32, 2**63)
        for photon in (0, 1)
        for block in (0, 1)
    }
    assert len(blocks) == 12
    assert all(0 < number < 1 for block in blocks for number in block)
