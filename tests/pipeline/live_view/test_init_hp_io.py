"""InitHpIo exchanges the sources of a real std-live-view."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from std_test_kit.live_view_calls import PH256, SOCKETS, Code, Producer, assert_is_frame, fails, live_view
from std_test_kit.telescope_frames import make_run, write_pff
from std_test_kit.wait import wait_until


def test_forced_init_ends_every_stream_within_a_second_whatever_its_interval() -> None:
    with live_view() as (_, client):
        client.init(data_dir="/")
        streams = [client.stream(update_interval_seconds=interval_s) for interval_s in (0.001, 5.0, 60.0)]
        client.upload([client.image()])
        for stream in streams:
            next(stream)
        with fails(Code.FAILED_PRECONDITION, "Cannot modify server state: 3 clients are streaming: [..."):
            client.init(data_dir="/")
        client.upload([client.image(frame_number=7)])
        assert next(streams[0]).pano_image.frame_number == 7
        begun_s = time.monotonic()
        assert client.init(data_dir="/", force=True).success
        for stream in streams:
            with fails(Code.CANCELLED, "cancel_reader_event set for (..."):
                next(stream)
        assert time.monotonic() - begun_s < 1.0
        next_stream = client.stream()
        client.upload([client.image(frame_number=9)])
        assert next(next_stream).pano_image.frame_number == 9


@pytest.mark.long
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


@pytest.mark.long
def test_start_section_is_done_at_the_start_and_again_until_it_works(tmp_path: Path) -> None:
    data_dir = tmp_path / "later"
    start = {"data_dir": str(data_dir), "update_interval_s": 0.01}
    with live_view(start=start, sources={"run_directory": {}}) as (process, client):
        wait_until(lambda: bool(process.logged("start_failed")), 5.0)
        assert not client.status().hp_io_initialized
        write_pff(make_run(data_dir), PH256, 2)
        wait_until(lambda: client.status().hp_io_initialized, 10.0)
        assert_is_frame(next(client.stream()).pano_image, PH256, 1)


@pytest.mark.long
def test_source_that_does_not_answer_fails_in_time_and_those_before_it_go_on() -> None:
    simulation = {"movie_file": "hanging.dp_img16.pff"}
    with live_view(sources=SOCKETS, simulation=simulation, init_timeout_s=2.0) as (process, client):
        os.mkfifo(
            process.folder / "hanging.dp_img16.pff"
        )  # to open it waits for ever, as does a file of a server that is gone
        assert client.init(data_dir="/").success
        health = health_pb2_grpc.HealthStub(client.channel)  # type: ignore[no-untyped-call]
        asked = health_pb2.HealthCheckRequest(service="daqdata.DaqData")
        with ThreadPoolExecutor(1) as thread:
            initialising = thread.submit(client.init, simulate_daq=True)
            wait_until(lambda: health.Check(asked, timeout=5).status == health_pb2.HealthCheckResponse.NOT_SERVING, 5.0)
            assert client.ping(5.0)
            for call in (lambda: next(client.stream()), lambda: client.upload([client.image()])):
                with fails(Code.UNAVAILABLE, "Server is being configured, please try again soon."):
                    call()
            answer = initialising.result()
        assert (answer.success, answer.error_message) == (False, "not all sources were ready within 2 s")
        assert health.Check(asked, timeout=5).status == health_pb2.HealthCheckResponse.SERVING
        with Producer(process, PH256) as producer:
            producer.send(1)
            assert next(client.stream()).pano_image.module_id == 1
        assert process.end() == 0


def test_two_at_once_are_carried_out_one_after_the_other() -> None:
    with live_view(sources=SOCKETS) as (_, client), ThreadPoolExecutor(4) as threads:
        answers = [threads.submit(client.init, data_dir="/") for _ in range(4)]
        assert all(answer.result().success for answer in answers)
        assert client.status().hp_io_initialized
