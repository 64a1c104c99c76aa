"""Small geometries, photons in them, and comparisons with what is expected."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from std_daq.photons.detector import PhotonDetector
from std_daq.photons.flags import Flag

STANDARD_ERRORS = 4.0
LIGHT_SPEED = 299.792458
VACUUM: dict[str, Any] = {}


def document(
    solids: Sequence[dict[str, Any]],
    *,
    materials: dict[str, Any] | None = None,
    surfaces: dict[str, Any] | None = None,
    **others: Any,
) -> dict[str, Any]:
    """Return a geometry document; solids are of vacuum in vacuum unless they say something else."""
    return {
        "format": "std-sim-geometry",
        "version": 1,
        "materials": {"vacuum": VACUUM, **(materials or {})},
        "surfaces": surfaces or {},
        "solids": [{"inner": "vacuum", "outer": "vacuum", **solid} for solid in solids],
        **others,
    }


def detector(solids: Sequence[dict[str, Any]], **others: Any) -> PhotonDetector:
    """Return the detector of a small geometry; parameters as of `document`."""
    return PhotonDetector.of(document(solids, **others))


def has(photons: NDArray[np.void], flag: Flag) -> NDArray[np.bool_]:
    """Return for each photon whether it has a flag."""
    mask: NDArray[np.bool_] = (photons["flags"] & np.uint32(flag)) != 0
    return mask


def directions(photons: NDArray[np.void]) -> NDArray[np.float64]:
    """Return the directions of photons, shape (n, 3)."""
    return np.column_stack([photons[name] for name in ("dx", "dy", "dz")]).astype(np.float64)


def polarisations(photons: NDArray[np.void]) -> NDArray[np.float64]:
    """Return the polarisations of photons, shape (n, 3)."""
    return np.column_stack([photons[name] for name in ("polx", "poly", "polz")]).astype(np.float64)


def assert_share(is_true: NDArray[np.bool_], expected: float) -> None:
    """Fail if a share is not what is expected, within `STANDARD_ERRORS` of a binomial distribution."""
    n = len(is_true)
    found = np.count_nonzero(is_true) / n
    error = math.sqrt(expected * (1 - expected) / n)
    assert abs(found - expected) <= STANDARD_ERRORS * error + 1e-12, (
        f"{found:.6f} of {n}, expected {expected:.6f} ± {error:.6f}"
    )


def assert_mean(values: NDArray[np.float64], expected: float, rounding: float = 0.0) -> None:
    """Fail if a mean is not what is expected, within `STANDARD_ERRORS` and a rounding."""
    found, error = float(np.mean(values)), float(np.std(values)) / math.sqrt(len(values))
    assert abs(found - expected) <= STANDARD_ERRORS * error + rounding, (
        f"{found:.6f}, expected {expected:.6f} ± {error:.6f}"
    )


def assert_distribution(values: NDArray[np.float64], cumulative: NDArray[np.float64]) -> None:
    """Fail if values do not follow a distribution, by the test of Kolmogorov and Smirnov at 6e-5 (4 standard errors).

    Parameters
    ----------
    cumulative
        The expected share of values up to each value.
    """
    n = len(values)
    ordered = np.sort(cumulative)
    steps = np.arange(1, n + 1) / n
    distance = max(float(np.max(steps - ordered)), float(np.max(ordered - steps + 1 / n)))
    limit = math.sqrt(-math.log(6e-5 / 2) / 2 / n)
    assert distance <= limit, f"is {distance:.5f} from the distribution, more than {limit:.5f}"
