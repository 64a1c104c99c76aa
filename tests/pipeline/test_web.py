"""The console beside a real ``std-daq up``: the client of beamlines' scripts, unmodified, through all its calls."""

import io
import json
import stat
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from std_daq_client import StdDaqAdminException, StdDaqClient

from std_daq.config.paths import runtime_dir
from std_daq.imaging.files.validate import validate
from std_test_kit.beamline import Beamline
from std_test_kit.beamline_documents import beamline_document
from std_test_kit.free_ports import free_tcp_port
from std_test_kit.shared_place import SharedPlace
from std_test_kit.wait import wait_until

pytestmark = pytest.mark.timeout(240)
_SLOW_S = 60.0


class Station:
    """A beamline with its console, and the client of its scripts."""

    def __init__(self, beamline: Beamline, port: int) -> None:
        self.beamline = beamline
        self.folder = beamline.folder
        self.url = f"http://127.0.0.1:{port}"
        self.client = StdDaqClient(url_base=self.url)

    def ask(self, path: str, *, post: bool = False) -> Any:
        request = urllib.request.Request(self.url + path, data=b"{}" if post else None)
        with urllib.request.urlopen(request, timeout=30) as answer:
            content = answer.read()
        return json.loads(content) if answer.headers["content-type"].startswith("application/json") else content

    def simulate(self) -> None:
        assert self.ask("/simulation/start", post=True)["simulator"]["status"] == "STREAMING"


@pytest.fixture(scope="module")
def shared(broker_url: str, shared_place: SharedPlace) -> Iterator[Station]:
    port = free_tcp_port()
    options = {"port": port, "anybody_may_change": True, "simulation_rate_hz": 25.0}
    document = beamline_document(
        "jungfrau", shared_place.name, shared_place.folder, shared_place.shm_dir, services={"web": options}
    )
    with Beamline(shared_place.folder, broker_url, document) as beamline:
        yield Station(beamline, port)


@pytest.fixture
def station(shared: Station) -> Iterator[Station]:
    """The beamline that the tests share; none of them leaves its detector sending."""
    yield shared
    shared.ask("/simulation/stop", post=True)


def test_client_of_scripts_works_through_all_its_calls(station: Station) -> None:
    client, folder = station.client, station.folder
    config = client.get_config()
    assert (config["n_modules"], config["bit_depth"], config["submodule_info"]) == (2, 16, {})
    assert config["module_positions"]["1"] == [0, 512, 1023, 1023]
    assert client.get_status()["state"] == "READY"
    assert client.get_deployment_status()["status"] == "UNKNOWN"
    n_before = len(client.get_logs(1000))
    assert client.stop_writer()["state"] == "READY"  # without a run it does nothing

    station.simulate()
    done = client.start_writer_sync({"n_images": 20, "output_file": str(folder / "sync.h5"), "run_id": 17})
    assert done["state"] == "READY"
    acquisition = done["acquisition"]
    assert (acquisition["state"], acquisition["message"]) == ("FINISHED", "Completed.")
    assert acquisition["info"] == {"n_images": 20, "output_file": str(folder / "sync.h5"), "run_id": 17}
    assert acquisition["stats"]["n_write_completed"] == acquisition["stats"]["n_write_requested"] == 20
    assert acquisition["stats"]["stop_time"] >= acquisition["stats"]["start_time"]
    assert validate(folder / "sync.h5").is_valid

    started = client.start_writer_async({"n_images": 4000, "output_file": str(folder / "async.h5")})
    assert started["state"] == "WRITING"
    with pytest.raises(StdDaqAdminException, match="a run is being written"):
        client.start_writer_async({"n_images": 1, "output_file": str(folder / "second.h5")})
    wait_until(lambda: client.get_status()["acquisition"]["state"] == "WRITING", _SLOW_S)
    wait_until(lambda: client.get_stats()["writer"]["images_per_second"] > 0, _SLOW_S)
    stats = client.get_stats()
    assert stats["detector"]["bytes_per_second"] == pytest.approx(
        stats["detector"]["images_per_second"] * 1024 * 1024 * 2
    )
    with pytest.raises(StdDaqAdminException, match="cannot be changed while"):
        client.set_config({"stats_collection_period": 5.0})
    stopped = client.stop_writer()
    assert stopped["state"] == "READY"
    assert (stopped["acquisition"]["state"], stopped["acquisition"]["message"]) == ("FINISHED", "Interrupted.")

    for request, message in (
        ({"n_images": 1, "output_file": "relative.h5"}, "absolute path"),
        ({"n_images": 1, "output_file": "/nowhere/run.h5"}, "/nowhere"),
        ({"n_images": 0, "output_file": str(folder / "x.h5")}, "from 1 on"),
        ({"output_file": str(folder / "x.h5")}, "lacks n_images"),
    ):
        with pytest.raises(StdDaqAdminException, match=message):
            client.start_writer_async(request)

    logs = client.get_logs(3)
    names = [Path(one["info"]["output_file"]).name for one in logs]
    assert names == ["run.h5", "async.h5", "sync.h5"]  # the newest first, with the one that was refused
    assert logs[0]["state"] == "FAILED"
    assert client.get_logs(1) == logs[:1]
    assert len(client.get_logs(1000)) == n_before + 3

    simulator = station.ask("/simulation/status")["simulator"]
    assert simulator["stats"]["n_generated_images"] > 20
    assert station.ask("/simulation/stop", post=True)["simulator"]["status"] == "READY"


@pytest.mark.long
def test_pictures_of_the_older_interface_show_runs_and_the_newest_image(station: Station) -> None:
    station.simulate()
    station.client.start_writer_sync({"n_images": 3, "output_file": str(station.folder / "a.h5"), "run_id": "first"})
    metadata = station.ask("/file/first")["file_metadata"]
    assert metadata["report"]["verdict"] == "complete"
    for path in ("/file/first/2", "/file/live/0", "/file/first/0?module_map=1", "/file/live/0?gaps=0"):
        assert Image.open(io.BytesIO(station.ask(path))).size == (1024, 1024)
    for path in ("/file/first/3", "/file/other", "/file/first/-1", "/file/first/0?gaps=2"):
        assert station.ask(path)["status"] == "error"
    with urllib.request.urlopen(f"{station.url}/daq/live", timeout=20) as stream:
        assert stream.headers["content-type"] == "multipart/x-mixed-replace; boundary=frame"
        assert stream.readline() == b"--frame\r\n"


@pytest.mark.long
def test_a_run_of_another_client_is_shown_and_stopped(station: Station) -> None:
    def write() -> None:
        station.beamline.run("write", "--output-file", str(station.folder / "other.h5"), "--n-images", "4000")

    station.simulate()
    writing = threading.Thread(target=write)
    writing.start()
    try:
        wait_until(lambda: station.client.get_status()["state"] == "WRITING", _SLOW_S)
        wait_until(lambda: (station.client.get_status()["acquisition"] or {}).get("state") == "WRITING", _SLOW_S)
        assert station.client.get_status()["acquisition"]["info"]["output_file"].endswith("other.h5")
        assert station.client.stop_writer()["acquisition"]["message"] == "Interrupted."
    finally:
        writing.join(_SLOW_S)


@pytest.mark.long
def test_configuration_is_checked_applied_to_all_services_and_followed_to_its_end(station: Station) -> None:
    client = station.client
    before = client.get_config()
    with pytest.raises(StdDaqAdminException, match=r"key 'bit_dept': unknown key; did you mean 'bit_depth'\?"):
        client.set_config({"bit_dept": 16})
    with pytest.raises(StdDaqAdminException, match="the name cannot be changed"):
        client.set_config({"detector_name": "another"})
    assert client.get_config() == before

    begun_s = time.time()
    changed = client.set_config({"stats_collection_period": 5.0, "number_of_writers": 2, "writer_user_id": -1})
    assert changed["stats_collection_period"] == 5.0
    wait_until(
        lambda: client.get_deployment_status()["status"] == "SUCCESS", 90.0, lambda: str(client.get_deployment_status())
    )
    deployment = client.get_deployment_status()
    assert set(deployment["servers"].values()) == {"Done"}
    assert {"h5-writer-0", "h5-writer-1", "writer-agent", "assembler"} <= set(deployment["servers"])
    assert deployment["stats"]["start_time"] >= begun_s - 1
    (version,) = (station.folder / "versions").iterdir()
    assert "stats_collection_period" not in json.loads(version.read_text())
    assert json.loads(station.beamline.config_file.read_text())["number_of_writers"] == 2

    station.simulate()
    done = client.start_writer_sync({"n_images": 10, "output_file": str(station.folder / "after.h5")})
    assert done["acquisition"]["message"] == "Completed."
    status = station.ask(f"/api/v1/detectors/{changed['detector_name']}/status")
    assert not status["absent"]


@pytest.mark.long
def test_up_with_web_asks_for_its_token_and_forgets_nothing_when_it_is_killed(
    beamline_config: Callable[..., Any], open_beamline: Callable[..., Beamline]
) -> None:
    port = free_tcp_port()
    beamline = open_beamline(beamline_config("jungfrau"), "--web", str(port))
    token_file = runtime_dir(beamline.config) / "web-token"
    assert stat.S_IMODE(token_file.stat().st_mode) == 0o600
    token = token_file.read_text().strip()
    assert token not in beamline.log
    url, name = f"http://127.0.0.1:{port}", beamline.config.name

    def status() -> Any:
        with urllib.request.urlopen(f"{url}/api/v1/detectors/{name}/status", timeout=30) as answer:
            return json.loads(answer.read())

    wait_until(lambda: status()["fine"], 30.0, lambda: str(status()["findings"]))
    assert status()["summary"] == "fine; no images come now"
    request = {"n_images": 2, "output_file": str(beamline.folder / "run.h5"), "run_id": 5}
    with pytest.raises(StdDaqAdminException, match="Token needed"):
        StdDaqClient(url_base=url).start_writer_async(request)
    # As scripts give it without a change: in the address, or by ~/.netrc.
    client = StdDaqClient(url_base=f"http://std-daq:{token}@127.0.0.1:{port}")
    client.start_writer_async(request)
    assert client.stop_writer()["acquisition"]["message"] == "Interrupted."

    killed = beamline.kill("assembler")
    assert killed
    wait_until(lambda: not status()["fine"], 30.0)
    wait_until(lambda: status()["fine"], 60.0, lambda: str(status()["findings"]))

    beamline.kill("web")
    wait_until(lambda: _is_back(url), 60.0)
    assert [run["info"]["run_id"] for run in client.get_logs(5)] == [5]
    wait_until(lambda: client.get_status()["state"] == "READY", 30.0)


def _is_back(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/api/v1/detectors", timeout=10) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
