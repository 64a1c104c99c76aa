import json
from pathlib import Path
from typing import Any

import pytest

from std_daq.config.paths import make_runtime_dir, runtime_dir
from std_daq.errors import ConfigError
from std_daq.imaging.config import ModuleRange, load_config, parse_config
from std_daq.imaging.config.paths import frames_address, image_buffer_path

MODULE = {
    "detector_name": "EG-module",
    "detector_type": "eiger",
    "n_modules": 4,
    "bit_depth": 32,
    "image_pixel_height": 514,
    "image_pixel_width": 1030,
    "start_udp_port": 50032,
    "module_positions": {
        "0": [0, 258, 513, 513],
        "1": [516, 258, 1029, 513],
        "2": [0, 255, 513, 0],
        "3": [516, 255, 1029, 0],
    },
}


def changed(**changes: Any) -> dict[str, Any]:
    return {**MODULE, **changes}


def test_file_as_users_have_it_loads(tmp_path: Path) -> None:
    file = tmp_path / "detector.json"
    file.write_text(json.dumps(changed(module_sync_queue_size=128, ram_buffer_gb=4, deactivate=[2])))
    config = load_config(file)
    assert config.module_positions[2] == (0, 255, 513, 0)
    assert config.image_shape == (514, 1030)
    assert config.tag == "EG-module"
    assert [str(part) for part in config.receivers] == ["0-3"]


def test_keys_that_mean_nothing_here_are_named_in_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    parse_config(changed(gpfs_block_size=1, use_all_forwarders=True), "detector.json")
    text = capsys.readouterr().err
    assert "gpfs_block_size" in text
    assert "use_all_forwarders" in text


@pytest.mark.parametrize(("spelling", "conversion"), [("jungfrau-raw", "raw"), ("jungfrau-converted", "kev")])
def test_spellings_of_jungfrau_choose_the_conversion(spelling: str, conversion: str) -> None:
    config = parse_config(changed(detector_type=spelling))
    assert (config.detector_type, config.detector["conversion"]) == ("jungfrau", conversion)


@pytest.mark.parametrize(
    ("changes", "key", "says"),
    [
        ({"n_modulse": 4}, "n_modulse", "did you mean 'n_modules'"),
        ({"udp": {"windw_frames": 3}}, "udp.windw_frames", "did you mean 'window_frames'"),
        ({"zzzzzz": 1}, "zzzzzz", "known keys here"),
        ({"n_modules": "many"}, "n_modules", "many"),
        ({"n_modules": 0}, "n_modules", "greater than or equal to 1"),
        ({"detector_name": "../etc"}, "detector_name", "../etc"),
        ({"start_udp_port": 70000}, "start_udp_port", "70000"),
        ({"module_positions": {"9": [0, 0, 1, 1]}}, None, "module 9 is named, but n_modules is 4"),
        ({"module_positions": {"0": [0, 0, 5000, 1]}}, None, "x 0..5000 leaves the image"),
        ({"module_positions": {"0": [0, 600, 5, 1]}}, None, "y 600..1 leaves the image"),
        ({"deactivate": [4]}, None, "module 4 is named"),
        ({"udp": {"receivers": ["0-1"]}}, None, "exactly once"),
        ({"udp": {"receivers": ["0-2", "2-3"]}}, None, "exactly once"),
        ({"udp": {"receivers": ["a-b"]}}, "udp.receivers", "do not have the form"),
        ({"udp": {"receivers": ["3-1"]}}, "udp.receivers", "the last is before the first"),
        ({"log_level": "loud"}, "log_level", "loud"),
    ],
)
def test_wrong_value_is_refused_with_file_key_value_and_remedy(
    tmp_path: Path, changes: dict[str, Any], key: str | None, says: str
) -> None:
    file = tmp_path / "detector.json"
    file.write_text(json.dumps(changed(**changes)))
    with pytest.raises(ConfigError, match=r"detector\.json") as caught:
        load_config(file)
    assert says in str(caught.value)
    assert caught.value.key == key


def test_misspelt_required_key_is_told_as_unknown_and_not_as_missing() -> None:
    document = MODULE | {"bitdepth": 32}
    del document["bit_depth"]
    with pytest.raises(ConfigError, match="'bitdepth': unknown key; did you mean 'bit_depth'"):
        parse_config(document)


def test_missing_key_is_named() -> None:
    document = dict(MODULE)
    del document["bit_depth"]
    with pytest.raises(ConfigError, match="required key is missing") as caught:
        parse_config(document)
    assert caught.value.key == "bit_depth"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is not JSON"),
        ('{"a": 1,}', "in line 1, column"),
        ("[]", "not an object"),
        ('{"n_modules": 1, "n_modules": 2}', "given twice"),
        ("\x00\xff", "is not JSON"),
    ],
)
def test_file_that_is_no_configuration_is_refused(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "detector.json"
    file.write_text(text, encoding="latin-1" if "\xff" not in text else "utf-8")
    with pytest.raises(ConfigError, match=says):
        load_config(file)


def test_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such file"):
        load_config(tmp_path / "detector.json")


def test_binary_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "detector.json"
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="is not a text in UTF-8"):
        load_config(file)


def test_module_ranges_include_both_ends() -> None:
    assert list(ModuleRange.parse("2-4").modules) == [2, 3, 4]
    assert list(ModuleRange.parse("7").modules) == [7]
    assert str(ModuleRange.parse("7")) == "7-7"


def test_services_of_one_detector_meet_below_the_runtime_directory(runtime: Path) -> None:
    config = parse_config(MODULE)
    assert make_runtime_dir(config) == runtime / "EG-module" == runtime_dir(config)
    assert frames_address(config, config.receivers[0]) == f"ipc://{runtime}/EG-module/frames-0-3.ipc"
    assert image_buffer_path(config) == Path("/dev/shm/EG-module-images")


def test_runtime_directory_that_is_too_long_for_sockets_is_refused(tmp_path: Path) -> None:
    config = parse_config(changed(runtime_dir=str(tmp_path / ("x" * 90))))
    with pytest.raises(ConfigError, match="the system allows 107") as caught:
        make_runtime_dir(config)
    assert caught.value.key == "runtime_dir"


def test_runtime_directory_that_others_may_write_to_is_refused(runtime: Path) -> None:
    config = parse_config(MODULE)
    path = make_runtime_dir(config)
    path.chmod(0o777)
    with pytest.raises(ConfigError, match="other users may write here"):
        make_runtime_dir(config)


def live_stream(kind: str, *numbers: object, address: str = "tcp://127.0.0.1:20000") -> dict[str, object]:
    return changed(live_stream_configs={address: {"type": kind, "config": list(numbers)}})


def test_live_streams_of_existing_files_are_understood() -> None:
    streams = {
        "tcp://10.0.0.5:20000": {"type": "batch", "config": [2, 555]},
        "tcp://*:20001": {"type": "forward", "config": []},
        "ipc:///run/std-daq/live.ipc": {"type": "periodic", "config": [1, 0.5]},
    }
    config = parse_config(changed(live_stream_configs=streams))
    assert {address: stream.model_dump() for address, stream in config.live_stream_configs.items()} == streams


@pytest.mark.parametrize(
    ("kind", "numbers"),
    [
        ("forward", (1, 2)),
        ("batch", ()),
        ("batch", (1,)),
        ("batch", (3, 2)),
        ("batch", (1, 2.5)),
        ("batch", (0, 2)),
        ("periodic", (1.5, 2)),
        ("periodic", (1, 0)),
        ("periodic", (1, "fast")),
        ("periodic", (1, 2, 3)),
        ("all", ()),
    ],
)
def test_numbers_that_do_not_fit_a_live_stream_are_refused(kind: str, numbers: tuple[object, ...]) -> None:
    with pytest.raises(ConfigError, match=r"live_stream_configs\.tcp://127\.0\.0\.1:20000"):
        parse_config(live_stream(kind, *numbers))


@pytest.mark.parametrize("address", ["127.0.0.1:20000", "tcp://127.0.0.1", "udp://127.0.0.1:1", "tcp:///run:1"])
def test_what_is_no_address_of_a_live_stream_is_refused(address: str) -> None:
    with pytest.raises(ConfigError, match="live_stream_configs"):
        parse_config(live_stream("forward", address=address))


def test_misspelt_key_of_a_live_stream_gets_the_nearest_one() -> None:
    with pytest.raises(ConfigError, match="did you mean 'type'"):
        parse_config(changed(live_stream_configs={"tcp://127.0.0.1:1": {"typ": "forward"}}))


@pytest.mark.parametrize(
    "broker",
    [
        "amqp://user:hush@host",
        {"url": "amqp://user:hush@host"},
        {"url": ["amqp://user:hush@host", "amqps://user:hu@sh@host/"]},
        {"url": {"node": "AMQP://user:hush@host"}},
        {"url_file": ["amqp://user:hush@host"]},
    ],
)
def test_password_in_the_configuration_is_not_told(broker: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(changed(broker=broker))
    assert "hu" not in str(caught.value)
