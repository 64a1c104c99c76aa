"""A real std-live-view as a process: health, reflection, signals, addresses, keep-alive."""

import os
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from std_daq.telescope.pff import PRODUCTS
from std_test_kit.daqdata_clients import TableClient
from std_test_kit.live_view_calls import SOCKETS, Code, begun, fails, live_view, n_streams
from std_test_kit.live_view_process import LiveViewProcess
from std_test_kit.wait import wait_until


def test_health_tells_when_the_server_serves_and_reflection_what() -> None:
    with live_view() as (_, client):
        health = health_pb2_grpc.HealthStub(client.channel)  # type: ignore[no-untyped-call]
        for name in ("", "daqdata.DaqData"):
            answer = health.Check(health_pb2.HealthCheckRequest(service=name), timeout=5)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
        told: list[int] = []
        watch = health.Watch(health_pb2.HealthCheckRequest(service="daqdata.DaqData"), timeout=20)
        told.append(next(watch).status)
        client.init(simulate_daq=True)
        told += [next(watch).status, next(watch).status]
        serving, not_serving = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
        assert told == [serving, not_serving, serving]
        watch.cancel()
        database = ProtoReflectionDescriptorDatabase(client.channel)
        assert "daqdata.DaqData" in database.get_services()
        file = database.FindFileContainingSymbol("daqdata.DaqData")
        assert {"StreamImages", "InitHpIo", "Ping", "UploadImages"} <= {
            method.name for method in file.service[0].method
        }


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_streams_with_cancelled_and_removes_the_sockets(number: signal.Signals) -> None:
    with live_view(sources=SOCKETS) as (process, client):
        client.init(data_dir="/")
        streams = [client.stream(update_interval_seconds=interval_s) for interval_s in (0.001, 30.0)]
        client.upload([client.image()])
        for stream in streams:
            next(stream)
        assert {path.name for path in process.folder.glob("*sock*")} == {
            "live.sock", *(f"sock_{name}" for name in PRODUCTS),
        }  # fmt: skip
        begun_s = time.monotonic()
        ended: list[int] = []
        ending = threading.Thread(target=lambda: ended.append(process.end(number)))
        ending.start()
        for stream in streams:
            with fails(Code.CANCELLED, "server shutdown_event set for (..."):
                next(stream)
        assert time.monotonic() - begun_s < 1.0
        ending.join()
        assert ended == [0]
        assert time.monotonic() - begun_s < 4.0
        assert list(process.folder.glob("*sock*")) == []


@pytest.mark.long
def test_stale_socket_is_replaced_and_one_that_is_served_is_refused() -> None:
    with LiveViewProcess() as process:
        process.end(signal.SIGKILL)
        assert process.socket.exists()
        process.start()
        command = [sys.executable, "-m", "std_live_view", "--config", str(process.folder / "live.json")]
        second = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        assert second.returncode == 1
        assert "somebody listens on" in second.stderr
        with TableClient(process.target) as client:
            assert client.ping(5.0)


def test_another_file_in_the_place_of_the_socket_is_left_as_it_is() -> None:
    server = LiveViewProcess()
    server.socket.write_text("somebody's file")
    command = [sys.executable, "-m", "std_live_view", "--config", str(server.config)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert f"{server.socket.name} is no socket; it is left as it is" in done.stderr
    assert server.socket.read_text() == "somebody's file"
    server.__exit__()


@pytest.mark.long
def test_sockets_are_for_their_user_and_stale_ones_of_the_acquisition_are_replaced() -> None:
    with live_view(sources=SOCKETS) as (process, client):
        client.init(data_dir="/")
        sockets = [process.folder / f"sock_{name}" for name in PRODUCTS]
        assert {stat.S_IMODE(path.stat().st_mode) for path in sockets} == {0o600}
        assert stat.S_IMODE(process.socket.stat().st_mode) == 0o660
        process.end(signal.SIGKILL)
        assert all(path.is_socket() for path in sockets)
        process.start()
        assert client.init(data_dir="/").success


@pytest.mark.parametrize("start", [None, {"data_dir": "/no/such/folder"}], ids=["no source", "a source that fails"])
def test_server_is_ready_before_three_seconds_of_work(start: dict[str, str] | None) -> None:
    with live_view(sources=SOCKETS | {"run_directory": {}}, start=start) as (process, client):
        # Time of the processor: what else the machine does must not count.
        ticks = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[11:13]
        assert sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK") < 3.0
        assert process.socket.is_socket()
        assert client.ping(3.0)


def test_stream_that_is_begun_while_the_server_ends_is_told_so() -> None:
    with live_view(port=0) as (process, client):
        client.init(data_dir="/")
        stream = begun(client)
        os.kill(process.pid, signal.SIGTERM)
        with fails(Code.CANCELLED):
            next(stream)
        for _ in range(20):
            with pytest.raises(grpc.RpcError) as ended:
                next(client.stream(timeout_s=5))
            assert ended.value.code() in (Code.CANCELLED, Code.UNAVAILABLE)  # both are an end to existing clients


@pytest.mark.long
@pytest.mark.timeout(240)
def test_silent_stream_of_a_client_that_pings_stays_connected() -> None:
    pings = [
        ("grpc.keepalive_time_ms", 10_000),
        ("grpc.keepalive_timeout_ms", 5000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
    ]
    silent_s = 45.0  # a server that minds ends it at the third ping
    with live_view() as (process, client), TableClient(process.target, options=pings) as silent:
        client.init(data_dir="/")
        stream = begun(silent, timeout_s=silent_s + 60.0)
        with pytest.raises(TimeoutError):
            wait_until(lambda: n_streams(client) == 0, silent_s)
        client.upload([client.image(frame_number=5)])
        assert next(stream).pano_image.frame_number == 5


@pytest.mark.long
def test_second_server_on_the_same_port_is_refused() -> None:
    with LiveViewProcess(port=0) as process:
        wait_until(lambda: bool(process.logged("listening")), 5.0)
        port = process.logged("listening")[0]["port"]
        second = LiveViewProcess(port=port)
        command = [sys.executable, "-m", "std_live_view", "--config", str(second.folder / "live.json")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        second.__exit__()
        assert done.returncode == 1
        assert (
            f"127.0.0.1:{port} cannot be bound: Address already in use: `ss -lnptu` shows by which program"
            in done.stderr
        )
