"""The head node of an observatory in containers: frames of files and sockets of the host reach clients of the host."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError

import numpy as np
import pytest

from std_daq.client import DaqDataClient
from std_daq.telescope.pff import PRODUCTS
from std_daq.telescope.pff.header import HeaderForm
from std_daq.telescope.pff.writer import encode_frame
from std_test_kit.container_beamline import ContainerBeamline
from std_test_kit.free_ports import free_tcp_port
from std_test_kit.telescope_frames import make_header, make_pixels, make_run, write_pff
from std_test_kit.wait import wait_until

WITHIN_S = 60.0
IMG16, PH256 = PRODUCTS["img16"], PRODUCTS["ph256"]

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def port() -> int:
    return free_tcp_port()


@pytest.fixture(scope="module")
def observatory(
    images: dict[str, str], user_id: int, port: int, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ContainerBeamline]:
    folder = tmp_path_factory.mktemp("observatory")
    sockets = folder / "sockets"
    sockets.mkdir()
    os.chown(sockets, user_id, user_id)
    settings = {"LIVE_PORT": str(port), "SOCKET_DIR": str(sockets)}
    with ContainerBeamline("observatory", folder, user_id=user_id, settings=settings) as beamline:
        beamline.up()
        yield beamline


def test_frames_of_the_host_reach_clients_of_the_host_bit_for_bit(observatory: ContainerBeamline, port: int) -> None:
    (path,) = write_pff(make_run(observatory.data), IMG16, 3, module_id=1)
    for one in (observatory.data, *observatory.data.rglob("*")):
        one.chmod(0o755)
    with DaqDataClient(host="127.0.0.1", port=port) as client:
        images = client.stream_images(stream_pulse_height_data=False, update_interval_seconds=0.001)
        image = next(one for one in images if one["frame_number"] == 2)
        assert image["file"] == path.name
        np.testing.assert_array_equal(image["image_array"], make_pixels(IMG16, 2))
        pulses = client.stream_images(stream_movie_data=False, update_interval_seconds=0.001)
        with socket.socket(socket.AF_UNIX) as acquisition:
            acquisition.connect(str(Path(observatory.data.parent) / "sockets" / "hashpipe_grpc.dp_ph256.sock"))
            frame = encode_frame(make_pixels(PH256, 7, 3), make_header(PH256, 7), PH256, HeaderForm.SOCKET)
            acquisition.sendall((3).to_bytes(2, "big") + frame)
            image = next(pulses)
        np.testing.assert_array_equal(image["image_array"], make_pixels(PH256, 7, 3))
        assert {(row.module_id, row.product) for row in client.status().products} == {(1, "img16"), (3, "ph256")}


def test_console_tells_the_state_of_the_live_view_and_of_the_telescope(observatory: ContainerBeamline) -> None:
    observatory.wait_for_console({"live-view", "web"})
    panel = "/panel/telescope"
    wait_until(lambda: observatory.console(panel)["answers"], WITHIN_S, lambda: str(observatory.console(panel)))
    with pytest.raises(HTTPError, match="422"):  # it has the token, and names no folder
        observatory.console(f"{panel}/init", token_file="web-token")


def test_command_of_the_image_asks_the_live_view(observatory: ContainerBeamline) -> None:
    told = observatory.command("compose", "exec", "-T", "live-view", "std-live", "--host", "127.0.0.1", "--list-hosts")
    assert told == "127.0.0.1  127.0.0.1:50051  answers\n"
