"""Whether tests that need a GPU have one: a real one, or numba's simulator of one."""

import os

import pytest

from std_daq.errors import MissingExtraError
from std_daq.photons.cuda.device import obstacle_to

IS_SIMULATED = os.environ.get("NUMBA_ENABLE_CUDASIM") == "1"


def _why_not() -> str:
    try:
        obstacle = obstacle_to(0)
    except MissingExtraError as error:
        return str(error)
    return "" if obstacle is None else obstacle.problem


WHY_NO_GPU = _why_not()

needs_gpu = pytest.mark.skipif(
    bool(WHY_NO_GPU), reason=f"no GPU here: {WHY_NO_GPU}; test_simulator runs the same in numba's simulator"
)
