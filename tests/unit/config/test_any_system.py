"""Configurations of systems that have no pixels."""

import json
from pathlib import Path
from typing import Any

import pytest

from std_daq.cli.__main__ import main
from std_daq.config.paths import make_runtime_dir
from std_daq.config.system import load_any_config, systems
from std_daq.errors import ConfigError
from std_daq.imaging.config.model import DetectorConfig

MODULE = '''
from pydantic import Field
from std_daq.config.platform import PlatformConfig
from std_daq.config.system import System

class ChamberConfig(PlatformConfig):
    """A chamber."""

    exporters: list[str] = Field(description="Addresses of the front-end computers.")
    detector_type: str = Field(description="Which chamber.")

SYSTEM = System(name="chamber", file="chamber.json", model=ChamberConfig, summarise=lambda config: {"boards": "3"})
'''
IMAGES = {
    "detector_name": "det",
    "detector_type": "jungfrau",
    "n_modules": 1,
    "bit_depth": 16,
    "image_pixel_height": 512,
    "image_pixel_width": 1024,
    "start_udp_port": 50000,
}


@pytest.fixture(autouse=True)
def _chamber(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another system is installed beside images."""
    info = tmp_path / "site" / "chamber-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: chamber\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[std_daq.systems]\nchamber = std_daq_test_chamber:SYSTEM\n")
    (tmp_path / "site" / "std_daq_test_chamber.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path / "site")


def write(tmp_path: Path, document: dict[str, Any]) -> Path:
    file = tmp_path / "file.json"
    file.write_text(json.dumps(document))
    return file


CHAMBER = {"name": "attpc", "detector_type": "get-tpc", "exporters": ["127.0.0.1:46491"]}


def test_file_is_read_by_the_system_that_knows_its_keys(tmp_path: Path) -> None:
    assert list(systems()) == ["chamber", "images", "photons", "telescope", "tpc", "ublox"]
    assert isinstance(load_any_config(write(tmp_path, IMAGES)), DetectorConfig)
    assert type(load_any_config(write(tmp_path, CHAMBER))).__name__ == "ChamberConfig"


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({**IMAGES, "n_modulse": 1}, "key 'n_modulse': unknown key; did you mean 'n_modules'"),
        (
            {key: value for key, value in IMAGES.items() if key != "detector_type"},
            "key 'detector_type': this required key is missing",
        ),
        ({**CHAMBER, "exportres": []}, "key 'exportres': unknown key; did you mean 'exporters'"),
        ({**CHAMBER, "broker": {"urll": "amqp://x"}}, "key 'broker.urll': unknown key; did you mean 'url'"),
        ({"name": "no/slash", "exporters": []}, "key 'name': a name has letters, digits"),
    ],
)
def test_mistakes_are_told_as_those_of_the_system_that_was_meant(
    tmp_path: Path, document: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=r"file\.json") as caught:
        load_any_config(write(tmp_path, document))
    assert message in str(caught.value)


def test_what_all_systems_share_works_without_pixels(tmp_path: Path, runtime: Path) -> None:
    config = load_any_config(write(tmp_path, {**CHAMBER, "broker": {"tag": "tpc"}}))
    assert (config.name, config.tag, config.ring_paths) == ("attpc", "tpc", ())
    assert make_runtime_dir(config) == runtime / "attpc"


def test_schema_and_reference_of_any_system_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "schema", "--system", "chamber"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert list(schema["properties"])[:2] == ["exporters", "detector_type"]
    assert "image_pixel_height" not in schema["properties"]
    assert main(["config", "reference", "--system", "chamber"]) == 0
    page = capsys.readouterr().out
    assert "`chamber.json` describes" in page
    assert "| `exporters` | list of string | **required** | Addresses of the front-end computers. |" in page
    assert "ignored" not in page
    assert main(["config", "schema", "--system", "chambre"]) == 2
    assert "installed: chamber, images" in capsys.readouterr().err


def test_check_tells_the_system_and_what_it_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "check", "--json", str(write(tmp_path, CHAMBER))]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found == {
        "is_valid": True,
        "system": "chamber",
        "boards": "3",
        "services": "",
        "runs_here": True,
        "on_this_machine": [],
    }


@pytest.mark.parametrize(("file", "model"), [("live.json", "LiveViewConfig"), ("ublox.json", "UbloxControlConfig")])
def test_usual_name_of_a_file_decides_where_its_keys_fit_several_systems(file: str, model: str, tmp_path: Path) -> None:
    (tmp_path / file).write_text(json.dumps({"port": 0}))
    assert type(load_any_config(tmp_path / file)).__name__ == model
    (tmp_path / file).write_text(json.dumps({"port": 0, "max_queue": 5}))
    assert type(load_any_config(tmp_path / file)).__name__ == "UbloxControlConfig"
