"""Opens ROOT files without the threads that uproot otherwise leaves behind."""

from pathlib import Path
from typing import Any

import uproot


def open_root(path: Path) -> Any:
    """Return a file, a context manager."""
    return uproot.open(path, handler=uproot.source.file.MemmapSource)
