"""Each value of each configuration has bounds; what is beyond them is refused, with the key and the bound."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from std_daq.config.bounds import MAX_DOCUMENT_BYTES, MAX_TEXT_CHARS
from std_daq.config.load import check_config, read_document
from std_daq.config.system import systems
from std_daq.errors import ConfigError
from std_daq.imaging.detectors.eiger.options import EigerOptions
from std_daq.imaging.detectors.gigafrost.detector import GigafrostOptions
from std_daq.imaging.detectors.jungfrau.options import JungfrauOptions
from std_daq.telescope.boards.options import TelescopeOptions
from std_event_analysis.options import AnalysisOptions
from std_test_kit.fields import Field, changed, fields_of

JOIN = {"join_radius_fraction": 1, "join_z_fraction": 1}
AXIS = {"name": "omega", "vector": [1, 0, 0], "values_deg": [0.0], "offset_m": [0, 0, 0]}
# A document of each system; lists and objects are not empty where a field in them needs others beside it.
DOCUMENTS: dict[str, dict[str, Any]] = {
    "images": {
        "detector_name": "eiger",
        "detector_type": "eiger",
        "n_modules": 1,
        "bit_depth": 16,
        "image_pixel_height": 256,
        "image_pixel_width": 514,
        "start_udp_port": 50000,
        "module_positions": {"0": [0, 0, 513, 255]},
        "deactivate": [0],
        "live_stream_configs": {"tcp://127.0.0.1:9000": {"type": "batch", "config": [1, 2]}},
        "metrics": {"ports": {"udp-recv": 9101}},
        "udp": {"cpus": [0], "receivers": ["0"], "senders": ["10.0.0.1"]},
        "replication": {"send": [{}], "receive": {"sources": ["tcp://127.0.0.1:9700"]}},
        "writer": {"output_roots": ["/data"]},
        "nexus": {"beam_center_px": [1, 1], "beam_size_m": [1, 1], "goniometer": [AXIS], "pixel_size_m": [1e-4, 1e-4]},
    },
    "tpc": {
        "detector_name": "chamber",
        "detector_type": "get-tpc",
        "exporters": ["127.0.0.1:46000"],
        "pads": {"electronics": "map.csv"},
        "boards": [[0, 0]],
        "metrics": {"ports": {"event-builder": 9101}},
        "writer": {"output_roots": ["/data"]},
        "analysis": {"phases": ["cloud"], "cluster": {"continuity_join": JOIN}},
    },
    "telescope": {
        "metrics": {"ports": {"live-view": 9101}},
        "start": {"simulate": True, "module_ids": [1]},
        "sources": {"unix_sockets": {}, "image_buffers": [{"config": "detector.json"}]},
        "simulation": {"module_ids": [1]},
    },
    "ublox": {"metrics": {"ports": {"ublox-control": 9101}}},
    "photons": {"name": "farm", "geometry": "tank.json", "metrics": {"ports": {"sim-router": 9101}}},
}  # fmt: skip
ALL = {name: fields_of(system.model.model_json_schema()) for name, system in systems().items() if name in DOCUMENTS}
EXTREMES = [10**30, -(10**30), 2**62, -(2**62), float("nan"), float("inf"), -float("inf")]
NO_TEXTS = {
    "x" * (MAX_TEXT_CHARS + 1): "a text or a key may have 65536",
    "a\0b": "has a NUL character",
    "\ud800": "half of a surrogate pair",
}
NUMBERS = [(name, field) for name, fields in ALL.items() for field in fields if field.is_number]
TEXTS = [(name, field) for name, fields in ALL.items() for field in fields if field.schema.get("type") == "string"]


def named(case: tuple[str, Field]) -> str:
    return f"{case[0]}:{case[1].name}"


def refusal(system: str, document: dict[str, Any]) -> str:
    with pytest.raises(ConfigError) as refused:
        check_config(document, systems()[system].model, "detector.json")
    assert len(str(refused.value)) < 2000
    return str(refused.value)


def test_each_system_that_is_installed_is_tested() -> None:
    shipped = {name for name, system in systems().items() if system.model.__module__.startswith("std_daq.")}
    assert shipped == set(ALL)
    for name, document in DOCUMENTS.items():
        check_config(document, systems()[name].model, "detector.json")


@pytest.mark.parametrize("case", NUMBERS, ids=named)
def test_each_number_has_bounds(case: tuple[str, Field]) -> None:
    assert case[1].is_bounded


@pytest.mark.parametrize(
    "options", [EigerOptions, JungfrauOptions, GigafrostOptions, TelescopeOptions, AnalysisOptions]
)
def test_each_number_of_the_options_of_a_detector_or_service_has_bounds(options: type[BaseModel]) -> None:
    numbers = [field for field in fields_of(options.model_json_schema()) if field.is_number]
    assert [field.name for field in numbers if not field.is_bounded] == []


@pytest.mark.parametrize("case", NUMBERS, ids=named)
def test_number_out_of_bounds_is_refused_with_its_key(case: tuple[str, Field]) -> None:
    system, field = case
    wrong = [value for value in EXTREMES if not field.allows(value)]
    assert len(wrong) >= 3
    for value in wrong:
        document = changed(DOCUMENTS[system], field.path, value)
        assert next(key for key in reversed(field.path) if key not in "[]*") in refusal(system, document)


@pytest.mark.parametrize("case", TEXTS, ids=named)
def test_text_that_no_path_and_no_file_can_hold_is_refused(case: tuple[str, Field]) -> None:
    system, field = case
    for value, said in NO_TEXTS.items():
        document = changed(DOCUMENTS[system], field.path, value)
        assert said in refusal(system, document)


@pytest.mark.parametrize("system", DOCUMENTS)
def test_what_is_nested_without_end_is_refused(system: str) -> None:
    nested: list[Any] = []
    for _ in range(500):
        nested = [nested]
    for where in ("services", "name"):
        text = refusal(system, DOCUMENTS[system] | {where: {"mine": {"key": nested}}})
        assert "is nested deeper than 32 levels" in text
        assert f"key '{where}.mine.key" in text


def test_key_that_is_too_long_is_told_in_a_short_message() -> None:
    assert "a text or a key may have" in refusal("images", DOCUMENTS["images"] | {"x" * 10**6: 1})


def test_number_with_thousands_of_digits_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "detector.json"
    file.write_text('{"n_modules": 1' + "0" * 5000 + "}")
    with pytest.raises(ConfigError, match="has a number with thousands of digits"):
        read_document(file)


def test_file_that_is_no_configuration_by_its_size_is_not_read(tmp_path: Path) -> None:
    file = tmp_path / "detector.json"
    with file.open("wb") as stream:
        stream.truncate(MAX_DOCUMENT_BYTES + 1)
    with pytest.raises(ConfigError, match="has more than 67108864 bytes"):
        read_document(file)


@pytest.mark.parametrize("size", [1, 100_000])
def test_long_values_are_cut_in_messages(size: int) -> None:
    document = DOCUMENTS["images"] | {"detector_name": list(range(size))}
    assert ("..." in refusal("images", document)) == (size > 1)


def test_bounds_are_the_ones_of_json_too() -> None:
    """What JSON has no word for, Python's parser takes; a configuration must not."""
    for text in ("NaN", "Infinity", "-Infinity", "1e999"):
        document = json.loads(json.dumps(DOCUMENTS["images"])[:-1] + f', "ram_buffer_gb": {text}}}')
        assert "key 'ram_buffer_gb': must be a finite number" in refusal("images", document).replace(
            "detector.json: ", ""
        )
