"""attpc_spyral, the field's analysis, as a process in an environment of its own (tests/oracle/README.md)."""

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from std_daq.tpc.pads.attpc_plane import attpc_positions, attpc_scales
from std_daq.tpc.reconstruction.parameters import AnalysisParameters
from std_test_kit.helix_events import channel_lines

_ROOT = Path(__file__).parents[3]
DRIVER = _ROOT / "tests" / "oracle" / "spyral_driver.py"
PYTHON = Path(os.environ.get("STD_DAQ_SPYRAL_PYTHON") or _ROOT / ".oracle" / "bin" / "python")
TIMEOUT_S = 600

needs_field_analysis = pytest.mark.skipif(
    not PYTHON.is_file(), reason=f"attpc_spyral is not there: {PYTHON}; see tests/oracle/README.md"
)


def run_field_analysis(
    folder: Path, events: Mapping[int, NDArray[np.int16]], parameters: AnalysisParameters
) -> dict[str, NDArray[Any]]:
    """Return what attpc_spyral makes of events of the plane of the AT-TPC with the map of `channel_lines`."""
    positions = [f"{x!r},{y!r}" for x, y in attpc_positions().tolist()]
    tables = {
        "pad_electronics_path": channel_lines(),
        "pad_geometry_path": ["x,y", *positions],
        "pad_scale_path": ["scale", *map(repr, attpc_scales().tolist())],
        "pad_time_path": ["time", *("0.0" for _ in positions)],
    }
    pads = {}
    for name, lines in tables.items():
        file = folder / f"{name}.csv"
        file.write_text("\n".join([*lines, ""]))
        pads[name] = str(file)
    analysis = parameters.model_dump(exclude={"phases"})
    chamber, inputs, outputs = folder / "chamber.json", folder / "events.npz", folder / "found.npz"
    chamber.write_text(json.dumps({"pads": pads, "analysis": analysis}))
    matrices = {f"matrix_{event_id}": matrix for event_id, matrix in events.items()}
    np.savez(inputs, allow_pickle=False, ids=np.array(list(events)), **matrices)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [str(PYTHON), str(DRIVER), str(inputs), str(chamber), str(outputs)],
        stderr=subprocess.PIPE,
        text=True,
        timeout=TIMEOUT_S,
        env=environment,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    with np.load(outputs) as file:
        return dict(file)
