"""Two servers as containers, in networks of their own, from their compose file."""

from collections.abc import Iterator
from urllib.error import HTTPError

import pytest

from std_daq.imaging.files.validate import validate
from std_test_kit.container_beamline import ContainerBeamline
from std_test_kit.engine import docker
from std_test_kit.simulated_file import check_counter_pixels
from std_test_kit.wait import wait_until

N_IMAGES = 40
SERVERS = {
    "WEB_PORT": {"udp-recv", "assembler", "writer-agent", "h5-writer-0", "stream-send-0", "web"},
    "FAR_WEB_PORT": {"stream-recv", "writer-agent", "h5-writer-0", "web"},
}
SEND = ("--host", "udp-recv", "--pattern", "counter", "--rate-hz", "5", "--n-images", str(N_IMAGES))

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def beamline(
    images: dict[str, str], user_id: int, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ContainerBeamline]:
    with ContainerBeamline("two_servers", tmp_path_factory.mktemp("two_servers"), user_id=user_id) as two_servers:
        two_servers.up()
        yield two_servers


def test_file_on_the_far_server_is_whole_though_the_network_between_was_away(beamline: ContainerBeamline) -> None:
    link = f"{beamline.project}_link"
    receiver = beamline.container("far-stream-recv")

    def cut() -> None:
        docker("network", "disconnect", link, receiver.id)
        wait_until(lambda: "tcp://stream-send:9700" in receiver.health.words, timeout_s=60.0)
        docker("network", "connect", link, receiver.id)

    write = ["--n-images", str(N_IMAGES), "--image-timeout", "60"]
    _, report = beamline.record("far.h5", write, SEND, cut, tools="far-tools")
    assert (report["n_written"], report["n_lost"]) == (N_IMAGES, 0), report
    file = beamline.data / "far.h5"
    assert file.stat().st_uid == beamline.user_id
    assert validate(file).is_valid
    assert check_counter_pixels(beamline.config, file) == list(range(1, N_IMAGES + 1))


@pytest.mark.parametrize("port", SERVERS)
def test_console_of_each_server_tells_the_state_of_its_services(beamline: ContainerBeamline, port: str) -> None:
    told = beamline.wait_for_console(SERVERS[port], port=port)
    assert (told["fine"], told["absent"], told["broker"]["is_usable"]) == (True, [], True), told["findings"]
    assert beamline.console("/runs", port=port)["problem"] == ""
    own, other = ("web-token", "far-web-token") if port == "WEB_PORT" else ("far-web-token", "web-token")
    with pytest.raises(HTTPError, match="401"):
        beamline.console("/runs", port=port, token_file=other)
    with pytest.raises(HTTPError, match="422"):  # an empty request, from who may send one
        beamline.console("/runs", port=port, token_file=own)
