"""A real std-live-view with clients of all generations: sources, filters, InitHpIo, every status code."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import trustme
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from std_daq.telescope.daqdata import daq_data_pb2 as messages
from std_daq.telescope.pff import PRODUCTS, Product
from std_daq.telescope.pff.header import HeaderForm
from std_daq.telescope.pff.writer import encode_frame
from std_test_kit.daqdata_clients import GENERATIONS, TableClient
from std_test_kit.live_view_process import LiveViewProcess
from std_test_kit.store_driver import RingPublisher
from std_test_kit.telescope_frames import make_header, make_pixels, make_run, write_pff
from std_test_kit.wait import wait_until

Code = grpc.StatusCode
IMG16, PH256 = PRODUCTS["img16"], PRODUCTS["ph256"]
SOCKETS = {"unix_sockets": {"path_template": "sock_{dp_name}"}}
UPLOADS_ONLY: dict[str, Any] = {"sources": {"uploads": True}}


@contextlib.contextmanager
def fails(code: Code, text: str = "") -> Iterator[None]:
    with pytest.raises(grpc.RpcError) as failed:
        yield
    assert (failed.value.code(), failed.value.details()) == (code, text or failed.value.details())


@contextlib.contextmanager
def live_view(**config: Any) -> Iterator[tuple[LiveViewProcess, TableClient]]:
    with LiveViewProcess(**config) as process, TableClient(process.target) as client:
        yield process, client


def upload_image(client: TableClient, product: Product, number: int, module_id: int = 1, **fields: Any) -> Any:
    pixels = make_pixels(product, number, module_id)
    return client.image(
        **{
            "type": 1 if product.is_pulse_height else 2,
            "shape": product.shape,
            "bytes_per_pixel": product.dtype.itemsize,
            "image_array": pixels.view(f"u{product.dtype.itemsize}").reshape(-1).tolist(),
            "header": make_header(product, number),
            "module_id": module_id,
            "frame_number": number,
        }
        | fields
    )


def assert_is_frame(image: Any, product: Product, number: int, module_id: int = 1) -> None:
    """Check that an image is bit for bit the one of the generator."""
    pixels = np.array(image.image_array, np.uint32).astype(f"<u{product.dtype.itemsize}").tobytes()
    assert pixels == make_pixels(product, number, module_id).tobytes()
    assert (tuple(image.shape), image.bytes_per_pixel) == (product.shape, product.dtype.itemsize)
    assert (image.type == image.PULSE_HEIGHT) == product.is_pulse_height
    assert image.module_id == module_id
    header = {name: image.header[name] for name in image.header.fields}
    for key, value in make_header(product, number).items():
        assert (dict(header[key].items()) if isinstance(value, dict) else header[key]) == value


def begun(client: TableClient, **fields: Any) -> Any:
    """Return a stream that the server has begun: nothing that is sent from now on is missed."""
    n_streams = _n_streams(client)
    stream = client.stream(**fields)
    wait_until(lambda: _n_streams(client) > n_streams, 5.0)
    return stream


def _n_streams(client: TableClient) -> int:
    raw = client.channel.unary_unary("/daqdata.DaqData/Status")(b"", timeout=5)
    return len(messages.StatusResponse.FromString(raw).clients)


# -- status codes


def test_calls_before_init_are_refused_and_ping_is_answered(tmp_path: Path) -> None:
    with live_view(max_streams=2) as (_, client):
        assert client.ping()
        assert (client.status().hp_io_initialized, client.status().message) == (
            False, "hp_io task is not initialized.",
        )  # fmt: skip
        with fails(Code.FAILED_PRECONDITION, "hp_io task is not valid."):
            next(client.stream())
        with fails(Code.FAILED_PRECONDITION, "hp_io task is not valid."):
            client.upload([client.image()])


def test_wrong_requests_have_the_codes_that_clients_know(tmp_path: Path) -> None:
    with live_view(max_streams=2, required_process="std-daq-no-such-process", min_update_interval_s=0.01) as (
        _,
        client,
    ):
        with fails(Code.INVALID_ARGUMENT, "data_dir '/no/such/folder' does not exist."):
            client.init(data_dir="/no/such/folder")
        with fails(Code.FAILED_PRECONDITION, "Real DAQ software is not active."):
            client.init(data_dir=str(tmp_path))
        for interval_s in (0.0, -1.0, 0.009, float("nan"), float("inf")):
            with fails(Code.INVALID_ARGUMENT, "update_interval_seconds is below server minimum."):
                client.init(simulate_daq=True, update_interval_seconds=interval_s)
        assert client.init(simulate_daq=True, update_interval_seconds=0.01).success
        with fails(Code.INVALID_ARGUMENT, "At least one stream flag must be True."):
            next(client.stream(stream_movie_data=False, stream_pulse_height_data=False))
        streams = [client.stream() for _ in range(2)]
        for stream in streams:
            next(stream)
        with fails(Code.RESOURCE_EXHAUSTED, "Max clients (2) reached."):
            next(client.stream())
        streams[0].cancel()
        wait_until(lambda: _n_streams(client) == 1, 1.0)
        next(client.stream())


def test_process_that_is_required_is_found_by_its_name(tmp_path: Path) -> None:
    name = f"hp-{os.getpid()}"
    (tmp_path / name).symlink_to(sys.executable)
    with live_view(required_process=name) as (_, client):
        with fails(Code.FAILED_PRECONDITION, "Real DAQ software is not active."):
            client.init(data_dir=str(tmp_path))
        program = subprocess.Popen([tmp_path / name, "-c", "print(flush=True); input()"], stdin=-1, stdout=-1)
        with program:
            assert program.stdout is not None
            program.stdout.readline()
            assert client.init(data_dir=str(tmp_path)).success
            program.communicate(b"\n")


def test_stream_that_is_sent_nothing_ends_after_the_configured_time() -> None:
    with live_view(no_data_timeout_s=0.5) as (_, client):
        client.init(data_dir="/")
        begun_s = time.monotonic()
        with fails(Code.DEADLINE_EXCEEDED, "No data received within timeout window."):
            next(client.stream())
        assert 0.4 < time.monotonic() - begun_s < 3.0


def test_hostile_uploads_end_only_their_own_call() -> None:
    with live_view() as (_, client):
        client.init(data_dir="/")
        stream = client.stream()
        client.upload([client.image(frame_number=1), None])
        assert next(stream).pano_image.frame_number == 1
        for fields in (
            {"shape": [3, 3], "image_array": range(9)},
            {"module_id": 70000},
            {"image_array": [2**20] * 1024},
        ):
            with fails(Code.INVALID_ARGUMENT):
                client.upload([client.image(**fields)])
        with fails(Code.RESOURCE_EXHAUSTED):
            client.upload([client.image(image_array=[2**31] * 2_000_000)])
        client.upload([client.image(frame_number=2)])
        assert next(stream).pano_image.frame_number == 2


def test_uploads_that_are_switched_off_are_unimplemented() -> None:
    with live_view(sources={"uploads": False}) as (_, client):
        client.init(data_dir="/")
        with fails(Code.UNIMPLEMENTED):
            client.upload([client.image()])


# -- InitHpIo


def test_forced_init_ends_every_stream_within_a_second_whatever_its_interval() -> None:
    with live_view() as (_, client):
        client.init(data_dir="/")
        streams = [client.stream(update_interval_seconds=interval_s) for interval_s in (0.001, 5.0, 60.0)]
        client.upload([client.image()])
        for stream in streams:
            next(stream)
        with fails(Code.FAILED_PRECONDITION):
            client.init(data_dir="/")
        client.upload([client.image(frame_number=7)])
        assert next(streams[0]).pano_image.frame_number == 7
        begun_s = time.monotonic()
        assert client.init(data_dir="/", force=True).success
        for stream in streams:
            with fails(Code.CANCELLED):
                next(stream)
        assert time.monotonic() - begun_s < 1.0
        next_stream = client.stream()
        client.upload([client.image(frame_number=9)])
        assert next(next_stream).pano_image.frame_number == 9


def test_failed_init_leaves_the_sources_before_it_working(tmp_path: Path) -> None:
    with live_view(sources=SOCKETS) as (process, client):
        assert client.init(data_dir="/").success
        (process.folder / "sock_img8").unlink()
        (process.folder / "sock_img8").write_text("somebody's file")
        answer = client.init(data_dir=str(tmp_path))
        assert not answer.success
        assert "sock_img8 is no socket; it is left as it is" in answer.error_message
        assert "could not be started again" in answer.error_message
        (process.folder / "sock_img8").unlink()
        assert client.init(data_dir="/").success
        broken = {"mode": "uds", "movie_file": "nothing.pff"}
    with live_view(sources=SOCKETS, simulation=broken) as (process, client):
        assert client.init(data_dir="/").success
        answer = client.init(simulate_daq=True)
        assert not answer.success
        assert "nothing.pff" in answer.error_message
        with Producer(process, PH256) as producer:
            producer.send(1)
            assert next(client.stream()).pano_image.module_id == 1


def test_client_that_never_reads_disturbs_neither_others_nor_init() -> None:
    with live_view(sources=SOCKETS) as (process, client), TableClient(process.target) as idle:
        client.init(data_dir="/")
        silent = idle.stream()
        with Producer(process, IMG16) as producer:
            stream = client.stream()
            producer.send(0)
            next(stream)
            for number in range(1, 2000):
                producer.send(number)
                if number % 10 == 0:
                    time.sleep(0.002)
            newest = next(one for one in stream if one.pano_image.header["quabo_0"]["pkt_num"] == 1999)
            assert newest
        assert _n_streams(client) == 2
        assert client.init(data_dir="/", force=True).success
        wait_until(lambda: _n_streams(client) == 0, 2.0)
        silent.cancel()


def test_slot_of_a_client_that_was_killed_is_free_within_a_second() -> None:
    code = "for _ in TableClient(sys.argv[1]).stream(): print('got', flush=True)"
    code = f"import sys; from std_test_kit.daqdata_clients import TableClient\n{code}"
    with live_view(max_streams=1) as (process, client):
        client.init(simulate_daq=True)
        with subprocess.Popen([sys.executable, "-c", code, process.target], stdout=subprocess.PIPE) as program:
            assert program.stdout is not None
            assert program.stdout.readline() == b"got\n"
            program.kill()
        wait_until(lambda: _n_streams(client) == 0, 1.0)
        next(client.stream())


def test_a_hundred_streams_work_and_one_more_is_refused_while_strangers_connect() -> None:
    with live_view(max_streams=100, port=0) as (process, client):
        client.init(data_dir="/")
        streams = [client.stream() for _ in range(100)]
        wait_until(lambda: _n_streams(client) == 100, 10.0)
        with fails(Code.RESOURCE_EXHAUSTED, "Max clients (100) reached."):
            next(client.stream())
        address = ("127.0.0.1", process.logged("listening")[0]["port"])
        with contextlib.ExitStack() as strangers:
            for _ in range(300):
                strangers.enter_context(socket.create_connection(address)).sendall(os.urandom(64))
            client.upload([client.image(frame_number=3)])
            assert [next(stream).pano_image.frame_number for stream in streams] == [3] * 100
            assert client.ping(5.0)


def test_deleted_data_folder_is_told_and_its_return_is_followed(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    write_pff(make_run(data_dir), PH256, 1)
    with live_view(sources={"run_directory": {"method": "poll"}}) as (_, client):
        client.init(data_dir=str(data_dir))
        stream = client.stream()
        assert_is_frame(next(stream).pano_image, PH256, 0)
        shutil.rmtree(data_dir)

        def problem() -> str:
            raw = client.channel.unary_unary("/daqdata.DaqData/Status")(b"", timeout=5)
            return messages.StatusResponse.FromString(raw).sources[0].problem

        wait_until(lambda: problem() == f"{data_dir} is gone", 5.0)
        write_pff(make_run(data_dir), PH256, 1)
        assert_is_frame(next(stream).pano_image, PH256, 0)
        wait_until(lambda: problem() == "", 5.0)


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
            with fails(Code.CANCELLED):
                next(stream)
        assert time.monotonic() - begun_s < 1.0
        ending.join()
        assert ended == [0]
        assert time.monotonic() - begun_s < 4.0
        assert list(process.folder.glob("*sock*")) == []


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


@pytest.mark.long
def test_silent_stream_of_a_client_that_pings_stays_connected() -> None:
    pings = [
        ("grpc.keepalive_time_ms", 6000),
        ("grpc.keepalive_timeout_ms", 5000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
    ]
    silent_s = 30.0  # a server that minds ends it at the third ping
    with live_view() as (process, client), TableClient(process.target, options=pings) as silent:
        client.init(data_dir="/")
        stream = begun(silent)
        with pytest.raises(TimeoutError):
            wait_until(lambda: _n_streams(client) == 0, silent_s)
        client.upload([client.image(frame_number=5)])
        assert next(stream).pano_image.frame_number == 5


# -- access


def certificates(folder: Path) -> trustme.CA:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    for name in ("server", "client"):
        pair = authority.issue_cert("127.0.0.1", "localhost")
        pair.private_key_pem.write_to_path(str(folder / f"{name}-key.pem"))
        pair.cert_chain_pems[0].write_to_path(str(folder / f"{name}.pem"))
    return authority


def test_port_with_tls_takes_only_clients_with_a_certificate_of_the_authority(tmp_path: Path) -> None:
    certificates(tmp_path)
    tls = {
        "cert_file": str(tmp_path / "server.pem"),
        "key_file": str(tmp_path / "server-key.pem"),
        "client_ca_file": str(tmp_path / "ca.pem"),
    }
    authority, key, certificate = (
        (tmp_path / name).read_bytes() for name in ("ca.pem", "client-key.pem", "client.pem")
    )
    with live_view(port=0, tls=tls) as (process, _):
        wait_until(lambda: bool(process.logged("listening")), 5.0)
        target = f"127.0.0.1:{process.logged('listening')[0]['port']}"
        answers = []
        for credentials in (
            grpc.ssl_channel_credentials(authority, key, certificate),
            grpc.ssl_channel_credentials(authority),
            None,
        ):
            channel = grpc.insecure_channel(target) if credentials is None else grpc.secure_channel(target, credentials)
            with channel:
                try:
                    channel.unary_unary("/daqdata.DaqData/Ping")(b"", timeout=5)
                    answers.append("answered")
                except grpc.RpcError as refused:
                    answers.append(refused.code().name)
        assert answers == ["answered", "UNAVAILABLE", "UNAVAILABLE"]


@pytest.mark.parametrize("mode", ["uds", "rpc"])
def test_calls_without_the_token_are_refused_and_health_is_open(mode: str, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("open sesame\n")
    start = {"simulate": True, "update_interval_s": 0.01}
    simulation = {"mode": mode}
    with (
        LiveViewProcess(token_file=str(tmp_path / "token"), start=start, simulation=simulation) as process,
        TableClient(process.target) as client,
    ):
        for call in (client.init, client.status, lambda: next(client.stream()), lambda: client.upload([])):
            with fails(Code.UNAUTHENTICATED):
                call()
        health = health_pb2_grpc.HealthStub(client.channel)  # type: ignore[no-untyped-call]
        assert health.Check(health_pb2.HealthCheckRequest(), timeout=5).status == 1
        request = messages.StreamImagesRequest(stream_movie_data=True).SerializeToString()
        for token, expected in (("open sesame", None), ("open", Code.UNAUTHENTICATED)):
            call = client.channel.unary_stream("/daqdata.DaqData/StreamImages")(
                request, metadata=[("authorization", f"Bearer {token}")], timeout=20
            )
            with contextlib.nullcontext() if expected is None else fails(expected):
                next(call)


@pytest.mark.parametrize(
    ("config", "what"),
    [
        ({"token_file": "no-such-file"}, "key 'token_file': cannot be read"),
        ({"token_file": "empty"}, "key 'token_file': the file is empty"),
        (
            {"tls": {"cert_file": "live.json", "key_file": "live.json"}},
            "key 'tls.cert_file': certificate and key do not fit",
        ),
        ({"tls": {"cert_file": "no-such-file", "key_file": "live.json"}}, "key 'tls.cert_file': cannot be read"),
    ],
)
def test_file_of_the_access_that_is_wrong_is_named(config: dict[str, Any], what: str) -> None:
    process = LiveViewProcess(**config)
    (process.folder / "empty").touch()
    command = [sys.executable, "-m", "std_live_view", "--config", str(process.folder / "live.json")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2
    assert what in done.stderr
    process.__exit__()


# -- sources


class Producer:
    """Writes frames into a socket of the server, as an acquisition does."""

    def __init__(self, process: LiveViewProcess, product: Product) -> None:
        self._product = product
        self._socket = socket.socket(socket.AF_UNIX)
        self._path = str(process.folder / f"sock_{product.name}")

    def send(self, number: int, module_id: int = 1, n_bytes: int | None = None) -> None:
        product = self._product
        pixels = make_pixels(product, number, module_id)
        frame = encode_frame(pixels, make_header(product, number), product, HeaderForm.SOCKET)
        self._socket.sendall((module_id.to_bytes(2, "big") + frame)[:n_bytes])

    def __enter__(self) -> "Producer":
        self._socket.connect(self._path)
        return self

    def __exit__(self, *exception: object) -> None:
        self._socket.close()


@pytest.mark.parametrize("product", PRODUCTS.values(), ids=PRODUCTS)
def test_same_images_come_bit_for_bit_by_upload_socket_and_file(product: Product, tmp_path: Path) -> None:
    run = make_run(tmp_path)
    with live_view(sources=SOCKETS | {"run_directory": {"method": "poll"}}) as (process, client):
        client.init(data_dir=str(tmp_path))
        stream = begun(client, update_interval_seconds=0.001)
        client.upload([upload_image(client, product, number) for number in range(3)])
        for number in range(3):
            assert_is_frame(next(stream).pano_image, product, number)
        with Producer(process, product) as producer:
            for number in range(3):
                producer.send(number)
            for number in range(3):
                image = next(stream).pano_image
                assert_is_frame(image, product, number)
                assert (image.file, image.frame_number) == (f"uds_{product.name}", number)
        (path,) = write_pff(run, product, 3)
        for number in range(3):
            image = next(stream).pano_image
            assert_is_frame(image, product, number)
            assert (image.file, image.frame_number) == (path.name, number)


def test_stream_that_was_cut_goes_on_with_the_next_whole_frame_and_the_loss_is_told() -> None:
    with live_view(sources=SOCKETS) as (process, client):
        client.init(data_dir="/")
        stream = begun(client)
        with Producer(process, PH256) as producer:
            producer.send(0)
            producer.send(1, n_bytes=300)
            producer.send(2)
            producer.send(3)
            for number in (0, 2, 3):
                assert_is_frame(next(stream).pano_image, PH256, number)
        raw = client.channel.unary_unary("/daqdata.DaqData/Status")(b"", timeout=5)
        (source,) = messages.StatusResponse.FromString(raw).sources
        assert (source.name, source.frames, source.refused) == ("unix_sockets", 3, 1)
        wait_until(lambda: bool(process.logged("frames_cut")), 5.0)


@pytest.mark.parametrize("mode", ["uds", "rpc", "filesystem_poll", "filesystem_pipe"])
def test_simulation_sends_every_module_by_each_way_and_leaves_nothing(mode: str, tmp_path: Path) -> None:
    (movie,) = write_pff(tmp_path, IMG16, 5)
    simulation = {"mode": mode, "module_ids": [3, 224], "movie_file": str(movie), "rate_hz": 50, "frames_per_file": 4}
    with live_view(simulation=simulation) as (process, client):
        assert client.init(simulate_daq=True).success
        seen = defaultdict(list)
        for response in client.stream():
            image = response.pano_image
            if image.type == image.MOVIE:
                number = int(image.header["quabo_0"]["pkt_num"])
                np.testing.assert_array_equal(list(image.image_array), make_pixels(IMG16, number).reshape(-1))
                seen[image.module_id].append(number)
            if min(map(len, seen.values()), default=0) >= 8 and len(seen) == 2:
                break
        for numbers in seen.values():
            assert all((later - earlier) % 5 == 1 for earlier, later in pairwise(numbers))
        held = {path for path in Path("/tmp").glob("std-live-view-*") if _is_of(process.pid, path)}
        assert process.end() == 0
        assert not any(path.exists() for path in held)


def _is_of(pid: int, path: Path) -> bool:
    return any(f"{path}/" in line for line in Path(f"/proc/{pid}/net/unix").read_text().splitlines())


def test_simulation_of_files_ends_after_its_frames_and_says_so() -> None:
    simulation = {"mode": "filesystem_poll", "rate_hz": 200, "frame_limit": 5}
    with live_view(simulation=simulation) as (_, client):
        client.init(simulate_daq=True)

        def problems() -> list[str]:
            raw = client.channel.unary_unary("/daqdata.DaqData/Status")(b"", timeout=5)
            return [source.problem for source in messages.StatusResponse.FromString(raw).sources]

        wait_until(lambda: "the simulation has ended after 10 frames" in problems(), 10.0)


def test_images_of_a_detector_of_the_platform_are_shown(shm_dir: Path) -> None:
    writer = RingPublisher(shm_dir / "det-images", shape=(64, 128), n_slots=8)
    buffer = {"config": str(shm_dir / "det-images"), "module_id": 9, "max_pixels": 64 * 128 // 4}
    with live_view(sources={"image_buffers": [buffer]}) as (_, client):
        client.init(data_dir="/")
        stream = begun(client, update_interval_seconds=0.001)
        writer.publish(41)
        image = next(stream).pano_image
        assert (image.module_id, list(image.shape), image.frame_number) == (9, [32, 64], 41)
        assert image.header["image_id"] == 41
        assert image.header["binning"] == 2
        pixels = writer.ring.view(0).pixels.astype(float)  # type: ignore[union-attr]
        expected = np.rint(pixels.reshape(32, 2, 64, 2).mean(axis=(1, 3)))
        np.testing.assert_array_equal(np.array(image.image_array).reshape(32, 64), expected)
    writer.close()


def test_start_section_is_done_at_the_start_and_again_until_it_works(tmp_path: Path) -> None:
    data_dir = tmp_path / "later"
    start = {"data_dir": str(data_dir), "update_interval_s": 0.01}
    with live_view(start=start, sources={"run_directory": {}}) as (process, client):
        wait_until(lambda: bool(process.logged("start_failed")), 5.0)
        assert not client.status().hp_io_initialized
        write_pff(make_run(data_dir), PH256, 2)
        wait_until(lambda: client.status().hp_io_initialized, 10.0)
        assert_is_frame(next(client.stream()).pano_image, PH256, 1)


# -- clients


@pytest.mark.parametrize("generation", GENERATIONS)
def test_clients_of_every_generation_stream(generation: str) -> None:
    with live_view(simulation={"rate_hz": 100}) as (process, _), TableClient(process.target, generation) as client:
        assert client.init(simulate_daq=True).success
        for response in (next(client.stream()), next(client.stream(stream_movie_data=False))):
            assert response.name == "StreamImageResponse [Data]"
            assert response.timestamp.seconds > 0
            assert response.pano_image.module_id == 224


@pytest.mark.long
def test_each_module_comes_at_the_lower_of_its_rate_and_the_clients() -> None:
    rates_hz = {1: 100.0, 2: 20.0, 3: 5.0, 4: 50.0}
    intervals_s = [0.02, 0.1, 0.5]
    run_s = 6.0
    with live_view() as (process, client):
        client.init(data_dir="/")
        arrivals: list[dict[int, list[float]]] = [defaultdict(list) for _ in intervals_s]

        def read(interval_s: float, times_s: dict[int, list[float]]) -> None:
            with TableClient(process.target) as one, contextlib.suppress(grpc.RpcError):
                for response in one.stream(update_interval_seconds=interval_s, timeout_s=run_s + 1.0):
                    times_s[response.pano_image.module_id].append(time.monotonic())

        readers = [threading.Thread(target=read, args=pair) for pair in zip(intervals_s, arrivals, strict=True)]
        for reader in readers:
            reader.start()
        wait_until(lambda: _n_streams(client) == len(readers), 10.0)
        image = {module_id: client.image(module_id=module_id) for module_id in rates_hz}

        def images() -> Iterator[Any]:
            begun_s = time.monotonic()
            due_s = dict.fromkeys(rates_hz, begun_s)
            while min(due_s.values()) < begun_s + run_s:
                module_id = min(due_s, key=lambda one: due_s[one])
                time.sleep(max(0.0, due_s[module_id] - time.monotonic()))
                due_s[module_id] += 1 / rates_hz[module_id]
                yield image[module_id]

        client.upload(images())
        for reader in readers:
            reader.join()
    for interval_s, times_s in zip(intervals_s, arrivals, strict=True):
        for module_id, rate_hz in rates_hz.items():
            assert len(times_s[module_id]) >= 0.95 * run_s * min(rate_hz, 1 / interval_s)
            assert len(times_s[module_id]) <= run_s * min(rate_hz, 1 / interval_s) + 2


def test_first_image_comes_at_once_and_a_module_that_is_not_there_is_named() -> None:
    with live_view() as (_, client):
        client.init(data_dir="/", module_ids=[1, 2])
        client.upload([client.image(module_id=1), client.image(module_id=5)])
        begun_s = time.monotonic()
        response = next(client.stream(update_interval_seconds=8.0, module_ids=[1, 7]))
        assert time.monotonic() - begun_s < 1.0
        assert response.pano_image.module_id == 1
        assert response.message == "No image has come of modules [7]."
        with fails(Code.DEADLINE_EXCEEDED):
            next(client.stream(module_ids=[5], timeout_s=0.3))


def test_answers_tell_times_numbers_and_what_was_left_out() -> None:
    with live_view(history_frames=3) as (_, client):
        client.init(data_dir="/")
        stream = client.channel.unary_stream("/daqdata.DaqData/StreamImages")(
            messages.StreamImagesRequest(stream_movie_data=True, update_interval_seconds=0.5).SerializeToString(),
            timeout=20,
        )
        wait_until(lambda: _n_streams(client) == 1, 5.0)
        client.upload([upload_image(client, IMG16, number) for number in range(20)])
        responses = [messages.StreamImagesResponse.FromString(next(stream)) for _ in range(2)]
        assert [response.frame_id for response in responses] == [1, 20]
        assert [response.left_out.by_interval for response in responses] == [0, 18]
        assert abs(responses[0].server_time.ToNanoseconds() - time.time_ns()) < 30e9
        recent = client.channel.unary_stream("/daqdata.DaqData/RecentImages")
        request = messages.RecentImagesRequest(module_id=1, product="img16")
        frames = [
            messages.StreamImagesResponse.FromString(one) for one in recent(request.SerializeToString(), timeout=5)
        ]
        assert [frame.frame_id for frame in frames] == [18, 19, 20]
        assert_is_frame(frames[-1].pano_image, IMG16, 19)
        request = messages.RecentImagesRequest(module_id=1, product="img16", count=1, before_frame_id=20)
        (frame,) = recent(request.SerializeToString(), timeout=5)
        assert messages.StreamImagesResponse.FromString(frame).frame_id == 19
