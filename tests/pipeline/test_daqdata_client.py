"""The client of DaqData with real servers: several hosts, dead ones, ones that come back, streams that are stopped."""

import asyncio
import contextlib
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import trustme

from std_daq.telescope.client import (
    Access,
    AioDaqDataClient,
    DaqDataClient,
    DaqDataError,
    HostsAwayError,
    make_pano_image,
)
from std_daq.telescope.pff import PRODUCTS
from std_test_kit.free_ports import free_tcp_port
from std_test_kit.live_view_process import LiveViewProcess
from std_test_kit.store_driver import RingPublisher
from std_test_kit.telescope_frames import make_header, make_pixels
from std_test_kit.wait import wait_until

Code = grpc.StatusCode
IMG16, PH256 = PRODUCTS["img16"], PRODUCTS["ph256"]
NO_SOURCES = {"start": {"data_dir": "/", "update_interval_s": 0.001}}
NOBODY = "unix:/nonexistent/live.sock"


def simulated(rate_hz: float, *module_ids: int) -> LiveViewProcess:
    return LiveViewProcess(
        start={"simulate": True, "update_interval_s": 0.001},
        simulation={"rate_hz": rate_hz, "module_ids": list(module_ids)},
    )


def nodes(*targets: str) -> dict[str, Any]:
    return {"daq_nodes": [{"ip_addr": target} for target in targets]}


def image(number: int, module_id: int = 1) -> Any:
    return make_pano_image(
        make_pixels(IMG16, number, module_id),
        module_id=module_id,
        header=make_header(IMG16, number),
        frame_number=number,
    )


@pytest.fixture
def server() -> Iterator[LiveViewProcess]:
    with LiveViewProcess(**NO_SOURCES) as process:
        yield process


@contextlib.contextmanager
def in_thread(work: Callable[[], None]) -> Iterator[None]:
    failures: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as failure:  # noqa: BLE001 - raised again below
            failures.append(failure)

    thread = threading.Thread(target=run)
    thread.start()
    yield
    thread.join(20)
    assert not thread.is_alive()
    if failures:
        raise failures[0]


# -- several hosts


@pytest.mark.long
def test_hosts_of_different_rates_each_come_at_their_own_and_a_dead_one_delays_nobody() -> None:
    with simulated(50, 1, 2) as fast, simulated(5, 3) as slow:
        with DaqDataClient(nodes(fast.target, slow.target, NOBODY)) as client:
            assert client.get_daq_host_status() == {fast.target: True, slow.target: True, NOBODY: False}
            begun_s = time.monotonic()
            images = client.stream_images([fast.target, slow.target, NOBODY], True, False, 0.001)
            counts: Counter[int] = Counter()
            for one in images:
                counts[one["module_id"]] += 1
                if counts[3] == 8:
                    break
            run_s = time.monotonic() - begun_s
            images.close()
        assert counts[1] == pytest.approx(counts[2], abs=3)
        assert counts[1] >= 4 * counts[3]
        assert run_s < 6.0  # 1 s for the dead one, 1.6 s of images
        progress = images.progress
        assert progress[fast.target].received >= counts[1] + counts[2]
        assert progress[NOBODY].problem == f"{NOBODY} does not answer"
        assert {one.skipped_by_slow_client for one in progress.values()} == {0}


@pytest.mark.long
def test_host_that_is_killed_ends_itself_only_and_the_stream_ends_with_the_last() -> None:
    with (
        simulated(50, 1) as dying,
        simulated(50, 2) as staying,
        DaqDataClient(nodes(dying.target, staying.target)) as client,
    ):
        images = client.stream_images(None, True, False, 0.001)
        assert {next(images)["module_id"] for _ in range(10)} == {1, 2}
        dying.end(signal.SIGKILL)
        wait_until(lambda: next(images) and not images.progress[dying.target].is_connected, 10.0)
        assert "UNAVAILABLE" in images.progress[dying.target].problem
        assert {next(images)["module_id"] for _ in range(20)} == {2}
        staying.end()
        for one in images:
            assert one["module_id"] == 2
        assert "CANCELLED" in images.progress[staying.target].problem


@pytest.mark.long
def test_host_that_hangs_delays_nobody_and_goes_on_when_it_is_back() -> None:
    with (
        simulated(50, 1) as hanging,
        simulated(50, 2) as staying,
        DaqDataClient(nodes(hanging.target, staying.target), answer_timeout=0.3) as client,
    ):
        images = client.stream_images(None, True, False, 0.001)
        assert {next(images)["module_id"] for _ in range(10)} == {1, 2}
        os.kill(hanging.pid, signal.SIGSTOP)
        try:
            assert client.get_valid_daq_hosts() == [staying.target]
            n_before = images.progress[staying.target].received
            wait_until(lambda: next(images) and images.progress[staying.target].received >= n_before + 50, 10.0)
            (alone,) = {next(client.stream_images(None, True, False, 0.001))["module_id"] for _ in range(2)}
            assert alone == 2
        finally:
            os.kill(hanging.pid, signal.SIGCONT)
        wait_until(lambda: next(images)["module_id"] == 1, 10.0)


@pytest.mark.long
def test_host_that_comes_back_is_read_again_and_every_image_is_received_or_told_as_missed(
    server: LiveViewProcess,
) -> None:
    n_images = 400
    with DaqDataClient(nodes(server.target, NOBODY)) as client:
        images = client.stream_images(None, True, False, 0.0, [1], reconnect=True)

        def disturb() -> None:
            with DaqDataClient(host=server.target) as other:
                for number in range(n_images):
                    if number in {100, 200}:  # ends all streams with CANCELLED
                        settings = {"data_dir": "/", "update_interval_seconds": 0.001, "force": True}
                        assert other.init_problems(settings) == {server.target: ""}
                    other.upload_images(None, [image(number)])

        with in_thread(disturb):
            received = []
            for one in images:
                received.append(one)
                if one["frame_number"] == n_images - 1:
                    break
        images.close()
    numbers = [one["frame_id"] for one in received]
    assert numbers == sorted(set(numbers))
    assert len(received) + sum(one["skipped"] for one in received) == numbers[-1] - numbers[0] + 1
    progress = images.progress[server.target]
    assert progress.reconnects == 2
    assert progress.received == len(received)
    skipped = progress.skipped_by_interval + progress.skipped_by_slow_client
    assert progress.missed_while_away + skipped == sum(one["skipped"] for one in received)
    assert images.progress[NOBODY].received == 0


@pytest.mark.long
def test_server_that_is_started_again_is_read_again_and_one_that_is_not_there_yet_is_waited_for() -> None:
    server = simulated(50, 1)
    with server, DaqDataClient(host=server.target) as client:
        server.end()
        images = client.stream_images(update_interval_seconds=0.001, reconnect=True)
        with in_thread(server.start):
            assert next(images)["module_id"] == 1
        server.end()
        with in_thread(server.start):
            wait_until(lambda: next(images) and images.progress[server.target].reconnects == 1, 20.0)


# -- what ends an iteration


@pytest.mark.parametrize("how", ["close the stream", "close the client", "stop event"])
def test_iteration_that_waits_is_ended_from_another_thread(how: str, server: LiveViewProcess) -> None:
    stop = threading.Event()
    client = DaqDataClient(nodes(server.target), stop_event=stop)
    images = client.stream_images(None, True, True, 1.0, reconnect=True)
    ended_s: list[float] = []

    def read() -> None:
        assert list(images) == []
        ended_s.append(time.monotonic())

    with in_thread(read):
        wait_until(lambda: len(client.status().clients) == 1, 5.0)
        begun_s = time.monotonic()
        {"close the stream": images.close, "close the client": client.close, "stop event": stop.set}[how]()
    assert ended_s[0] - begun_s < 1.0
    client.close()
    with pytest.raises(RuntimeError, match="the client is closed"):
        client.status()


def test_stream_that_nobody_uses_any_more_frees_its_place(server: LiveViewProcess) -> None:
    with DaqDataClient(host=server.target) as client:
        client.upload_images(None, [image(1)])
        for _ in client.stream_images():
            break
        wait_until(lambda: len(client.status().clients) == 0, 5.0)


def test_stream_ends_with_its_time(server: LiveViewProcess) -> None:
    with DaqDataClient(host=server.target) as client:
        for reconnect in (False, True):
            with pytest.raises(DaqDataError) as failed:
                next(client.stream_images(timeout=0.3, reconnect=reconnect))
            assert failed.value.code() is Code.DEADLINE_EXCEEDED


# -- errors


@pytest.mark.long
def test_errors_say_which_host_what_and_what_to_do_and_are_not_hidden() -> None:
    with LiveViewProcess() as server:
        with (
            pytest.raises(grpc.RpcError, match=rf"{server.target}: StreamImages: FAILED_PRECONDITION.*init_hp_io"),
            DaqDataClient(host=server.target) as client,
        ):
            next(client.stream_images())
        for left_with in (ConnectionError, KeyboardInterrupt, SystemExit):
            with pytest.raises(left_with), DaqDataClient(host=server.target):
                raise left_with
        with DaqDataClient(nodes(server.target, NOBODY), answer_timeout=0.3) as client:
            assert client.validate_daq_hosts() == [server.target]
            for names in (NOBODY, [server.target, NOBODY]):
                with pytest.raises(HostsAwayError) as refused:
                    client.validate_daq_hosts(names)
                assert refused.value.away == (f"{NOBODY} ({NOBODY})",)
            assert client.init_hp_io(server.target, {"data_dir": "/nonexistent"}) is False
            problems = client.init_problems(server.target, {"data_dir": "/nonexistent"})
            assert "data_dir '/nonexistent' does not exist." in problems[server.target]
            with pytest.raises(KeyError):
                client.init_hp_io(server.target, {})
            with pytest.raises(ConnectionError):
                client.stream_images(NOBODY)


def test_upload_goes_to_every_host_and_one_that_refuses_stops_no_other(server: LiveViewProcess) -> None:
    with (
        LiveViewProcess(sources={"uploads": False}) as refusing,
        DaqDataClient(nodes(refusing.target, server.target)) as client,
    ):
        with pytest.raises(DaqDataError, match=rf"{refusing.target}: UploadImages: UNIMPLEMENTED"):
            client.upload_images(None, (image(number) for number in range(100)))
        newest = client.recent_images(1, "img16", host=server.target)
        assert newest[-1]["frame_number"] == 99

        def images() -> Iterator[Any]:
            yield image(100)
            raise LookupError("of the user")

        with pytest.raises(LookupError, match="of the user"):
            client.upload_images(server.target, images())


def test_recent_images_are_scrolled_back_page_by_page(server: LiveViewProcess) -> None:
    with DaqDataClient(host=server.target) as client:
        client.upload_images(None, [image(number) for number in range(20)])
        page = client.recent_images(1, "img16", count=5)
        assert [one["frame_number"] for one in page] == [15, 16, 17, 18, 19]
        np.testing.assert_array_equal(page[-1]["image_array"], make_pixels(IMG16, 19))
        page = client.recent_images(1, "img16", count=5, before_frame_id=page[0]["frame_id"])
        assert [one["frame_number"] for one in page] == [10, 11, 12, 13, 14]
        assert client.recent_images(9, "img16") == []
        (row,) = client.status().products
        assert (row.module_id, row.product, row.frames) == (1, "img16", 20)


@pytest.mark.parametrize("shape", [(64, 128), (2048, 2048)], ids=["small", "larger than other clients take"])
def test_images_of_a_detector_of_the_platform_have_its_shape(shape: tuple[int, int], shm_dir: Path) -> None:
    writer = RingPublisher(shm_dir / "det-images", shape=shape, n_slots=4)
    buffer = {"config": str(shm_dir / "det-images"), "module_id": 9, "max_pixels": 2**22}
    sources = {"image_buffers": [buffer]}
    with LiveViewProcess(sources=sources, **NO_SOURCES) as server, DaqDataClient(host=server.target) as client:
        wait_until(lambda: client.status().hp_io_initialized, 20.0)
        images = client.stream_images(update_interval_seconds=0.001)
        wait_until(lambda: len(client.status().clients) == 1, 5.0)
        writer.publish(41)
        one = next(images)
        np.testing.assert_array_equal(one["image_array"], writer.ring.view(0).pixels)  # type: ignore[union-attr]
        assert one["header"]["image_id"] == 41
        assert "wr_unix_timestamp" not in one["header"]
    writer.close()


# -- addresses and access


@pytest.mark.long
def test_port_with_tls_and_token_lets_in_who_has_both(tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate, own = authority.issue_cert("dome-1.example"), authority.issue_cert("client.example")
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    for name, one in {"server": certificate, "client": own}.items():
        one.private_key_pem.write_to_path(str(tmp_path / f"{name}-key.pem"))
        one.cert_chain_pems[0].write_to_path(str(tmp_path / f"{name}-cert.pem"))
    (tmp_path / "token").write_text("open sesame\n")
    port = free_tcp_port("::1")
    tls = {"cert_file": "server-cert.pem", "key_file": "server-key.pem", "client_ca_file": "ca.pem"}
    with LiveViewProcess(
        host="::1",
        port=port,
        tls={key: str(tmp_path / file) for key, file in tls.items()},
        token_file=str(tmp_path / "token"),
        **NO_SOURCES,
    ):
        access: dict[str, Any] = {
            "ca_file": tmp_path / "ca.pem",
            "cert_file": tmp_path / "client-cert.pem",
            "key_file": tmp_path / "client-key.pem",
            "server_name": "dome-1.example",
        }
        with DaqDataClient(host="::1", port=port, access=Access(**access, token_file=tmp_path / "token")) as client:
            assert client.status().hp_io_initialized
        with DaqDataClient(host="::1", port=port, access=Access(**access)) as client:
            assert client.get_valid_daq_hosts() == ["::1"]  # it answers, if only that it wants a token
            with pytest.raises(DaqDataError, match=r"UNAUTHENTICATED.*give the token of the server"):
                client.status()
        with DaqDataClient(host="::1", port=port) as client:
            assert not client.ping(timeout=1.0)
        network = {
            "daq_nodes": [{"ip_addr": "far", "port_forwarding": {"status": True, "gw_ip": "::1", "grpc_port": port}}]
        }
        granted = Access(**access, token="open sesame")
        with DaqDataClient({"daq_nodes": [{"ip_addr": "far"}]}, network, access=granted) as client:
            assert client.status("far").hp_io_initialized
            assert "StreamImages(StreamImagesRequest)" in client.reflect_services("far")


# -- with asyncio


@pytest.mark.long
def test_asynchronous_client_does_the_same() -> None:
    async def leave_with_an_error(host: str) -> None:
        async with AioDaqDataClient(host=host) as client:
            assert await client.ping()
            raise ConnectionError

    async def use(fast: LiveViewProcess, slow: LiveViewProcess) -> None:
        async with AioDaqDataClient(nodes(fast.target, slow.target, NOBODY)) as client:
            assert await client.get_valid_daq_hosts() == [fast.target, slow.target]
            images = await client.stream_images(None, True, False, 0.001)
            counts: Counter[str] = Counter()
            async for one in images:
                counts[one["host"]] += 1
                if counts[slow.target] == 5:
                    break
            assert counts[fast.target] >= 4 * counts[slow.target]
            assert images.progress[NOBODY].problem == f"{NOBODY} does not answer"
            await images.aclose()
            assert [one async for one in images] == []
            assert "UploadImages" in await client.reflect_services(fast.target)
            await client.upload_images(fast.target, [image(number, 7) for number in range(9)])
            newest = await client.recent_images(7, "img16", count=1, host=fast.target)
            assert newest[0]["frame_number"] == 8
            assert (await client.status(fast.target)).hp_io_initialized
            with pytest.raises(DaqDataError, match=r"InitHpIo: INVALID_ARGUMENT"):
                await client.init_hp_io(fast.target, {"data_dir": "/nonexistent", "update_interval_seconds": 1})
            assert await client.init_sim()
        with pytest.raises(ConnectionError):
            await leave_with_an_error(fast.target)

    with simulated(50, 1) as fast, simulated(5, 3) as slow:
        asyncio.run(use(fast, slow))


@pytest.mark.long
def test_asynchronous_iteration_ends_by_stop_event_close_and_death_and_goes_on_by_reconnecting() -> None:
    async def use(server: LiveViewProcess) -> None:
        stop = asyncio.Event()
        async with AioDaqDataClient(nodes(server.target), None, stop) as client:
            silent = client.stream_images(None, True, True, 0.001, [99])
            waiting = asyncio.create_task(anext(silent))
            images = client.stream_images(None, True, True, 0.001, reconnect=True)
            assert (await anext(images))["module_id"] == 1
            await asyncio.to_thread(server.end)
            with pytest.raises(StopAsyncIteration):
                await waiting
            await asyncio.to_thread(server.start)
            while not images.progress[server.target].reconnects:
                await anext(images)
            stop.set()
            begun_s = time.monotonic()
            async for _ in images:
                pass
            assert time.monotonic() - begun_s < 1.0
        client = AioDaqDataClient(host=server.target)
        waiting = asyncio.create_task(anext(client.stream_images(module_ids=[99])))
        while not (await client.status()).clients:
            await asyncio.sleep(0)
        await client.close()
        with pytest.raises(StopAsyncIteration):
            await waiting

    with simulated(50, 1) as server:
        asyncio.run(use(server))


def test_asynchronous_stream_that_nobody_uses_any_more_frees_its_place(server: LiveViewProcess) -> None:
    async def use() -> None:
        async with AioDaqDataClient(host=server.target) as client:
            await client.upload_images(None, [image(1)])
            async for _ in client.stream_images():
                break
            async with asyncio.timeout(5.0):
                while (await client.status()).clients:
                    await asyncio.sleep(0)

    asyncio.run(use())
