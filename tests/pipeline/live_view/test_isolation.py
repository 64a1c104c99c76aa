"""Clients, files and uploads that misbehave disturb nobody else."""

import contextlib
import itertools
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest

from std_daq.telescope.daqdata import daq_data_pb2 as messages
from std_test_kit.daqdata_clients import TableClient
from std_test_kit.live_view_calls import (
    IMG16,
    PH256,
    SOCKETS,
    Code,
    Producer,
    assert_is_frame,
    begun,
    fails,
    live_view,
    n_streams,
)
from std_test_kit.live_view_process import LiveViewProcess
from std_test_kit.slow_link import SlowLink
from std_test_kit.telescope_frames import make_run, write_pff
from std_test_kit.wait import wait_until


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
        assert n_streams(client) == 2
        assert client.init(data_dir="/", force=True).success
        wait_until(lambda: n_streams(client) == 0, 2.0)
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
        wait_until(lambda: n_streams(client) == 0, 1.0)
        next(client.stream())


def test_a_hundred_streams_work_and_one_more_is_refused_while_strangers_connect() -> None:
    with live_view(max_streams=100, port=0) as (process, client):
        client.init(data_dir="/")
        streams = [client.stream() for _ in range(100)]
        wait_until(lambda: n_streams(client) == 100, 10.0)
        with fails(Code.RESOURCE_EXHAUSTED, "Max clients (100) reached."):
            next(client.stream())
        address = ("127.0.0.1", process.logged("listening")[0]["port"])
        with contextlib.ExitStack() as strangers:
            for _ in range(300):
                strangers.enter_context(socket.create_connection(address)).sendall(os.urandom(64))
            client.upload([client.image(frame_number=3)])
            assert [next(stream).pano_image.frame_number for stream in streams] == [3] * 100
            assert client.ping(5.0)


def memory_of(pid: int) -> int:
    """Return the resident memory of a process, in bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


@pytest.mark.long
@pytest.mark.parametrize(
    ("n_bytes", "compression"),
    [(2**30, grpc.Compression.NoCompression), (2**27, grpc.Compression.Gzip)],
    ids=["1 GB", "128 MB in 128 kB"],
)
def test_message_that_is_far_too_large_is_refused_and_costs_neither_memory_nor_others(
    n_bytes: int, compression: grpc.Compression
) -> None:
    with live_view() as (process, client), TableClient(process.target) as hostile, ThreadPoolExecutor(1) as thread:
        client.init(data_dir="/")
        stream = begun(client)
        before = peak_memory_of(process.pid)
        upload = hostile.channel.stream_unary("/daqdata.DaqData/UploadImages")
        refused = thread.submit(lambda: upload(iter([bytes(n_bytes)]), timeout=60, compression=compression))
        number = 0
        while not refused.done() or number < 10:
            number += 1
            client.upload([client.image(frame_number=number)], timeout_s=5)
            assert next(stream).pano_image.frame_number == number
        with fails(Code.RESOURCE_EXHAUSTED):
            refused.result()
        assert peak_memory_of(process.pid) < before + 64 * 2**20
        assert client.ping(5.0)


def peak_memory_of(pid: int) -> int:
    """Return the largest resident memory that a process has had, in bytes."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


def test_module_numbers_without_end_cost_bounded_memory() -> None:
    with live_view(max_products=50) as (process, client):
        client.init(data_dir="/")
        with fails(Code.RESOURCE_EXHAUSTED, "There are images of 50 products of modules; no more are kept."):
            client.upload(client.image(module_id=module_id) for module_id in range(60))
        raw = client.channel.unary_unary("/daqdata.DaqData/Status")(b"", timeout=5)
        assert len(messages.StatusResponse.FromString(raw).products) == 50
        client.upload([client.image(module_id=3, frame_number=8)])
        assert next(client.stream(module_ids=[3])).pano_image.frame_number == 8
        assert process.pid


@pytest.mark.parametrize("module_ids", [[70000], [2**32 - 1]])
def test_lists_of_modules_that_cannot_be_are_refused(module_ids: list[int]) -> None:
    with live_view() as (_, client):
        client.init(data_dir="/")
        text = f"module_ids has {module_ids[0]}; modules are numbered from 0 to 65535."
        with fails(Code.INVALID_ARGUMENT, text):
            next(client.stream(module_ids=module_ids))
        with fails(Code.INVALID_ARGUMENT, text):
            client.init(data_dir="/", module_ids=module_ids)
        for interval_s in (float("nan"), float("inf")):
            with fails(Code.INVALID_ARGUMENT, "update_interval_seconds is not a finite number."):
                next(client.stream(update_interval_seconds=interval_s))


def test_list_of_all_modules_costs_no_more_than_a_short_text_for_each_image() -> None:
    with live_view() as (_, client):
        client.init(data_dir="/")
        client.upload([client.image(module_id=4)])
        response = next(client.stream(module_ids=list(range(65536)) * 3))
        assert response.pano_image.module_id == 4
        assert response.message.endswith("and 65515 others.")
        assert len(response.message) < 200


@pytest.mark.long
def test_uploads_with_oversized_headers_and_endless_ones_are_refused_or_ended_by_init() -> None:
    with live_view() as (process, client), ThreadPoolExecutor(1) as thread:
        client.init(data_dir="/")
        for fields in ({"header": {"text": "x" * 20_000}}, {"file": "y" * 20_000}):
            with fails(Code.INVALID_ARGUMENT, "Image refused: header or file is larger than 16384 bytes."):
                client.upload([client.image(**fields)])
        image = client.image()
        stopped = threading.Event()
        endless = thread.submit(
            lambda: client.upload(itertools.takewhile(lambda _: not stopped.is_set(), itertools.repeat(image)))
        )
        stream = client.stream()
        for _ in range(1000):
            next(stream)
        before = memory_of(process.pid)
        for _ in range(2000):
            next(stream)
        assert memory_of(process.pid) < before + 64 * 2**20
        assert client.ping(5.0)
        stopped.set()
        endless.result(20)


def test_header_text_among_pixels_half_frames_and_noise_on_many_connections_reach_nobody() -> None:
    with live_view(sources=SOCKETS) as (process, client), contextlib.ExitStack() as stack:
        client.init(data_dir="/")
        stream = begun(client)
        path = str(process.folder / "sock_ph256")
        for number in range(100):
            strange = stack.enter_context(socket.socket(socket.AF_UNIX))
            strange.connect(path)
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                strange.sendall(os.urandom(700) if number % 2 else b'\0\1{ "quabo_num": 1, "pkt_num": ')
        with Producer(process, PH256) as producer:
            for number in range(5):
                producer.send(number)
                assert_is_frame(next(stream).pano_image, PH256, number)


def test_a_thousand_connections_disturb_nobody() -> None:
    with live_view(port=0, silent_after_s=60) as (process, client), contextlib.ExitStack() as strangers:
        client.init(data_dir="/")
        stream = begun(client)
        address = ("127.0.0.1", process.logged("listening")[0]["port"])
        for number in range(1000):
            strangers.enter_context(socket.create_connection(address)).sendall(
                b"PRI * HTTP/2.0\r\n\r\nSM"[: number % 20]
            )
            if number % 100 == 0:
                client.upload([client.image(frame_number=number)])
                assert next(stream).pano_image.frame_number == number
        assert client.ping(5.0)


@pytest.mark.long
def test_client_behind_a_slow_link_skips_and_the_others_get_every_image() -> None:
    with live_view() as (process, client), SlowLink(process.socket, bytes_per_s=100_000) as link:
        client.init(data_dir="/")
        with TableClient(f"unix://{link.path}") as slow:
            slow_stream = begun(slow)
            stream = begun(client)
            n = 600
            begun_s = time.monotonic()
            thread = threading.Thread(target=lambda: client.upload(_paced(client, n, rate_hz=200)), name="uploading")
            thread.start()
            assert [next(stream).pano_image.frame_number for _ in range(n)] == list(range(n))
            assert time.monotonic() - begun_s < 60
            thread.join()
            numbers = [next(slow_stream).pano_image.frame_number]
            while numbers[-1] != n - 1:
                numbers.append(next(slow_stream).pano_image.frame_number)
            assert numbers == sorted(set(numbers))
            assert len(numbers) < n


def _paced(client: TableClient, n: int, rate_hz: float) -> Iterator[Any]:
    begun_s = time.monotonic()
    for number in range(n):
        time.sleep(max(0.0, begun_s + number / rate_hz - time.monotonic()))
        yield client.image(frame_number=number)


@pytest.mark.long
def test_server_that_is_killed_and_started_again_serves_eight_clients_again() -> None:
    start = {"simulate": True, "update_interval_s": 0.05}
    with LiveViewProcess(start=start) as process, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(TableClient(process.target)) for _ in range(8)]
        streams = [client.stream() for client in clients]
        for stream in streams:
            next(stream)
        process.end(signal.SIGKILL)
        for stream in streams:
            with fails(Code.UNAVAILABLE):
                for _ in stream:
                    pass
        process.start()
        wait_until(lambda: clients[0].status().hp_io_initialized, 10.0)
        assert [next(client.stream()).pano_image.module_id for client in clients] == [224] * 8


def test_corrupt_files_give_no_garbage_are_named_and_hold_up_no_other(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    (written,) = write_pff(tmp_path, PH256, 6)
    frame_bytes = written.stat().st_size // 6
    frames = [written.read_bytes()[n * frame_bytes :][:frame_bytes] for n in range(6)]
    path, noise = run / written.name, b"#" + os.urandom(frame_bytes - 1)
    no_pff = run / written.name.replace("ph256", "img8")
    with live_view(sources={"run_directory": {}}) as (_, client):
        client.init(data_dir=str(tmp_path))
        stream = begun(client)
        # Spoilt in its place; cut, as on a full disk; with something before it that belongs to no frame.
        path.write_bytes(frames[0] + noise + frames[1] + frames[2][:300] + frames[3] + noise[:100] + frames[4])
        no_pff.write_bytes(noise * 3)
        other = make_run(tmp_path, module_id=2)
        write_pff(other, IMG16, 2, module_id=2)
        got = [next(stream).pano_image for _ in range(6)]
        of_module = {module_id: [image for image in got if image.module_id == module_id] for module_id in (1, 2)}
        for image, number in zip(of_module[1], (0, 1, 3, 4), strict=True):
            assert_is_frame(image, PH256, number)
        for image, number in zip(of_module[2], (0, 1), strict=True):
            assert_is_frame(image, IMG16, number, 2)
        with path.open("ab") as file:
            file.write(frames[5])
        assert_is_frame(next(stream).pano_image, PH256, 5)
        raw = client.channel.unary_unary("/daqdata.DaqData/Status")(b"", timeout=5)
        (source,) = messages.StatusResponse.FromString(raw).sources
        assert (source.frames, source.refused, source.is_running) == (7, 3, True)
        assert f"{no_pff}: a frame begins with '{{'" in source.problem
        assert f"{path}: some of its frames are damaged" in source.problem


def test_run_with_very_many_files_is_followed(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    for number in range(20_000):
        (run / f"{number}.txt").touch()
    write_pff(run, PH256, 1)
    with live_view(sources={"run_directory": {}}) as (_, client):
        begun_s = time.monotonic()
        assert client.init(data_dir=str(tmp_path)).success
        assert_is_frame(next(client.stream()).pano_image, PH256, 0)
        assert time.monotonic() - begun_s < 5.0
