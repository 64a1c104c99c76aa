"""Measured values, from a program over a real broker into the files of a run."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import h5py
import pytest

from std_daq.amqp.connection import BrokerConnection
from std_daq.amqp.messages import Message
from std_daq.amqp.topology import VALUE, NothingOwned
from std_daq.cli.__main__ import main
from std_daq.client import DaqClient
from std_daq.client.status import StatusReader
from std_daq.errors import BrokerError, RequestRefusedError
from std_daq.imaging.config.model import DetectorConfig
from std_daq.imaging.files import layout
from std_daq.imaging.files.measured import read_logs
from std_daq.imaging.files.validate import validate
from std_daq.recording.requests import Action
from std_test_kit.agent import AgentThread, Client, MakeRing, make_config, publish
from std_test_kit.wait import wait_until

LIMIT_S = 20.0
UNITS = {"sample_x": "mm", "cryo": "K"}


@contextmanager
def h5_writer(config: DetectorConfig, config_file: Path) -> Iterator[None]:
    process = subprocess.Popen([sys.executable, "-m", "std_h5_writer", "--config", config_file], env=os.environ)
    try:
        wait_until(lambda: StatusReader(config).read().is_ready, 60.0)
        yield
    finally:
        process.terminate()
        process.wait(LIMIT_S)


@pytest.fixture
def config(shm_dir: Path, runtime: Path, tag: str, tmp_path: Path) -> DetectorConfig:
    config = make_config(shm_dir, tag, image_timeout_s=20.0).model_copy(update={"measured_values": UNITS})
    (tmp_path / "detector.json").write_text(config.model_dump_json(exclude_defaults=True))
    return config


@pytest.mark.long
def test_files_of_a_run_have_what_was_measured(
    broker_url: str,
    tag: str,
    config: DetectorConfig,
    ring_of: MakeRing,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    ring = ring_of(config, n_slots=64, shape=(514, 1030), n_modules=4)
    daq = DaqClient(config, broker_url)
    at = datetime(2026, 1, 31, 12, tzinfo=UTC)
    with (
        h5_writer(config, tmp_path / "detector.json"),
        Client(broker_url, tag) as client,
        AgentThread(config, broker_url) as agent,
    ):
        daq.send_values({"cryo": 80.5}, time=at)
        wait_until(lambda: agent.metric("daq_measured_values_total") == 1, LIMIT_S)
        for name, fields in (("one.h5", {}), ("many.h5", {"images_per_file": 3})):
            before = agent.metric("daq_measured_values_total")
            request = client.write(tmp_path / name, n_images=6, **fields)
            client.wait_until(request, lambda status: "waiting for the first" in status.message)
            publish(ring, range(3))
            client.wait_for(request, Action.START)
            daq.send_values({"sample_x": 1.0, "cryo": 79.0})
            daq.send_values({"sample_x": 2.0})
            wait_until(lambda before=before: agent.metric("daq_measured_values_total") == before + 3, LIMIT_S)
            publish(ring, range(3, 6))
            end = client.wait_for_end(request)
            assert end.report is not None
            assert end.report.n_written == 6, end
        # late: its run has ended
        daq.send_values({"cryo": 1.0}, time=at)
        wait_until(lambda: agent.metric("daq_measured_values_total") == 8, LIMIT_S)

        monkeypatch.setenv("STD_DAQ_BROKER_URL", broker_url)
        option = ["--config", str(tmp_path / "detector.json")]
        assert main(["value", *option, "sample_x=3", "cryo=4", "--time", "2026-01-31T12:00:00"]) == 0
        assert capsys.readouterr().out == "2 sent\n"
        wait_until(lambda: agent.metric("daq_measured_values_total") == 10, LIMIT_S)
        assert main(["value", *option, "sample_y=3"]) == 2
        assert "did you mean 'sample_x'?" in capsys.readouterr().err
    for name, n_before in (("one.h5", 0), ("many.h5", 1)):
        with h5py.File(tmp_path / name) as file:
            logs = read_logs(file)
            assert logs["sample_x"].values == [2.0] * n_before + [1.0, 2.0]
            assert logs["sample_x"].unit == "mm"
            assert logs["cryo"].values == [80.5 if not n_before else 79.0, 79.0]
        assert not [problem for problem in validate(tmp_path / name).problems if "checksum" in problem.text]
    with h5py.File(tmp_path / "one.h5") as file:
        assert read_logs(file)["cryo"].times_ns[0] == int(at.timestamp()) * 10**9
    with h5py.File(tmp_path / "many_data_000001.h5") as file:
        assert layout.MEASURED not in file


@pytest.mark.long
def test_flood_of_a_hostile_client_harms_nobody(
    broker_url: str, tag: str, config: DetectorConfig, ring_of: MakeRing, tmp_path: Path
) -> None:
    ring = ring_of(config, n_slots=64, shape=(514, 1030), n_modules=4)
    connection = BrokerConnection(broker_url, NothingOwned(), name="hostile")
    with (
        h5_writer(config, tmp_path / "detector.json"),
        Client(broker_url, tag) as client,
        AgentThread(config, broker_url) as agent,
        connection,
    ):
        connection.wait_connected(LIMIT_S)
        bodies = [b"[" * 3_000_000, b"\x00" * 1000, b'{"name": "sample_x", "value": 1}', b'{"name": "q", "value": 1}']
        sent = [
            connection.publish(Message(exchange=VALUE, routing_key=tag, body=body, correlation_id=""))
            for body in bodies * 5 + bodies[1:] * 500
        ]
        request = client.write(tmp_path / "run.h5", n_images=6)
        client.wait_until(request, lambda status: "waiting for the first" in status.message)
        publish(ring, range(6))
        end = client.wait_for_end(request)
        assert end.report is not None
        assert end.report.n_written == 6, end
        killed = client.write(tmp_path / "killed.h5")
        client.wait_until(killed, lambda status: "waiting for the first" in status.message)
        client.kill(killed)
        client.wait_for_end(killed)
        for confirmation in sent:
            confirmation.result(LIMIT_S)
        assert agent.metric("daq_measured_values_total") > 0


def test_sender_is_told_that_nobody_takes_values(
    broker_url: str, tag: str, config: DetectorConfig, shm_dir: Path
) -> None:
    with pytest.raises(RequestRefusedError, match="no value 'cryo' is in measured_values"):
        DaqClient(make_config(shm_dir, tag), broker_url).send_values({"cryo": 1.0})
    with pytest.raises(RequestRefusedError, match="finite number"):
        DaqClient(config, broker_url).send_values({"cryo": float("nan")})
    with pytest.raises(BrokerError, match="with names in its measured_values"):
        DaqClient(config, broker_url).send_values({"cryo": 1.0})
