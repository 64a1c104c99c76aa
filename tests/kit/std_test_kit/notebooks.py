"""Notebooks that are executed by Jupyter, with a kernel of their own."""

import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import nbformat

import std_test_kit

_PATIENCE_S = 90.0


class NotebookProcess:
    """A notebook that Jupyter's nbconvert executes; a context manager.

    Parameters
    ----------
    folder
        Where it lies, and what Jupyter writes.
    cells
        Code of its cells.
    """

    def __init__(self, folder: Path, *cells: str) -> None:
        self._folder = folder
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
        nbformat.write(notebook, folder / "asked.ipynb")
        own = {name: str(folder / "jupyter") for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR")}
        # Cells wait with the kit.
        kit = str(Path(std_test_kit.__path__[0]).parent)
        own["PYTHONPATH"] = os.pathsep.join(filter(None, [kit, os.environ.get("PYTHONPATH")]))
        self._environment = {**os.environ, **own, "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        """Begin to execute it."""
        self._process = self._convert("asked.ipynb", "--execute", "--to", "notebook", "--output", "executed")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it, if it has not ended."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self._process.communicate(timeout=_PATIENCE_S)

    def outputs(self) -> list[list[dict[str, Any]]]:
        """Wait until it has been executed, and return what each cell has put out."""
        assert self._process is not None
        _finish(self._process)
        executed = nbformat.read(self._folder / "executed.ipynb", as_version=4)
        return [[dict(output) for output in cell.outputs] for cell in executed.cells]

    def page(self) -> Path:
        """Return the executed notebook as a page without scripts."""
        _finish(self._convert("executed.ipynb", "--to", "html", "--template", "basic"))
        return self._folder / "executed.html"

    def _convert(self, *arguments: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-m", "nbconvert", *arguments],
            cwd=self._folder,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


def html_of(outputs: list[dict[str, Any]]) -> str:
    """Return the HTML of the only output of a cell that has some."""
    (html,) = [str(output["data"]["text/html"]) for output in outputs if "text/html" in output.get("data", {})]
    return html


def _finish(process: "subprocess.Popen[str]") -> None:
    _, said = process.communicate(timeout=_PATIENCE_S)
    if process.returncode:
        raise AssertionError(said)
