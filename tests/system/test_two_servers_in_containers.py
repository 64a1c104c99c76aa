"""Two servers as containers, in networks of their own, from their compose file."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from std_daq.imaging.files.validate import validate
from std_test_kit.container_beamline import ContainerBeamline
from std_test_kit.engine import docker
from std_test_kit.simulated_file import check_counter_pixels
from std_test_kit.wait import wait_until

N_IMAGES = 40
SEND = ("--host", "udp-recv", "--pattern", "counter", "--rate-hz", "5", "--n-images", str(N_IMAGES))

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def beamline(images: dict[str, str], user_id: int, tmp_path: Path) -> Iterator[ContainerBeamline]:
    with ContainerBeamline("two_servers", tmp_path, user_id=user_id) as two_servers:
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
