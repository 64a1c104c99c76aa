"""A real std-live-view as gateway, with real edges behind it."""

import contextlib
import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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
from std_test_kit.wait import wait_until


@contextlib.contextmanager
def telescope(**config: Any) -> Iterator[tuple[TableClient, list[LiveViewProcess]]]:
    """Run a gateway with two edges that are initialised; yields a client of the gateway, and the edges."""
    with contextlib.ExitStack() as stack:
        edges = [stack.enter_context(live_view(sources=SOCKETS)) for _ in range(2)]
        for _, client in edges:
            client.init(data_dir="/")
        _, client = stack.enter_context(
            live_view(gateway={"edges": [edge.target for edge, _ in edges]} | config, silent_after_s=60)
        )
        for _, edge_client in edges:
            wait_until(lambda client=edge_client: n_streams(client) == 1, 10.0)  # type: ignore[misc]
        yield client, [process for process, _ in edges]


def status_of(client: TableClient) -> messages.StatusResponse:
    raw = client.channel.unary_unary("/daqdata.DaqData/Status")(b"", timeout=10)
    return messages.StatusResponse.FromString(raw)


@pytest.mark.long
def test_images_of_all_edges_come_bit_for_bit_and_filters_hold() -> None:
    with telescope() as (client, edges), Producer(edges[0], IMG16) as first, Producer(edges[1], PH256) as second:
        stream = begun(client)
        only_second = begun(client, module_ids=[2])
        for number in range(3):
            first.send(number, module_id=1)
            assert_is_frame(next(stream).pano_image, IMG16, number, 1)
            second.send(number, module_id=2)
            assert_is_frame(next(stream).pano_image, PH256, number, 2)
        for number in range(3):
            assert_is_frame(next(only_second).pano_image, PH256, number, 2)
        status = status_of(client)
        assert status.hp_io_initialized
        assert status.message.count("hp_io task is initialized and valid.") == 2
        assert [(source.frames, source.is_running) for source in status.sources] == [(3, True), (3, True)]


@pytest.mark.long
def test_edge_that_hangs_or_dies_holds_up_no_other_and_comes_back() -> None:
    with telescope() as (client, edges), Producer(edges[0], IMG16) as producer:
        stream = begun(client)
        os.kill(edges[1].pid, signal.SIGSTOP)
        for number in range(20):
            producer.send(number)
            assert_is_frame(next(stream).pano_image, IMG16, number)
        os.kill(edges[1].pid, signal.SIGCONT)
        edges[1].end(signal.SIGKILL)
        wait_until(lambda: not status_of(client).sources[1].is_running, 10.0)
        status = status_of(client)
        assert "UNAVAILABLE" in status.sources[1].problem
        assert not status.hp_io_initialized
        producer.send(20)
        response = next(stream)
        assert_is_frame(response.pano_image, IMG16, 20)
        edges[1].start()
        with TableClient(edges[1].target) as edge:
            edge.init(data_dir="/")
        wait_until(lambda: status_of(client).sources[1].is_running, 15.0)
        with Producer(edges[1], PH256) as returned:
            returned.send(7, module_id=2)
            assert_is_frame(next(stream).pano_image, PH256, 7, 2)


@pytest.mark.long
def test_init_goes_to_all_edges_and_tells_what_each_says() -> None:
    with telescope() as (client, edges):
        assert client.init(simulate_daq=True, update_interval_seconds=0.05, module_ids=[224]).success
        streams = [next(client.stream()).pano_image.module_id for _ in range(2)]
        assert streams == [224, 224]
        stream = begun(client)
        with fails(Code.FAILED_PRECONDITION):
            client.init(data_dir="/")
        begun_s = time.monotonic()
        assert client.init(data_dir="/", force=True).success
        with fails(Code.CANCELLED):
            for _ in stream:
                pass
        assert time.monotonic() - begun_s < 5.0
        answer = client.init(data_dir="/no/such/folder")
        assert not answer.success
        assert answer.error_message == "; ".join(
            f"{edge.target}: INVALID_ARGUMENT: data_dir '/no/such/folder' does not exist." for edge in edges
        )
        edges[1].end()
        answer = client.init(data_dir="/")
        assert not answer.success
        assert answer.error_message.startswith(f"{edges[1].target}: UNAVAILABLE")
        with Producer(edges[0], IMG16) as producer:
            producer.send(1)
            assert_is_frame(next(client.stream()).pano_image, IMG16, 1)


def test_gateway_without_edges_refuses_and_one_takes_no_uploads() -> None:
    with live_view(gateway={}) as (_, client):
        assert client.ping(5.0)
        with fails(Code.FAILED_PRECONDITION):
            next(client.stream())
        with fails(Code.FAILED_PRECONDITION, "This gateway has no edges."):
            client.init(data_dir="/")
        with fails(Code.UNIMPLEMENTED, "A gateway takes no images: upload them to an edge."):
            client.upload([client.image()])
        assert status_of(client).message == "This gateway has no edges."


@pytest.mark.long
def test_edges_of_the_configurations_of_a_telescope_and_their_token(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("open sesame\n")
    start = {"simulate": True, "update_interval_s": 0.05}
    with LiveViewProcess(token_file=str(tmp_path / "token"), start=start) as edge:
        (tmp_path / "daq_config.json").write_text(json.dumps({"daq_nodes": [{"ip_addr": f"unix://{edge.socket}"}]}))
        gateway = {"daq_config": str(tmp_path / "daq_config.json"), "token_file": str(tmp_path / "token")}
        with live_view(gateway=gateway) as (_, client):
            assert next(client.stream()).pano_image.module_id == 224
            assert client.init(simulate_daq=True, update_interval_seconds=0.05).success
            recent = client.channel.unary_stream("/daqdata.DaqData/RecentImages")
            next(client.stream(stream_pulse_height_data=False))
            request = messages.RecentImagesRequest(module_id=224, product="img16", count=1)
            assert len(list(recent(request.SerializeToString(), timeout=5))) == 1


@pytest.mark.parametrize("key", ["start", "sources", "simulation"])
def test_gateway_with_sources_of_its_own_is_refused(key: str) -> None:
    from std_daq.telescope.config import LiveViewConfig

    with pytest.raises(ValueError, match="a gateway has neither start"):
        LiveViewConfig.model_validate({"gateway": {}, key: {"simulate": True} if key == "start" else {}})
