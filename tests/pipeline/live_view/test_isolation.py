"""Clients, files and uploads that misbehave disturb nobody else."""

import contextlib
import os
import socket
import subprocess
import sys
import time

from std_test_kit.daqdata_clients import TableClient
from std_test_kit.live_view_calls import IMG16, SOCKETS, Code, Producer, fails, live_view, n_streams
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
