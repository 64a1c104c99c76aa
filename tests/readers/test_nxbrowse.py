"""nxbrowse, a program in C over the library of NeXus, reads texts, numbers and pixels of the files."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from std_test_kit.image_files import image_of


@pytest.mark.parametrize(
    ("group", "dataset", "told"),
    [
        ("entry", "title", r"title\[\d+\] \(NX_CHAR\) = run"),
        ("entry", "definition", r"definition\[\d+\] \(NX_CHAR\) = NXmx"),
        ("entry/std_daq", "verdict", r"verdict\[\d+\] \(NX_CHAR\) = incomplete"),
        ("entry/sample", "depends_on", r"depends_on\[\d+\] \(NX_CHAR\) = /entry/sample/transformations/omega"),
        ("entry/sample/transformations", "omega[3]", r"omega\[3\] \(NX_FLOAT64\) = 10\.2"),
        ("entry/instrument/detector/detectorSpecific", "image_id[8]", r"image_id\[8\] \(NX_UINT64\) = 8"),
        ("entry/data", "data[8,4,7]", rf"data\[8,4,7\] \(NX_UINT16\) = {image_of(8)[3, 6]}"),
    ],
)
def test_nxbrowse_reads_what_is_in_the_file(path: Path, plugins: str, group: str, dataset: str, told: str) -> None:
    commands = [*(f"open {name}" for name in group.split("/")), f"read {dataset}"]
    ended = subprocess.run(
        ["nxbrowse", path],
        input="\n".join(commands) + "\n",
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={"PATH": os.environ["PATH"], "HDF5_PLUGIN_PATH": plugins},
    )
    assert "NX_class = NXroot" in ended.stdout
    assert re.search(told, ended.stdout), ended.stdout + ended.stderr
