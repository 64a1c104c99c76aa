"""A beamline that runs for long: memory and descriptors stay as they are."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from std_test_kit.beamline import Beamline

INSTANCES = ("udp-recv", "assembler", "writer-agent", "h5-writer-0")
N_IMAGES = 2000
# Allocators keep some freed memory: a leak of 4 kB an image shows clearly above this.
MAX_GROWTH_BYTES = 8_000_000

MakeConfig = Callable[..., dict[str, Any]]
OpenBeamline = Callable[[dict[str, Any]], Beamline]


def usage(beamline: Beamline) -> dict[str, tuple[int, int]]:
    """Return private memory in bytes and open descriptors of each service."""
    processes = {name: psutil.Process(beamline.record_of(name).pid) for name in INSTANCES}
    return {name: (process.memory_full_info().uss, process.num_fds()) for name, process in processes.items()}


def record(beamline: Beamline, file: Path, first_frame: int) -> None:
    exit_code, report = beamline.record(
        file,
        ["--n-images", str(N_IMAGES), "--compression", "bslz4"],
        ["simulate", "--n-images", str(N_IMAGES), "--rate-hz", "600", "--first-frame", str(first_frame)],
    )
    assert (exit_code, report["n_written"]) == (0, N_IMAGES), report


@pytest.mark.long
def test_memory_and_descriptors_do_not_grow_from_run_to_run(
    beamline_config: MakeConfig, open_beamline: OpenBeamline, tmp_path: Path
) -> None:
    config = beamline_config(
        "eiger",
        n_modules=1,
        bit_depth=8,
        image_pixel_height=256,
        image_pixel_width=514,
        module_positions={"0": [0, 0, 513, 255]},
    )
    beamline = open_beamline(config)
    record(beamline, tmp_path / "first.h5", 1)
    before = usage(beamline)
    record(beamline, tmp_path / "second.h5", N_IMAGES + 1)
    after = usage(beamline)
    for name in INSTANCES:
        assert after[name][0] - before[name][0] < MAX_GROWTH_BYTES, (name, before[name], after[name])
        assert after[name][1] <= before[name][1], name
