"""What each client of a real std-live-view is sent, and when."""

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from std_daq.telescope.daqdata import daq_data_pb2 as messages
from std_daq.telescope.pff import PRODUCTS
from std_test_kit.daqdata_clients import GENERATIONS, TableClient
from std_test_kit.live_view_calls import IMG16, Code, assert_is_frame, fails, live_view, n_streams, upload_image
from std_test_kit.wait import wait_until


@pytest.mark.long
@pytest.mark.parametrize("generation", GENERATIONS)
def test_clients_of_every_generation_stream(generation: str) -> None:
    with live_view(simulation={"rate_hz": 100}) as (process, _), TableClient(process.target, generation) as client:
        assert client.init(simulate_daq=True).success
        for response in (next(client.stream()), next(client.stream(stream_movie_data=False))):
            assert response.name == "StreamImageResponse [Data]"
            assert response.timestamp.seconds > 0
            assert response.pano_image.module_id == 224


RATES_HZ = {1: 40.0, 2: 25.0, 3: 20.0, 4: 10.0, 5: 8.0, 6: 5.0, 7: 4.0, 8: 2.0}
INTERVALS_S = (0.001, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0)


@pytest.mark.parametrize("run_s", [5.0, pytest.param(60.0, marks=pytest.mark.long)])
def test_each_client_gets_of_each_module_what_its_interval_allows(run_s: float) -> None:
    with live_view(history_frames=10_000) as (_, client):
        client.init(data_dir="/")
        got: list[Counter[int]] = [Counter() for _ in INTERVALS_S]
        n_too_slow = [0 for _ in INTERVALS_S]

        def read(number: int) -> None:
            stream = stream_images(client.channel, run_s + 2.5, update_interval_seconds=INTERVALS_S[number])
            with contextlib.suppress(grpc.RpcError):
                for response in stream:
                    got[number][response.pano_image.module_id] += 1
                    n_too_slow[number] = response.left_out.by_slow_client

        readers = [threading.Thread(target=read, args=(number,)) for number in range(len(INTERVALS_S))]
        for reader in readers:
            reader.start()
        wait_until(lambda: n_streams(client) == len(readers), 10.0)
        client.upload(_at_their_rates(client, run_s), timeout_s=run_s + 30.0)
        for reader in readers:
            reader.join()
        came_s = {module_id: came_at(client, module_id) for module_id in RATES_HZ}
    for interval_s, counts, n_slow in zip(INTERVALS_S, got, n_too_slow, strict=True):
        for module_id in RATES_HZ:
            expected = allowed(came_s[module_id], interval_s)
            # One more or less: the server looks at the clock a little after an image has come.
            least, most = 0.95 * expected - 1 - n_slow, 1.05 * expected + 1
            assert least <= counts[module_id] <= most, (interval_s, module_id, expected, n_slow)


def stream_images(channel: grpc.Channel, timeout_s: float, **fields: Any) -> Iterator[messages.StreamImagesResponse]:
    """Return the answers of StreamImages, with all that ours tell."""
    call = channel.unary_stream(
        "/daqdata.DaqData/StreamImages", response_deserializer=messages.StreamImagesResponse.FromString
    )
    answers: Iterator[messages.StreamImagesResponse] = call(
        messages.StreamImagesRequest(stream_movie_data=True, **fields).SerializeToString(), timeout=timeout_s
    )
    return answers


def came_at(client: TableClient, module_id: int) -> list[float]:
    """Return when the images of a module came to the server, in s."""
    call = client.channel.unary_stream(
        "/daqdata.DaqData/RecentImages", response_deserializer=messages.StreamImagesResponse.FromString
    )
    request = messages.RecentImagesRequest(module_id=module_id, product=IMG16.name, count=10_000)
    return [one.server_time.ToNanoseconds() * 1e-9 for one in call(request.SerializeToString(), timeout=10)]


def _at_their_rates(client: TableClient, run_s: float) -> Iterator[Any]:
    image = {module_id: client.image(module_id=module_id) for module_id in RATES_HZ}
    begun_s = time.monotonic()
    due_s = dict.fromkeys(RATES_HZ, begun_s)
    while min(due_s.values()) < begun_s + run_s:
        module_id = min(due_s, key=lambda one: due_s[one])
        time.sleep(max(0.0, due_s[module_id] - time.monotonic()))
        due_s[module_id] += 1 / RATES_HZ[module_id]
        yield image[module_id]


def allowed(times_s: list[float], interval_s: float) -> int:
    """Return how many images a client can get that come at these times: at once when it may, else the newest then."""
    n, due_s, is_held = 0, float("-inf"), False
    for time_s in times_s:
        if is_held and time_s >= due_s:
            n, due_s, is_held = n + 1, due_s + interval_s, False
        if time_s >= due_s:
            n, due_s = n + 1, time_s + interval_s
        else:
            is_held = True
    return n + is_held


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


@pytest.mark.long
def test_products_of_one_module_each_come_whatever_the_interval() -> None:
    with live_view() as (_, client):
        client.init(data_dir="/")
        for number in range(3):
            client.upload(upload_image(client, product, number) for product in PRODUCTS.values())
        stream = client.stream(update_interval_seconds=8.0)
        for product in PRODUCTS.values():
            assert_is_frame(next(stream).pano_image, product, 2)


@pytest.mark.long
def test_answers_tell_times_numbers_and_what_was_left_out() -> None:
    with live_view(history_frames=3) as (_, client):
        client.init(data_dir="/")
        stream = stream_images(client.channel, 20.0, update_interval_seconds=0.5)
        wait_until(lambda: n_streams(client) == 1, 5.0)
        client.upload([upload_image(client, IMG16, number) for number in range(20)])
        responses = [next(stream) for _ in range(2)]
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
