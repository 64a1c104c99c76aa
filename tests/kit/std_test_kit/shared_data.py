"""Packets and files of real detectors, which lie beside the project and not in it."""

import os
from pathlib import Path

import pytest

SHARED_DATA = Path(os.environ.get("STD_DAQ_SHARED_DATA") or Path(__file__).parents[4] / "shared" / "data")
REAL_EIGER = SHARED_DATA / "eiger_module"
REAL_TELESCOPE = SHARED_DATA / "panoseti"
REAL_GET = SHARED_DATA / "get"


def needs_data(folder: Path) -> pytest.MarkDecorator:
    """Return the mark of a test that is skipped without a folder of `SHARED_DATA`."""
    return pytest.mark.skipif(not folder.is_dir(), reason=f"there is no {folder}; set STD_DAQ_SHARED_DATA")
