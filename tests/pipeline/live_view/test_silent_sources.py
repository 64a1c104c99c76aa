"""Whatever makes the images has died: a real std-live-view tells its clients within the configured time."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from std_daq.telescope.daqdata import daq_data_pb2 as messages
from std_test_kit.daqdata_clients import TableClient
from std_test_kit.live_view_calls import IMG16, PH256, SOCKETS, Code, Producer, fails, live_view, n_streams
from std_test_kit.store_driver import RingPublisher
from std_test_kit.telescope_frames import make_run, write_pff
from std_test_kit.wait import wait_until

SILENT_AFTER_S = 0.6


def told(client: TableClient, *, with_notices: bool = True) -> Iterator[messages.StreamImagesResponse]:
    """Yield the answers of a stream that takes those without an image."""
    n_before = n_streams(client)
    request = messages.StreamImagesRequest(
        stream_movie_data=True, stream_pulse_height_data=True, with_notices=with_notices
    )
    stream = client.channel.unary_stream("/daqdata.DaqData/StreamImages")(request.SerializeToString(), timeout=30)
    wait_until(lambda: n_streams(client) > n_before, 5.0)
    return (messages.StreamImagesResponse.FromString(one) for one in stream)


def notice(answers: Iterator[messages.StreamImagesResponse]) -> list[str]:
    """Return what is wrong with the sources, as the next answer without an image says."""
    return list(next(one for one in answers if not one.HasField("pano_image")).source_problems)


def sources_of(client: TableClient) -> list[Any]:
    raw = client.channel.unary_unary("/daqdata.DaqData/Status")(b"", timeout=5)
    return list(messages.StatusResponse.FromString(raw).sources)


@pytest.mark.long
def test_acquisition_that_pauses_is_told_and_so_is_one_that_is_gone_and_comes_back() -> None:
    with live_view(sources=SOCKETS, silent_after_s=SILENT_AFTER_S) as (process, client):
        client.init(data_dir="/")
        answers = told(client)
        with Producer(process, IMG16) as producer:
            producer.send(0)
            assert next(answers).pano_image.module_id == 1
            begun_s = time.monotonic()
            expected = f"unix_sockets: no image has come for {SILENT_AFTER_S:g} s: connections of an acquisition: 1"
            assert notice(answers) == [expected]
            assert time.monotonic() - begun_s < SILENT_AFTER_S + 1.0
            (source,) = sources_of(client)
            assert (source.is_running, source.problem) == (False, expected.partition(": ")[2])
            assert source.silent_seconds >= SILENT_AFTER_S
            producer.send(1)
            assert notice(answers) == []
        assert notice(answers)[0].endswith("no acquisition is connected")
        with Producer(process, IMG16) as producer:
            producer.send(2)
            assert notice(answers) == []
            assert sources_of(client)[0].is_running


def test_clients_that_know_no_notices_get_only_images() -> None:
    with live_view(sources=SOCKETS, silent_after_s=0.1) as (process, client):
        client.init(data_dir="/")
        answers = told(client, with_notices=False)
        wait_until(lambda: not sources_of(client)[0].is_running, 5.0)
        client.upload([client.image(frame_number=4)])
        answer = next(answers)
        assert answer.pano_image.frame_number == 4
        assert answer.source_problems == ["unix_sockets: no image has come for 0.1 s: no acquisition is connected"]
        assert process.logged("source_problem")


@pytest.mark.long
def test_recording_that_has_ended_is_told(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    write_pff(run, PH256, 2)
    with live_view(sources={"run_directory": {}}, silent_after_s=SILENT_AFTER_S) as (_, client):
        client.init(data_dir=str(tmp_path))
        answers = told(client)
        assert "runs that are being recorded: 1" in notice(answers)[0]
        (run / "recording_ended").write_text("2024-07-25T04:34:06Z")
        assert notice(answers)[0].endswith(f"the recording has ended: {run.name}")


def test_silence_is_told_beside_a_file_that_is_damaged(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    damaged = run / "start_x.dp_img8.bpp_1.module_1.seqno_0.pff"
    damaged.write_bytes(b"#" * 5000)
    with live_view(sources={"run_directory": {}}, silent_after_s=SILENT_AFTER_S) as (_, client):
        client.init(data_dir=str(tmp_path))
        answers = told(client)
        (problem,) = notice(answers)
        assert problem.startswith(f"run_directory {tmp_path}: {damaged}: a frame begins with")
        (problem,) = notice(answers)
        assert "no image has come for 0.6 s: runs that are being recorded: 1; " in problem
        assert str(damaged) in problem
        assert not sources_of(client)[0].is_running
        write_pff(run, PH256, 1)
        (problem,) = notice(answers)
        assert "no image has come" not in problem
        assert sources_of(client)[0].is_running


def test_detector_whose_assembler_has_died_is_told(shm_dir: Path) -> None:
    writer = RingPublisher(shm_dir / "det-images", shape=(32, 32), n_slots=8)
    writer.ring.segment.lock(0, "assembler")
    buffer = {"config": str(shm_dir / "det-images"), "module_id": 9}
    with live_view(sources={"image_buffers": [buffer]}, silent_after_s=60) as (_, client):
        client.init(data_dir="/")
        answers = told(client)
        writer.publish(41)
        assert next(answers).pano_image.module_id == 9
        assert sources_of(client)[0].is_running
        writer.ring.close()  # what is left when it was killed
        assert "nobody writes into the ImageBuffer" in notice(answers)[0]


def test_simulation_that_has_ended_is_told() -> None:
    simulation = {"mode": "filesystem_poll", "rate_hz": 200, "frame_limit": 5}
    with live_view(simulation=simulation) as (_, client):
        client.init(simulate_daq=True)
        answers, expected = told(client), "simulation filesystem_poll: the simulation has ended after 10 frames"
        while expected not in notice(answers):
            pass  # something else is told


@pytest.mark.long
@pytest.mark.parametrize("with_notices", [False, True])
def test_notices_do_not_put_off_the_end_of_a_stream_without_images(with_notices: bool) -> None:
    with live_view(sources=SOCKETS, silent_after_s=0.2, no_data_timeout_s=1.0) as (_, client):
        client.init(data_dir="/")
        begun_s = time.monotonic()
        with fails(Code.DEADLINE_EXCEEDED, "No data received within timeout window."):
            for answer in told(client, with_notices=with_notices):
                assert answer.source_problems
        assert 0.9 < time.monotonic() - begun_s < 4.0
