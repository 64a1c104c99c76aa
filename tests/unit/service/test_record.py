import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from std_daq.config.paths import make_runtime_dir
from std_daq.errors import ConfigError
from std_daq.imaging.config.load import parse_config
from std_daq.imaging.config.model import DetectorConfig
from std_daq.service.record import OwnRecord, endpoint_socket, read_records

CONFIG = {
    "detector_name": "recorded",
    "detector_type": "jungfrau",
    "n_modules": 1,
    "bit_depth": 16,
    "image_pixel_height": 512,
    "image_pixel_width": 1024,
    "start_udp_port": 50000,
}
IN_ANOTHER_PROCESS = """
import sys
from std_daq.imaging.config.load import load_config
from std_daq.service.record import OwnRecord
record = OwnRecord(load_config(sys.argv[1]), "assembler", "http://elsewhere:1")
print("written", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def config(runtime: Path) -> DetectorConfig:
    config = parse_config(CONFIG)
    make_runtime_dir(config)
    endpoint_socket(config, "any")
    return config


def test_record_is_found_until_it_is_removed(config: DetectorConfig) -> None:
    record = OwnRecord(config, "assembler", "http://127.0.0.1:8080")
    (found,) = read_records(config)
    assert (found.instance, found.pid, found.url) == ("assembler", os.getpid(), "http://127.0.0.1:8080")
    assert found.socket == endpoint_socket(config, "assembler")
    record.remove()
    assert read_records(config) == []


def test_record_of_a_process_that_was_killed_is_ignored_although_its_process_id_lives_on(
    config: DetectorConfig, tmp_path: Path, runtime: Path
) -> None:
    file = tmp_path / "detector.json"
    file.write_text(json.dumps(CONFIG))
    with subprocess.Popen(
        [sys.executable, "-c", IN_ANOTHER_PROCESS, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "written\n"
        assert [record.pid for record in read_records(config)] == [process.pid]
        process.kill()
    # As in another container, where the same number is the id of another process.
    path = runtime / "recorded/services/assembler.json"
    path.write_text(path.read_text().replace(f'"pid": {process.pid}', f'"pid": {os.getpid()}'))
    assert read_records(config) == []


def test_predecessor_does_not_remove_the_record_of_its_successor(config: DetectorConfig) -> None:
    first = OwnRecord(config, "assembler", "http://first")
    second = OwnRecord(config, "assembler", "http://second")
    first.remove()
    assert [record.url for record in read_records(config)] == ["http://second"]
    second.remove()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"instance": "assembler", "pid": 1}'])
def test_what_is_no_record_is_ignored(config: DetectorConfig, runtime: Path, text: str) -> None:
    (runtime / "recorded/services/assembler.json").write_text(text)
    assert read_records(config) == []


def test_directory_that_cannot_be_made_is_a_wrong_configuration(config: DetectorConfig, runtime: Path) -> None:
    folder = runtime / "recorded/services"
    folder.rmdir()
    folder.write_text("a file")
    with pytest.raises(ConfigError, match="runtime_dir"):
        endpoint_socket(config, "assembler")


def test_record_that_cannot_be_written_is_told_and_leaves_nothing(config: DetectorConfig) -> None:
    folder = endpoint_socket(config, "assembler").parent
    (folder / "assembler.json").mkdir()
    with pytest.raises(ConfigError, match=r"record cannot be written.*assembler\.json"):
        OwnRecord(config, "assembler", "http://127.0.0.1:8080")
    assert [file.name for file in folder.iterdir()] == ["assembler.json"]
