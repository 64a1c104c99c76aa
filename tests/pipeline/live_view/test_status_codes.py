"""Every status code that clients know, from a real std-live-view."""

import os
import subprocess
import sys
import time
from pathlib import Path

from std_test_kit.live_view_calls import Code, fails, live_view, n_streams
from std_test_kit.wait import wait_until


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
        assert client.init(simulate_daq=True, update_interval_seconds=0.01, data_dir="/no/such/folder").success
        assert client.status().message == "hp_io task is initialized and valid."
        with fails(Code.INVALID_ARGUMENT, "At least one stream flag must be True."):
            next(client.stream(stream_movie_data=False, stream_pulse_height_data=False))
        streams = [client.stream() for _ in range(2)]
        for stream in streams:
            next(stream)
        with fails(Code.RESOURCE_EXHAUSTED, "Max clients (2) reached."):
            next(client.stream())
        streams[0].cancel()
        wait_until(lambda: n_streams(client) == 1, 1.0)
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


def test_uploads_that_are_switched_off_are_unimplemented() -> None:
    with live_view(sources={"uploads": False}) as (_, client):
        client.init(data_dir="/")
        with fails(Code.UNIMPLEMENTED, "UploadImages is switched off by sources.uploads."):
            client.upload([client.image()])
