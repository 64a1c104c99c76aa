"""The client of UbloxControl, std-daq ublox and std-daq simulate-f9t, with a real service."""

import asyncio
import base64
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest

from std_daq.client import AioUbloxControlClient, UbloxControlClient
from std_daq.telescope.ubloxcontrol.client import UbloxControlError
from std_daq.telescope.ubx.framing import make_message
from std_daq.telescope.ubx.message import kind_of
from std_daq.telescope.ubx.simulated_chip import DEFAULT_UID
from std_test_kit.ublox import PluggedF9t, UbloxProcess


def std_daq(*arguments: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "std_daq.cli", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)


@contextmanager
def simulated(link: Path, *options: str) -> Iterator[None]:
    command = [sys.executable, "-m", "std_daq.cli", "simulate-f9t", str(link), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        assert f"at {link}" in program.stdout.readline()
        yield
        program.send_signal(signal.SIGTERM)
        assert program.wait(10) == 0
    assert not link.is_symlink()


@pytest.mark.long
def test_client_initialises_polls_and_captures_through_a_restart_of_the_server() -> None:
    with UbloxProcess() as process, PluggedF9t(process.device), UbloxControlClient(process.target) as client:
        with pytest.raises(UbloxControlError, match=r"FAILED_PRECONDITION: F9T is not .*; call init first"):
            next(client.capture())
        answer = client.init(process.document())
        assert (answer["model"], answer["uid"], answer["firmware"]) == ("ZED-F9T", DEFAULT_UID, "TIM 2.20")
        with pytest.raises(UbloxControlError, match=r"no-such.* does not exist") as refused:
            client.init(process.document(device="/dev/no-such"), force=True)
        assert refused.value.code is grpc.StatusCode.INVALID_ARGUMENT
        (version,) = client.poll(["MON-VER"])
        assert version["fields"]["extension_04"] == "MOD=ZED-F9T"
        messages = client.capture(["TIM-TP"], reconnect=True)
        first = next(messages)
        assert (first["name"], first["dropped"]) == ("TIM-TP", 0)
        assert first["payload"][:2] == b"\xb5b"
        process.end()
        process.start()
        with UbloxControlClient(process.target) as other:
            other.init(process.document())
        assert next(messages)["number"] < 100  # of the new server
        messages.close()
        assert len(list(client.capture(["TIM-TP"], seconds=0.5))) > 1
        process.end()
        with pytest.raises(UbloxControlError, match=r"ublox\.sock: PollMessage: UNAVAILABLE.*is the server"):
            client.poll()


@pytest.mark.long
def test_asynchronous_client_does_the_same() -> None:
    async def use(process: UbloxProcess) -> list[str]:
        async with AioUbloxControlClient(process.target) as client:
            with pytest.raises(UbloxControlError, match="call init first"):
                await client.poll()
            await client.init(process.document())
            names = [one["name"] for one in await client.poll(["SEC-UNIQID"])]
            async for message in client.capture(["TIM"]):
                return [*names, message["name"]]
        return []

    with UbloxProcess() as process, PluggedF9t(process.device):
        assert asyncio.run(use(process)) == ["SEC-UNIQID", "TIM-TP"]


@pytest.mark.long
def test_commands_configure_show_and_poll_a_simulated_receiver(tmp_path: Path) -> None:
    settings = [{"key": "CFG_MSGOUT_UBX_TIM_TP_USB", "value": 1}, {"key": "CFG_RATE_MEAS", "value": 100}]
    document = {"cfg_key_settings": settings, "f9t_chips": [{"f9t_uid": "0123456789", "device": "/dev/no-such"}]}
    file = tmp_path / "f9t.json5"
    file.write_text("// one chip\n" + json.dumps(document))
    with UbloxProcess() as process, simulated(process.device, "--uid", "0123456789"):
        host = ("ublox", "--host", process.target)
        refused = std_daq(*host, "init", str(file))
        assert (refused.returncode, "/dev/no-such does not exist" in refused.stderr) == (1, True)
        done = std_daq(*host, "init", str(file), "--device", str(process.device))
        assert (done.returncode, "ZED-F9T 0123456789" in done.stdout) == (0, True), done.stderr
        shown = std_daq(*host, "capture", "TIM-TP", "--messages", "3")
        assert (shown.returncode, shown.stdout.count("TIM-TP"), shown.stdout.count("qErr")) == (0, 3, 3)
        shown = std_daq(*host, "capture", "TIM-TP", "--seconds", "1", "--json")
        assert {json.loads(line)["name"] for line in shown.stdout.splitlines()} == {"TIM-TP"}
        assert std_daq(*host, "capture", "NO-SUCH", "--seconds", "0.5").returncode == 1
        polled = std_daq(*host, "poll", "CFG_RATE_MEAS", "--json")
        assert json.loads(polled.stdout)["fields"] == {"CFG_RATE_MEAS": 100}


@pytest.mark.long
def test_recorded_messages_are_replayed_byte_for_byte(tmp_path: Path) -> None:
    recorded = [make_message(*kind_of("TIM-TP"), bytes((number, *bytes(15)))) for number in range(5)]
    lines = [json.dumps({"identity": "TIM-TP", "payload_b64": base64.b64encode(one).decode()}) for one in recorded]
    file = tmp_path / "recorded.jsonl"
    file.write_text("\n".join(lines) + "\n")
    with (
        UbloxProcess() as process,
        simulated(process.device, "--replay", str(file)),
        UbloxControlClient(process.target) as client,
    ):
        client.init(process.document())
        payloads = [message["payload"] for message, _ in zip(client.capture(["TIM-TP"]), range(12), strict=False)]
        first = recorded.index(payloads[0])
        assert payloads == [recorded[(first + number) % 5] for number in range(12)]


@pytest.mark.parametrize(("options", "told"), [
    (("--uid", "xyz"), "is not 10 hexadecimal digits"), (("--replay", "no-such.jsonl"), "there is no such file"),
    (("--replay", os.devnull), "this is a device"), (("--replay", "empty.jsonl"), "has no messages"),
    (("--replay", __file__), "line 1 has no payload_b64"),
])  # fmt: skip
def test_mistakes_of_the_simulation_are_named(options: tuple[str, ...], told: str, tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").touch()
    done = std_daq("simulate-f9t", str(tmp_path / "f9t"), *options, folder=tmp_path)
    assert done.returncode == 2
    assert told in done.stderr
    (tmp_path / "file").touch()
    done = std_daq("simulate-f9t", str(tmp_path / "file"))
    assert (done.returncode, "a file is there, and no link" in done.stderr) == (2, True)
