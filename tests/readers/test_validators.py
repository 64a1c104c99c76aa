"""Validators of NeXus accept the files."""

import subprocess
from pathlib import Path

import pytest

from .conftest import write


def validate(python: Path, program: str, *arguments: str | Path, home: Path) -> str:
    ended = subprocess.run(
        [python.parent / program, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
        env={"PATH": str(python.parent), "HOME": str(home)},
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_nxvalidate_finds_no_error(path: Path, readers_python: Path) -> None:
    assert "Total number of errors: 0" in validate(readers_python, "nxvalidate", path, home=path.parent)


def test_punx_finds_no_error(path: Path, readers_python: Path) -> None:
    report = validate(readers_python, "punx", "validate", path, "--report", "ERROR", home=path.parent)
    assert "summary statistics" in report
    assert [line for line in report.splitlines() if line.startswith("/")] == []


def test_links_at_the_root_are_what_validators_do_not_accept(tmp_path: Path, readers_python: Path) -> None:
    path = write(tmp_path / "a.h5", has_root_links=True)
    report = validate(readers_python, "punx", "validate", path, "--report", "ERROR", home=path.parent)
    assert [line.split()[0] for line in report.splitlines() if line.startswith("/")] == ["/JF-test"]


@pytest.mark.parametrize("reader", ["fabio.eigerimage.EigerImage", "fabio.hdf5image.Hdf5Image"])
def test_fabio_shows_the_images(path: Path, readers_python: Path, reader: str) -> None:
    script = """
import sys, fabio
module, _, name = sys.argv[2].rpartition(".")
path = sys.argv[1] + ("::/entry/data/data" if name == "Hdf5Image" else "")
image = fabio.open(path)
assert type(image).__name__ == name, type(image)
print(image.nframes, image.getframe(3).data.sum())
"""
    read = subprocess.check_output([readers_python, "-c", script, path, reader], text=True, timeout=100)
    from std_test_kit.image_files import image_of

    assert read.split() == ["8", str(image_of(4).sum())]
