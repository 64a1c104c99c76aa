"""The existing clients of DaqData and UbloxControl, installed from the index, work unchanged with our services."""

import asyncio
import hashlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
import pytest

from std_daq.imaging.config.load import load_config
from std_daq.imaging.config.model import DetectorConfig
from std_daq.service.record import read_records
from std_daq.telescope.client import AioDaqDataClient, DaqDataClient, DaqDataError, make_pano_image
from std_daq.telescope.daqdata import daq_data_pb2
from std_daq.telescope.pff import PRODUCTS, PffWriter
from std_daq.telescope.pff.header import HeaderForm
from std_daq.telescope.pff.writer import encode_frame
from std_test_kit.daqdata_clients import TableClient
from std_test_kit.free_ports import free_udp_ports
from std_test_kit.fresh_environment import FreshEnvironment
from std_test_kit.live_view_process import LiveViewProcess
from std_test_kit.telescope_boards import Boards, telescope_document
from std_test_kit.telescope_frames import START, as_frame, as_upload, make_run
from std_test_kit.ublox import PluggedF9t, UbloxProcess
from std_test_kit.wait import wait_until

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


def test_existing_server_is_an_edge_of_our_gateway(original_server: str) -> None:
    with LiveViewProcess(gateway={"edges": [original_server]}) as gateway, DaqDataClient(host=gateway.target) as own:
        assert own.init_sim()
        with own.stream_images(None, True, True, 0.1) as images:
            some = [image for image, _ in zip(images, range(6), strict=False)]
        kinds = {(one["type"], one["image_array"].dtype.name, one["module_id"]) for one in some}
        assert kinds == {("MOVIE", "uint16", 224), ("PULSE_HEIGHT", "int16", 224)}
        status = own.status()
        assert f"{original_server}: it answers, and has no Status" in str(status)


WATCHING = """
import hashlib, json, sys
from panoseti_grpc.daq_data.client import DaqDataClient

host = sys.argv[1]
daq = {"daq_nodes": [{"ip_addr": host, "data_dir": "/", "module_ids": "0-255"}]}
with DaqDataClient(daq, {"modules": [], "daq_nodes": [{"ip_addr": "127.0.0.9"}]}) as client:
    for image in client.stream_images([host], True, True, 0.001):
        pixels = image["image_array"]
        names = ("quabo_num", "pkt_num", "pkt_tai", "pkt_nsec", "tv_sec", "tv_usec")
        numbers = {name: float(image["header"][name]) for name in names}
        print("image", json.dumps({"type": image["type"], "module_id": image["module_id"], "dtype": str(pixels.dtype),
                          "header": numbers, "pixels": hashlib.sha256(pixels.tobytes()).hexdigest()}), flush=True)
"""


def test_existing_client_sees_the_same_images_by_packets_upload_socket_and_file(
    client: FreshEnvironment, telescope: DetectorConfig, tmp_path: Path
) -> None:
    product, modules = PRODUCTS["ph256"], (1, 254)
    sources = {
        "unix_sockets": {"path_template": "sock_{dp_name}"},
        "run_directory": {"method": "poll"},
        "image_buffers": [{"config": str(tmp_path / "detector.json")}],
    }
    runs = {module: make_run(tmp_path / "data", module) for module in modules}
    program = tmp_path / "watching.py"
    program.write_text(WATCHING)
    with (
        LiveViewProcess(sources=sources) as server,
        TableClient(server.target) as own,
        Boards(product, telescope.start_udp_port) as boards,
        ExitStack() as stack,
    ):
        own.init(data_dir=str(tmp_path / "data"))
        watching = stack.enter_context(watched(client, program, server.target))
        stream = own.stream(update_interval_seconds=0.001)
        wait_until(lambda: len(own_status(own).clients) == 2, 60.0)
        seen: list[dict[str, Any]] = []
        images = []
        for number, module in enumerate(modules * 2):
            boards.send(number, module)
            images.append(next(stream).pano_image)
            seen.append(next_image(watching))
            expected = hashlib.sha256(boards.pixels(number, module).tobytes()).hexdigest()
            assert (seen[-1]["pixels"], seen[-1]["module_id"], seen[-1]["dtype"]) == (expected, module, "int16")
        own.upload([own.image(**as_upload(image)) for image in images])
        assert [next_image(watching) for _ in images] == seen
        frames = [(image.module_id, *as_frame(image, product)) for image in images]
        producer = stack.enter_context(socket.socket(socket.AF_UNIX))
        producer.connect(str(server.folder / "sock_ph256"))
        for (module, header, pixels), known in zip(frames, seen, strict=True):
            producer.sendall(module.to_bytes(2, "big") + encode_frame(pixels, header, product, HeaderForm.SOCKET))
            assert next_image(watching) == known
        files = {
            module: stack.enter_context(PffWriter(folder, product, module, START)) for module, folder in runs.items()
        }
        for (module, header, pixels), known in zip(frames, seen, strict=True):
            files[module].write(pixels, header)
            files[module].flush()
            assert next_image(watching) == known


def next_image(printed: IO[str]) -> Any:
    """Return the next image that the program has printed, between the lines of the client's log."""
    line = next(line for line in printed if line.startswith("image "))
    return json.loads(line.removeprefix("image "))


def own_status(own: TableClient) -> Any:
    """Return the answer of Status with the fields that only we have."""
    raw = own.channel.unary_unary("/daqdata.DaqData/Status")(b"", timeout=5)
    return daq_data_pb2.StatusResponse.FromString(raw)


@contextmanager
def watched(client: FreshEnvironment, program: Path, target: str) -> Iterator[IO[str]]:
    """Run a program of the existing client, and provide what it prints."""
    command = [client.commands / "python", program, target]
    # It writes its log into the present folder.
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=client.variables(), cwd=program.parent
    ) as process:
        assert process.stdout is not None
        try:
            yield process.stdout
        finally:
            process.kill()


@pytest.fixture
def telescope(tmp_path: Path, shm_dir: Path, runtime: Path) -> Iterator[DetectorConfig]:
    """The configuration of a telescope whose packets are received and become images."""
    document = telescope_document("ph256", name=f"tel{os.getpid()}", orientation="none") | {
        "start_udp_port": free_udp_ports(1),
        "shared_memory": {"directory": str(shm_dir), "frame_buffer_gb": 0.02},
        "ram_buffer_gb": 0.01,
        "udp": {"address": "127.0.0.1"},
    }
    file = tmp_path / "detector.json"
    file.write_text(json.dumps(document))
    config = load_config(file)
    with ExitStack() as stack:
        for service in ("std_udp_recv", "std_assembler"):
            process = subprocess.Popen([sys.executable, "-m", service, "--config", str(file)])
            stack.callback(process.wait, 20)
            stack.callback(process.terminate)
        wait_until(lambda: all(path.exists() for path in config.ring_paths), 60.0)
        wait_until(lambda: len(read_records(config)) == 2, 60.0)
        yield config


UBLOX_PROGRAM = """
import json, sys
import grpc
from panoseti_grpc.generated import ublox_control_pb2 as messages, ublox_control_pb2_grpc as stubs

target, document = sys.argv[1], json.loads(sys.argv[2])
with grpc.insecure_channel(target) as channel:
    stub = stubs.UbloxControlStub(channel)
    request = messages.InitF9tRequest(force_init=True)
    request.f9t_config.update(document)
    told = {"init": stub.InitF9t(request, timeout=30).init_status == messages.InitF9tResponse.SUCCESS}
    stream = stub.CaptureUblox(messages.CaptureUbloxRequest(patterns=["TIM-TP"]), timeout=30)
    captured = [one for one, _ in zip(stream, range(3))]
    told["captured"] = [[one.name, "qErr" in one.parsed_data, one.payload.hex()[:4]] for one in captured]
    answer = stub.PollMessage(messages.PollRequest(cfg_key_patterns=["CFG_RATE_MEAS"]), timeout=30)
    told["polled"] = dict(answer.parsed_data)
print("told", json.dumps(told))
"""


def test_existing_stubs_of_ublox_control_initialise_capture_and_poll(client: FreshEnvironment, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(UBLOX_PROGRAM)
    with UbloxProcess() as process, PluggedF9t(process.device):
        done = client.run("python", str(program), process.target, json.dumps(process.document()), timeout_s=120.0)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.rpartition("told ")[2])
    assert told == {"init": True, "captured": [["TIM-TP", True, "b562"]] * 3, "polled": {"CFG_RATE_MEAS": 100}}
