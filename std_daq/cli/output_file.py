"""Looking before the work begins whether its result can be written."""

import os
from pathlib import Path

from std_daq.errors import ConfigError


def check_output_file(path: Path, option: str) -> None:
    """Check that a file can be made at a path, or replaced there.

    Raises
    ------
    ConfigError
        It cannot; the text names the option.
    """
    folder = path.parent
    if not folder.is_dir():
        problem = f"there is no folder {folder}"
    elif path.is_dir():
        problem = "this is a folder"
    elif not os.access(path if path.exists() else folder, os.W_OK):
        problem = f"user {os.geteuid()} may not write there"
    else:
        return
    raise ConfigError(problem, key=option, value=str(path), remedy="give another path")
