"""Images of all sources come through a real std-live-view bit for bit."""

import shutil
from collections import defaultdict
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from std_daq.telescope.daqdata import daq_data_pb2 as messages
from std_daq.telescope.pff import PRODUCTS, Product
from std_test_kit.live_view_calls import (
    IMG16,
    PH256,
    SOCKETS,
    Producer,
    assert_is_frame,
    begun,
    live_view,
    upload_image,
)
from std_test_kit.store_driver import RingPublisher
from std_test_kit.telescope_frames import make_pixels, make_run, write_pff
from std_test_kit.wait import wait_until


@pytest.mark.long
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
        assert list(process.temporary.iterdir())
        assert process.end() == 0
        assert not list(process.temporary.iterdir())


@pytest.mark.long
@pytest.mark.parametrize("mode", ["filesystem_poll", "filesystem_pipe"])
def test_files_of_a_simulation_are_gone_at_the_end_and_no_others(mode: str, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    mine = tmp_path / "there" / "notes.txt"
    mine.write_text("somebody's file")
    for data_dir in (tmp_path / "there", tmp_path / "made"):
        simulation = {"mode": mode, "data_dir": str(data_dir), "module_ids": [224]}
        with live_view(simulation=simulation) as (process, client):
            assert client.init(simulate_daq=True).success
            assert next(client.stream()).pano_image.file.startswith("sim.dp_")
            assert list(data_dir.glob("module_224/*/*.pff"))
            assert process.end() == 0
    assert list(tmp_path.rglob("*")) == [mine.parent, mine]


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
