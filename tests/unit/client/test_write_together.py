"""One request for several detectors."""

import pytest

from std_daq.client import write_together
from std_daq.errors import RequestRefusedError


def test_a_request_to_no_detector_is_refused() -> None:
    with pytest.raises(RequestRefusedError, match="give the client of at least one"):
        write_together([], "/data/run_{detector}.h5")
