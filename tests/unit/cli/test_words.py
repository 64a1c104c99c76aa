"""What a command says of a mistake is in words of who made it, not in those of the libraries that met it."""

import json
from pathlib import Path

import pytest

from std_daq.cli.__main__ import main
from std_daq.errors import EXIT_DONE

OF_LIBRARIES = (
    "Expecting property", "codec can't", "gaierror", "AMQP", "ProbableA", "Input should", "should match pattern",
    "addr=", "invalid literal", "[Errno", "Unable to synchronously", "Traceback", "Error(", "valid integer",
    "valid string", "could not convert", "_integer value", "_number value", "KeyError", "pydantic",
    "Cannot assign requested",
)  # fmt: skip
CONTENTS = {
    "comment.json": b'{\n // mine\n "detector_name": "a"}',
    "single.json": b"{'detector_name': 'a'}",
    "latin.json": b'{"detector_name": "\xff"}',
    "utf16.json": '{"detector_name": "a"}'.encode("utf-16"),
    "empty.json": b"",
    "list.json": b"[1, 2]",
    "nested.json": b"[" * 100_000,
    "noise.h5": bytes(range(256)) * 20,
    "noise.pff": bytes(range(256)) * 20,
    "noise.graw": bytes(range(256)) * 20,
    "50000.dat": b"\xff" * 100,
    "capture.pcap": b"\xa1\xb2\xc3\xd4" + bytes(100),
}
DOCUMENTS = [name for name in CONTENTS if name.endswith(".json")]
VALUES: list[dict[str, object]] = [
    {"n_modules": "one"}, {"n_modules": 1.5}, {"n_modules": -1}, {"detector_name": 7}, {"detector_name": "a/b"},
    {"udp": []}, {"udp": {"socket_buffer_bytes": "1 MB"}}, {"writer": {"output_roots": "data"}}, {"log_level": "loud"},
    {"root_links": "yes"}, {"module_positions": {"0": [1, 2]}}, {"live_stream_configs": {"tcp://*": {}}},
    {"live_stream_configs": {"tcp://*:9": {"type": "foward"}}}, {"broker": {"url": "http://x"}},
    {"metrics": {"ports": {"assembler": "x"}}}, {"start_udp_port": 70000}, {"pixel_size_m": "75 um"},
]  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name, content in CONTENTS.items():
        (tmp_path / name).write_bytes(content)
    return tmp_path


def told(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Run a command that must fail, and return what it says."""
    try:
        exit_code = main(arguments)
    except SystemExit as ended:
        exit_code = int(ended.code or 0)
    out, err = capsys.readouterr()
    text = "\n".join(line for line in (out + err).splitlines() if not line.startswith(("usage", "   ", "{")))
    assert exit_code != EXIT_DONE, text
    assert text
    assert [words for words in OF_LIBRARIES if words in text] == [], text
    return text


@pytest.mark.parametrize("name", DOCUMENTS)
@pytest.mark.parametrize(
    "arguments",
    [
        ["config", "check", "FILE"],
        ["live", "FILE", "--list-hosts"],
        ["config", "import", "FILE"],
        ["validate", "FILE"],
        ["write", "--config", "CONFIG", "--output-file", "a.h5", "--experiment", "FILE", "--broker-url", "amqp://x:1/"],
        ["simulate-f9t", "f9t", "--replay", "FILE"],
    ],
    ids=lambda arguments: " ".join(arguments[:2]),
)
def test_file_that_is_no_json(
    name: str, arguments: list[str], folder: Path, config_file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    names = {"FILE": name, "CONFIG": config_file}
    assert name in told([names.get(argument, argument) for argument in arguments], capsys)


@pytest.mark.parametrize("changes", VALUES, ids=json.dumps)
def test_value_of_a_configuration(
    changes: dict[str, object], folder: Path, config_file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    document = json.loads(Path(config_file).read_text()) | changes
    Path(config_file).write_text(json.dumps(document))
    # What looks like no URL is found by who connects.
    command = ["kill", "--current", "--config"] if "broker" in changes else ["config", "check"]
    told([*command, config_file], capsys)


@pytest.mark.parametrize(
    "arguments",
    [
        ["validate", "noise.h5"],
        ["validate", "noise.graw"],
        ["recover", "noise.h5"],
        ["join", "master.h5", "noise.h5"],
        ["pff", "info", "noise.pff"],
        ["replay", "--config", "CONFIG", "50000.dat"],
        ["replay", "--config", "CONFIG", "capture.pcap"],
        ["dump", "--config", "FAR", "--output", "captures"],
        ["dump", "--config", "CONFIG", "--output", "/proc/captures"],
        ["simulate", "--config", "CONFIG", "--n-images", "1", "--host", "nobody.invalid"],
        ["simulate", "--config", "CONFIG", "--n-images", "1", "--host", "255.255.255.255"],
        ["view", "--address", "tcp://nobody.invalid:9", "--timeout-s", "0.05"],
        ["view", "--address", f"ipc:///tmp/{'x' * 200}", "--timeout-s", "0.05"],
        ["write", "--config", "CONFIG", "--output-file", ""],
        ["write", "--config", "CONFIG", "--output-file", "folder/"],
        ["write", "--config", "CONFIG", "--output-file", "a.h5", "--broker-url", "http://x/"],
        ["kill", "--config", "CONFIG", "7"],
        ["certificates", "--server", "a b", "--output", "certificates"],
        ["broker-setup", "--tag", "", "--output", "secrets"],
        ["live", "--host", "nobody.invalid", "--ping"],
        ["ublox", "--host", "unix:/nonexistent", "init", "nested.json"],
        ["ublox", "--host", "unix:/nonexistent", "init", "latin.json"],
    ],
    ids=" ".join,
)
def test_other_mistakes(
    arguments: list[str], folder: Path, config_file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    far = folder / "far.json"
    far.write_text(json.dumps(json.loads(Path(config_file).read_text()) | {"udp": {"address": "203.0.113.7"}}))
    names = {"CONFIG": config_file, "FAR": str(far)}
    told([names.get(argument, argument) for argument in arguments], capsys)
