"""Random numbers by Philox 4x32-10; compiled.

The numbers of a photon depend on nothing but the key of its request and its index there. So threads, batches and
devices make no difference. Source: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
"""

import numpy as np

from std_daq.photons.propagation.inner_kernels import inner

Stream = tuple[np.uint64, np.uint64]
"""The random numbers of one photon: the key of its request, and its index there."""

_M0, _M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_W0, _W1 = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_NOTHING = np.uint64(0)
_STEP = 2.0**-32

Words = tuple[np.uint64, np.uint64, np.uint64, np.uint64]


@inner()
def philox(c0: np.uint64, c1: np.uint64, c2: np.uint64, c3: np.uint64, k0: np.uint64, k1: np.uint64) -> Words:
    """Return a block of four words of 32 bits for a counter and a key."""
    for _ in range(10):
        p0, p1 = _M0 * c0, _M1 * c2
        c0, c1, c2, c3 = (p1 >> _HALF) ^ c1 ^ k0, p1 & _LOW, (p0 >> _HALF) ^ c3 ^ k1, p0 & _LOW
        k0, k1 = (k0 + _W0) & _LOW, (k1 + _W1) & _LOW
    return c0, c1, c2, c3


@inner()
def _in_unit(word: np.uint64) -> float:
    return (np.float64(np.int64(word)) + 0.5) * _STEP


@inner()
def uniforms(stream: Stream, block: int) -> tuple[float, float, float, float]:
    """Return a block of the numbers of a photon: four in (0, 1), without both ends."""
    key, photon = stream
    w0, w1, w2, w3 = philox(np.uint64(block), photon, _NOTHING, _NOTHING, key & _LOW, key >> _HALF)
    return _in_unit(w0), _in_unit(w1), _in_unit(w2), _in_unit(w3)
