"""Python without the libraries of the extras, as the bare package leaves it."""

import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PROJECT = Path(__file__).parents[3]
# A finder that stands before all others and finds none of these modules.
WITHOUT = """
import sys
from importlib.abc import MetaPathFinder
class Without(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {modules!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Without())
"""

RunPython = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def extras() -> dict[str, list[str]]:
    """The requirements of each extra that users install."""
    project: dict[str, Any] = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    return {
        name: needs for name, needs in project["optional-dependencies"].items() if name not in {"build", "dev", "docs"}
    }


@pytest.fixture
def run_without() -> RunPython:
    """Run code in a Python that finds none of the modules given."""

    def run(modules: set[str], code: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-c", WITHOUT.format(modules=modules) + code, *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    return run
