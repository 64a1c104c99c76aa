"""What each client of a real std-live-view is sent, and when."""

import contextlib
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from std_daq.telescope.daqdata import daq_data_pb2 as messages
from std_test_kit.daqdata_clients import GENERATIONS, TableClient
from std_test_kit.live_view_calls import IMG16, Code, assert_is_frame, fails, live_view, n_streams, upload_image
from std_test_kit.wait import wait_until


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
        wait_until(lambda: n_streams(client) == len(readers), 10.0)
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
        wait_until(lambda: n_streams(client) == 1, 5.0)
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
