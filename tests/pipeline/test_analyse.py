"""``std-daq analyse`` with workers: processes of this machine, and those of a Dask cluster."""

import json
import os
import signal
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path

import h5py
import numpy as np
import pytest

from std_test_kit.free_ports import free_tcp_port
from std_test_kit.helix_events import channel_lines, helix_event
from std_test_kit.wait import wait_until

PYTHON = sys.executable
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


@pytest.fixture
def files(tmp_path):
    (tmp_path / "map.csv").write_text("\n".join(channel_lines()))
    document = {
        "detector_name": "chamber",
        "detector_type": "get-tpc",
        "exporters": ["127.0.0.1:46000"],
        "pads": {"electronics": "map.csv", "geometry": "attpc", "scale": "attpc", "beam_radius_mm": 20},
    }
    (tmp_path / "tpc.json").write_text(json.dumps(document))
    matrices = [helix_event(seed) for seed in range(3)]
    for name in ("run_0001.h5", "run_0002.h5"):
        with h5py.File(tmp_path / name, "w") as file:
            events = file.create_group("events")
            events.attrs["version"] = "libattpc_merger:1.0"
            for n in range(40):
                traces = events.create_dataset(f"event_{n}/get_traces", data=matrices[n % 3])
                traces.attrs.update(id=np.uint32(n), timestamp=np.uint64(n), timestamp_other=np.uint64(n))
    return tmp_path


def _command(folder, output, *options):
    runs = [str(folder / name) for name in ("run_0001.h5", "run_0002.h5")]
    config = ("--config", str(folder / "tpc.json"))
    return [PYTHON, "-m", "std_daq.cli", "analyse", *runs, *config, "--output", str(folder / output), *options]


def _analyse(folder, output, *options):
    done = subprocess.run(
        _command(folder, output, *options), capture_output=True, text=True, timeout=100, env=ENVIRONMENT, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _content(path):
    content = {}
    with h5py.File(path) as file:

        def take(name, item):
            if isinstance(item, h5py.Dataset):
                content[name] = (item.dtype, item.shape, item[()].tobytes(), sorted(map(str, item.attrs.items())))

        file.visititems(take)
    return content


@pytest.mark.long
def test_two_processes_give_the_same_as_one_to_the_bit_though_they_were_killed_on_the_way(files):
    _analyse(files, "one.h5", "--workers", "1")
    analysis = subprocess.Popen(_command(files, "two.h5", "--workers", "2"), stderr=subprocess.DEVNULL, env=ENVIRONMENT)
    try:
        wait_until(lambda: any(files.glob(".two.h5.parts/*/0*.npz")), timeout_s=60)
        children = Path(f"/proc/{analysis.pid}/task/{analysis.pid}/children").read_text().split()
        assert len(children) >= 2
    finally:
        analysis.kill()
        analysis.wait()
    wait_until(lambda: not any(Path(f"/proc/{child}").exists() for child in children), timeout_s=20)
    said = _analyse(files, "two.h5", "--workers", "2")
    assert "80 events" in said
    assert "of them done before" in said
    assert _content(files / "two.h5") == _content(files / "one.h5")
    assert not list(files.glob(".two.h5*"))


@contextmanager
def _dask_cluster(folder, n_workers):
    """Start a scheduler and workers of one thread each; yields the address and the workers."""
    address = f"tcp://127.0.0.1:{free_tcp_port()}"
    with ExitStack() as stack:

        def start(*arguments):
            process = subprocess.Popen(
                [PYTHON, "-m", "distributed.cli.dask_" + arguments[0], *arguments[1:]],
                cwd=folder,
                env=ENVIRONMENT,
                stderr=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                start_new_session=True,
            )
            stack.callback(_end, process)
            return process

        port = address.rpartition(":")[2]
        start("scheduler", "--host", "127.0.0.1", "--port", port, "--no-dashboard", "--no-show")
        workers = [
            start("worker", address, "--nthreads", "1", "--no-nanny", "--no-dashboard") for _ in range(n_workers)
        ]
        yield address, workers


def _end(process):
    with_group = os.getpgid(process.pid) if process.poll() is None else None
    if with_group is not None:
        os.killpg(with_group, signal.SIGKILL)
    process.wait()


@pytest.mark.long
def test_a_dask_cluster_of_which_a_worker_is_killed_gives_the_same_to_the_bit(files):
    _analyse(files, "one.h5", "--workers", "1")
    with _dask_cluster(files, 2) as (address, workers):
        analysis = subprocess.Popen(
            _command(files, "dask.h5", "--dask", address), stderr=subprocess.PIPE, text=True, env=ENVIRONMENT
        )
        parts: Path = files / ".dask.h5.parts"
        wait_until(lambda: any(parts.glob("*/0*.npz")), timeout_s=60)
        workers[0].kill()
        _, errors = analysis.communicate(timeout=100)
        assert analysis.returncode == 0, errors
    assert _content(files / "dask.h5") == _content(files / "one.h5")


@pytest.mark.long
def test_a_scheduler_that_does_not_answer_is_told(files):
    address = f"tcp://127.0.0.1:{free_tcp_port()}"
    done = subprocess.run(
        _command(files, "dask.h5", "--dask", address), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    first, *_, last = done.stderr.splitlines()
    assert first == f"std-daq analyse: connecting to the Dask scheduler at {address}, for at most 10 s"
    assert f"no Dask scheduler answers at {address}: is that the address that it prints" in last
