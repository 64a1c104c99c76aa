"""Fixtures of the tests with containers and with several servers."""

import os
import shutil
from collections.abc import Iterator

import pytest

from std_daq.testing.network_lab import NetworkLab


@pytest.fixture
def network_lab() -> Iterator[NetworkLab]:
    """Two servers and a wire between them."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("a network lab needs root and iproute2")
    with NetworkLab() as lab:
        yield lab
