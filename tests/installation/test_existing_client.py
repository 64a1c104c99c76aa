"""The existing client and server of DaqData, installed from the index, work unchanged with ours."""

import asyncio
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from std_daq.telescope.client import AioDaqDataClient, DaqDataClient, DaqDataError, make_pano_image
from std_test_kit.fresh_environment import FreshEnvironment
from std_test_kit.live_view_process import LiveViewProcess

CLIENT = "panoseti-grpc==0.3.5"  # the last that installs on these versions of Python
pytestmark = pytest.mark.timeout(600)

PROGRAM = """
import asyncio, json, sys
from panoseti_grpc.daq_data.client import AioDaqDataClient, DaqDataClient
from panoseti_grpc.generated.daq_data_pb2 import PanoImage

host = sys.argv[1]
daq = {"daq_nodes": [{"ip_addr": host, "data_dir": "/", "module_ids": "0-255"}]}
network = {"modules": [], "daq_nodes": [{"ip_addr": "127.0.0.9"}]}
told = {}

with DaqDataClient(daq, network) as client:
    told["hosts"] = client.get_valid_daq_hosts()
    told["reflected"] = client.reflect_services([host])
    told["init_sim"] = client.init_sim([host])
    images = client.stream_images([host], True, True, 0.1)
    told["images"] = [
        {"type": image["type"], "shape": image["shape"], "dtype": str(image["image_array"].dtype),
         "module_id": image["module_id"], "file": image["file"], "is_dated": bool(image["header"]["wr_unix_timestamp"])}
        for image, _ in zip(images, range(6))
    ]


async def upload_and_read():
    async with AioDaqDataClient(daq, network) as client:
        images = await client.stream_images([host], True, False, 0.001, module_ids=[7], parse_pano_images=False)

        async def uploads():
            for number in range(80):
                await asyncio.sleep(0.02)
                yield PanoImage(type=2, shape=[32, 32], bytes_per_pixel=2, image_array=[number] * 1024,
                                file="uploaded", frame_number=number, module_id=7)

        uploading = asyncio.create_task(client.upload_images([host], uploads()))
        told["uploaded"] = []
        async for response in images:
            told["uploaded"].append([response.pano_image.frame_number, response.pano_image.image_array[5]])
            if len(told["uploaded"]) == 5:
                break
        await uploading


asyncio.run(upload_and_read())
print("told", json.dumps(told))
"""


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> FreshEnvironment:
    """An environment with the existing client, and nothing of std-daq."""
    folder = tmp_path_factory.mktemp("client")
    environment = FreshEnvironment(folder / "env")
    (folder / "none.txt").touch()
    environment.install(CLIENT, folder / "none.txt")
    return environment


@pytest.fixture
def server() -> Iterator[LiveViewProcess]:
    with LiveViewProcess(simulation={"rate_hz": 50}) as process:
        yield process


def test_existing_client_pings_reflects_initialises_streams_and_uploads(
    client: FreshEnvironment, server: LiveViewProcess, tmp_path: Path
) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    done = client.run("python", str(program), server.target, timeout_s=120.0)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.rpartition("told ")[2])
    assert told["hosts"] == [server.target]
    assert "StreamImages(StreamImagesRequest)" in told["reflected"]
    assert told["init_sim"] is True
    kinds = {(one["type"], tuple(one["shape"]), one["dtype"], one["module_id"]) for one in told["images"]}
    assert kinds == {("MOVIE", (32, 32), "uint16", 224), ("PULSE_HEIGHT", (16, 16), "int16", 224)}
    assert all(one["is_dated"] and one["file"].startswith("uds_") for one in told["images"])
    numbers = [number for number, _ in told["uploaded"]]
    assert numbers == sorted(set(numbers))  # at the interval of InitHpIo, which the client has set to 0.1 s
    assert all(number == pixel for number, pixel in told["uploaded"])


@pytest.fixture
def original_server(client: FreshEnvironment, tmp_path: Path) -> Iterator[str]:
    """Where the server of the package answers."""
    program = Path(__file__).with_name("original_server.py")
    with (tmp_path / "log").open("wb") as log:
        command = [client.commands / "python", program, tmp_path]
        process = subprocess.Popen(command, cwd=tmp_path, stdout=log, stderr=log, env=client.variables())
        try:
            target = f"unix://{tmp_path}/original.sock"
            with DaqDataClient(host=target) as own:
                assert own.ping(timeout=30.0), (tmp_path / "log").read_text()
            yield target
        finally:
            process.terminate()
            process.wait(20)


def test_our_client_works_with_the_existing_server(original_server: str) -> None:
    daq = {"daq_nodes": [{"ip_addr": original_server}]}
    with DaqDataClient(daq) as own:
        assert own.get_daq_host_status() == {original_server: True}
        assert "StreamImages(StreamImagesRequest)" in own.reflect_services()
        with pytest.raises(DaqDataError, match="call init_hp_io first"):
            next(own.stream_images())
        assert own.init_sim()
        with own.stream_images(None, True, True, 0.1) as images:
            some = [image for image, _ in zip(images, range(6), strict=False)]
        kinds = {(one["type"], one["image_array"].dtype.name, one["module_id"]) for one in some}
        assert kinds == {("MOVIE", "uint16", 224), ("PULSE_HEIGHT", "int16", 224)}
        assert all(one["header"]["wr_unix_timestamp"] and one["frame_id"] is None for one in some)
        own.upload_images(original_server, [make_pano_image(np.zeros((32, 32), np.uint16), module_id=5)])
        with pytest.raises(DaqDataError, match="this server does not offer this call"):
            own.status()

    async def read() -> list[str]:
        async with AioDaqDataClient(daq) as own:
            images = await own.stream_images(None, True, False, 0.1)
            return [(await anext(images))["type"] for _ in range(3)]

    assert asyncio.run(read()) == ["MOVIE"] * 3
