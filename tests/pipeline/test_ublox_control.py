"""A real std-ublox-control with a simulated ZED-F9T: every status code, faults of the chip, all clients."""

import contextlib
import json
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from std_daq.telescope.ubloxcontrol import ublox_control_pb2 as messages
from std_daq.telescope.ubx.framing import make_message
from std_daq.telescope.ubx.keys import all_keys
from std_daq.telescope.ubx.message import kind_of
from std_daq.telescope.ubx.settings import VALGET, VALSET
from std_daq.telescope.ubx.simulated_chip import DEFAULT_UID
from std_test_kit.ublox import GENERATIONS, FaultyF9t, PluggedF9t, UbloxProcess, UbloxTableClient
from std_test_kit.wait import wait_until

Code = grpc.StatusCode
NOT_INITIALISED = "F9T is not initialized or I/O is not running."
MON_VER, SEC_UNIQID = kind_of("MON-VER"), kind_of("SEC-UNIQID")


@contextlib.contextmanager
def fails(code: Code, *texts: str) -> Iterator[None]:
    with pytest.raises(grpc.RpcError) as failed:
        yield
    assert failed.value.code() is code, failed.value.details()
    for text in texts:
        assert text in failed.value.details()


@contextlib.contextmanager
def ublox(chip: FaultyF9t | None = None, **config: Any) -> Iterator[tuple[UbloxProcess, UbloxTableClient, PluggedF9t]]:
    with (
        UbloxProcess(**config) as process,
        PluggedF9t(process.device, chip or FaultyF9t()) as plugged,
        UbloxTableClient(process.target) as client,
    ):
        yield process, client, plugged


def asks_for(question: bytes, kind: tuple[int, int]) -> bool:
    return question[2:4] == bytes(kind)


def metric(process: UbloxProcess, name: str) -> float:
    url = process.logged("started")[0]["endpoint"]
    text = urllib.request.urlopen(f"{url}/metrics", timeout=5).read().decode()
    lines = [line for line in text.splitlines() if line.startswith(name) and "_created" not in line]
    return sum(float(line.split()[-1]) for line in lines)


# -- InitF9t


def test_calls_before_init_are_refused() -> None:
    with UbloxProcess() as process, UbloxTableClient(process.target) as client:
        with fails(Code.FAILED_PRECONDITION, NOT_INITIALISED):
            next(client.capture())
        with fails(Code.FAILED_PRECONDITION, NOT_INITIALISED):
            client.poll("MON-VER")


@pytest.mark.long
def test_wrong_requests_have_the_codes_that_clients_know(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with ublox() as (process, client, _):
        for change, told in (
            ({"device": None}, "Device path not specified in config."),
            ({"device": 7}, "Device path must be a text"),
            ({"device": "/dev/no-such-device"}, "Device path /dev/no-such-device does not exist."),
            ({"device": str(tmp_path / "file")}, "is no character device"),
            ({"f9t_uid": "0000000000"}, f"is {DEFAULT_UID}, but f9t_uid is 0000000000"),
            ({"f9t_uid": None}, "f9t_uid not specified"),
            ({"cfg_key_settings": [{"key": "CFG_TP_TP9_ENA", "value": 1}]}, "there is no key 'CFG_TP_TP9_ENA'"),
            ({"position": {"format": "ECEF"}}, "ECEF"),
            ({"baud": float("nan")}, "f9t_config"),
        ):
            with fails(Code.INVALID_ARGUMENT, told):
                client.init(process.document(**change))
        with fails(Code.UNAVAILABLE, "Could not connect to device /dev/full: it is no serial line"):
            client.init(process.document(device="/dev/full"))
        with fails(Code.UNAVAILABLE, f"Could not connect to device {process.device}: a speed of 12345 baud"):
            client.init(process.document(baud=12345))
        with fails(Code.FAILED_PRECONDITION, NOT_INITIALISED):
            next(client.capture())
        # After all of these it works.
        answer = client.init(process.document())
        assert (answer.init_status, answer.f9t_config["f9t_uid"]) == (answer.SUCCESS, DEFAULT_UID)
        with UbloxProcess() as second, UbloxTableClient(second.target) as other, fails(Code.UNAVAILABLE, "uses it"):
            other.init(process.document())


@pytest.mark.long
@pytest.mark.parametrize(("change", "told"), [
    (lambda q, a: b"" if asks_for(q, MON_VER) else a, "answers MON-VER within 2.5 s"),
    (lambda q, a: a.replace(b"MOD=ZED-F9T", b"MOD=NEO-M9N") if asks_for(q, MON_VER) else a, "answers MON-VER"),
    (lambda q, a: make_message(*MON_VER, bytes(40)) if asks_for(q, MON_VER) else a, "is no ZED-F9T"),
    (lambda q, a: b"" if asks_for(q, SEC_UNIQID) else a, "does not answer SEC-UNIQID within 3.0 s"),
    (lambda q, a: b"" if asks_for(q, VALSET) else a, "no answer to CFG-VALSET"),
    (lambda q, a: make_message(5, 0, bytes(VALSET)) if asks_for(q, VALSET) else a, "refuses CFG-VALSET"),
    (lambda q, a: b"" if asks_for(q, VALGET) else a, "no answer to CFG-VALGET within 3.0 s"),
    (lambda q, a: make_message(5, 0, bytes(VALGET)) if asks_for(q, VALGET) else a, "refuses CFG-VALGET"),
    (lambda q, a: make_message(*VALGET, bytes(4)) if asks_for(q, VALGET) else a, "TIM_TP_USB is not there after 1"),
    (lambda q, a: make_message(*VALGET, bytes(5)) if asks_for(q, VALGET) else a, "is damaged"),
], ids=[
    "silent", "damaged", "other model", "no uid", "no ack", "nak", "no values", "nak values", "missing", "cut values",
])  # fmt: skip
def test_chip_that_fails_in_a_step_is_told_with_the_step(change: Any, told: str) -> None:
    chip = FaultyF9t()
    chip.change = change
    with ublox(chip) as (process, client, _), fails(Code.INTERNAL, "Initialization failed: ", told):
        client.init(process.document())


def test_value_that_is_not_kept_is_named_with_what_is_there() -> None:
    chip = FaultyF9t()
    with ublox(chip) as (process, client, _):
        with fails(Code.INTERNAL, "CFG_MSGOUT_UBX_TIM_TP_USB is 0 after 1 has been written"):
            client.init(process.document(apply_to_layers=["BBR"], verify_layer="RAM"))
        assert client.init(process.document(apply_to_layers=["BBR", "flash"], verify_layer="FLASH")).init_status == 2


def test_keys_are_sent_in_order_in_transactions_with_a_pause_after_the_signals() -> None:
    chip, times = FaultyF9t(), []

    def note(question: bytes, answer: bytes) -> bytes:
        times.append((question[2:4], question[7:9], time.monotonic()))
        return answer

    chip.change = note
    signals = [(key.name, 0) for key in all_keys() if key.name.startswith("CFG_SIGNAL_")][:3]
    many = [(key.name, 0) for key in all_keys() if key.name.startswith("CFG_MSGOUT_UBX_")][:140]
    position = {"lat_deg": 37.4219999, "lon_deg": -122.0840575, "height_m": 12.345, "acc_m": 0.02}
    with ublox(chip) as (process, client, _):
        client.init(process.document(*many, *signals, position=position, apply_to_layers=["RAM", "BBR"]))
    asked = [kind for kind, _, _ in times]
    assert asked[:2] == [bytes(MON_VER), bytes(SEC_UNIQID)]
    written = [(head, at) for kind, head, at in times if kind == bytes(VALSET)]
    assert [head.hex() for head, _ in written] == ["0300", "0301", "0302", "0303"]
    assert written[1][1] - written[0][1] >= 0.3
    assert asked.count(bytes(VALGET)) == 3
    assert all(chip.layers[0] == chip.layers[layer] for layer in (0, 1))
    assert chip.layers[2] == {}


@pytest.mark.long
def test_streams_refuse_an_init_that_is_not_forced_and_end_within_a_second_of_one_that_is() -> None:
    with ublox() as (process, client, _):
        client.init(process.document())
        streams = [client.capture(), client.capture("NO-SUCH")]
        next(streams[0])
        wait_until(lambda: metric(process, "daq_ublox_control_streams") == 2, 5.0)
        with fails(Code.FAILED_PRECONDITION, "Cannot modify server state: 2 clients are streaming"):
            client.init(process.document())
        with fails(Code.INVALID_ARGUMENT, "no key"):
            client.init(process.document(("CFG_NO", 1)), force=True)
        next(streams[0])  # a request that is wrong disturbs nobody
        begun_s = time.monotonic()
        assert client.init(process.document(), force=True).init_status == 2
        for stream in streams:
            with fails(Code.CANCELLED, "cancel_reader_event set for ("):
                list(stream)
        assert time.monotonic() - begun_s < 1.0
        next(client.capture())


@pytest.mark.long
def test_failed_init_leaves_the_chip_before_it_working() -> None:
    with ublox() as (process, client, _):
        client.init(process.document())
        stream = client.capture()
        with fails(Code.INVALID_ARGUMENT, "f9t_uid is AAAAAAAAAA"):
            client.init(process.document(f9t_uid="AAAAAAAAAA"), force=True)
        with fails(Code.CANCELLED):
            list(stream)

        def is_sent() -> bool:
            try:
                return bool(next(client.capture("TIM-TP")).payload)
            except grpc.RpcError:
                return False

        wait_until(is_sent, 5.0)


# -- CaptureUblox


@pytest.mark.long
def test_newest_of_each_kind_comes_first_and_then_each_message_once() -> None:
    with ublox() as (process, client, _):
        client.init(process.document(("CFG_RATE_MEAS", 50)))
        for _ in zip(client.capture("TIM-TP"), range(5), strict=False):
            pass
        captured = [
            messages.CaptureUbloxResponse.FromString(one.SerializeToString())
            for one, _ in zip(client.capture(), range(20), strict=False)
        ]
        first = [one.name for one in captured[:2]]
        assert set(first) == {"TIM-TP", "NAV-TIMEUTC"}
        numbers = [one.sequence_number for one in captured]
        assert numbers == sorted(set(numbers))
        assert numbers[2:] == list(range(numbers[2], numbers[2] + 18))
        assert all(one.type == one.DATA and one.payload[:2] == b"\xb5b" for one in captured)
        assert all(one.pkt_unix_timestamp.ToNanoseconds() <= one.sent_timestamp.ToNanoseconds() for one in captured)
        pulse = next(one for one in captured if one.name == "TIM-TP")
        assert {"qErr", "towMS", "week"} <= set(pulse.parsed_data)
        assert pulse.dropped == 0


@pytest.mark.long
def test_time_of_a_message_is_that_of_its_reception() -> None:
    with ublox() as (process, client, plugged):
        client.init(process.document())
        next(client.capture("TIM-TP"))
        plugged.chip.layers[0].clear()  # from now on it is silent
        time.sleep(1.5)
        newest = next(client.capture("TIM-TP"))
        age_s = time.time() - newest.pkt_unix_timestamp.ToNanoseconds() / 1e9
        assert age_s > 1.0


@pytest.mark.long
@pytest.mark.parametrize(("patterns", "expected"), [
    (("TIM-TP",), {"TIM-TP"}), (("TIM",), {"TIM-TP"}), (("TP",), None),
    (("NAV-.*", "TIM-T[PM]"), {"TIM-TP", "NAV-TIMEUTC"}),
    (("(TIM|NAV)-.*",), {"TIM-TP", "NAV-TIMEUTC"}),
])  # fmt: skip
def test_patterns_are_matched_from_the_start_of_the_name(patterns: tuple[str, ...], expected: set[str] | None) -> None:
    with ublox() as (process, client, _):
        client.init(process.document())
        stream = client.capture(*patterns, timeout_s=20.0 if expected else 1.0)
        if expected is None:
            with fails(Code.DEADLINE_EXCEEDED):
                next(stream)
        else:
            assert {one.name for one, _ in zip(stream, range(10), strict=False)} == expected


@pytest.mark.long
def test_pattern_that_is_wrong_or_takes_years_is_refused_by_name() -> None:
    with ublox(max_streams=2) as (process, client, _):
        client.init(process.document())
        for pattern in ("TIM-(", "*", "(.*)*x", ".*.*.*.*.*x", "a" * 201, "x{1,99999999999999999999}"):
            with fails(Code.INVALID_ARGUMENT, pattern[:20]):
                next(client.capture("TIM-TP", pattern))
            with fails(Code.INVALID_ARGUMENT, pattern[:20]):
                client.poll(pattern)
        streams = [client.capture() for _ in range(2)]
        for stream in streams:
            next(stream)
        with fails(Code.RESOURCE_EXHAUSTED, "Max clients (2) reached."):
            next(client.capture())
        streams[0].cancel()
        wait_until(lambda: metric(process, "daq_ublox_control_streams") == 1, 2.0)
        next(client.capture())


@pytest.mark.long
def test_client_that_does_not_read_drops_the_oldest_is_told_how_many_and_disturbs_nobody() -> None:
    chip = FaultyF9t()
    large = make_message(0x0D, 0x99, bytes(4000))
    with (
        ublox(chip, max_queue=100) as (process, client, _),
        UbloxTableClient(process.target, options=[("grpc.http2.lookahead_bytes", 0)]) as slow_client,
    ):
        client.init(process.document(("CFG_RATE_MEAS", 10)))
        slow = slow_client.capture("UBX-0D-99")
        fast = client.capture("TIM-TP")
        numbers = []
        while metric(process, "daq_ublox_control_dropped_total") < 20:
            chip.sent_too = large
            answer = messages.CaptureUbloxResponse.FromString(next(fast).SerializeToString())
            assert answer.dropped == 0
            numbers.append(answer.sequence_number)
        assert numbers == sorted(set(numbers))
        chip.sent_too = large
        n_dropped = 0
        while n_dropped < 20:
            n_dropped = messages.CaptureUbloxResponse.FromString(next(slow).SerializeToString()).dropped
            chip.sent_too = large


@pytest.mark.long
def test_garbage_nmea_rtcm_and_halves_between_the_messages_are_skipped_and_counted() -> None:
    chip = FaultyF9t()
    pulse = make_message(*kind_of("TIM-TP"), bytes(range(16)))
    damaged = bytearray(pulse)
    damaged[10] ^= 1
    with ublox(chip) as (process, client, _):
        client.init(process.document())
        stream = client.capture("TIM-TP")
        next(stream)
        # The half message claims 255 bytes, and holds up what follows until it is given up.
        chip.sent_too = b"\x00\xffgarbage$GNRMC,1*00\r\n" + bytes(damaged) + pulse + b"\xb5\x62\x0d\x01\xff\x00" + pulse
        found = [one for one, _ in zip(stream, range(30), strict=False) if one.payload == pulse]
        assert len(found) == 2
        wait_until(lambda: metric(process, 'daq_ublox_control_skipped_total{what="damaged"}') == 2, 5.0)
        assert metric(process, 'daq_ublox_control_skipped_total{what="skipped_bytes"}') > 9
        assert metric(process, 'daq_ublox_control_skipped_total{what="nmea"}') > 1


# -- a chip that goes and comes back


@pytest.mark.long
def test_chip_that_is_unplugged_is_told_at_once_and_configured_again_when_it_is_back() -> None:
    with ublox() as (process, client, plugged):
        client.init(process.document())
        stream = client.capture()
        next(stream)
        begun_s = time.monotonic()
        plugged.unplug()
        with fails(Code.UNAVAILABLE, f"The chip at {process.device} is gone"):
            list(stream)
        assert time.monotonic() - begun_s < 1.0
        with fails(Code.UNAVAILABLE, f"The chip at {process.device} is gone"):
            next(client.capture())
        with fails(Code.UNAVAILABLE, "is gone"):
            client.poll("MON-VER")
        plugged.chip = FaultyF9t()  # without power it has forgotten everything
        plugged.plug_in()
        wait_until(lambda: len(process.logged("initialised")) == 2, 5.0)
        assert next(client.capture("TIM-TP")).name == "TIM-TP"
        assert metric(process, "daq_ublox_control_interruptions_total") == 1


@pytest.mark.long
def test_chip_that_does_not_answer_any_more_is_told_within_the_configured_time() -> None:
    chip = FaultyF9t()
    with ublox(chip, silent_timeout_s=1.0) as (process, client, _):
        client.init(process.document())
        stream = client.capture("TIM-TP")
        next(stream)
        chip.layers[0].clear()
        with pytest.raises(TimeoutError):  # it has nothing to send, but it answers
            wait_until(lambda: metric(process, "daq_ublox_control_is_read") == 0, 2.5)
        chip.change = lambda question, answer: b""

        begun_s = time.monotonic()
        with fails(Code.UNAVAILABLE, "it has sent nothing for 1 s, and does not answer"):
            list(stream)
        assert time.monotonic() - begun_s < 3.0
        chip.change = lambda question, answer: answer
        wait_until(lambda: len(process.logged("initialised")) == 2, 8.0)
        next(client.capture("TIM-TP"))


# -- PollMessage


@pytest.mark.long
def test_poll_answers_both_generations_of_clients_and_names_what_is_not_answered() -> None:
    with ublox() as (process, client, _), UbloxTableClient(process.target, "2026-08") as newer:
        client.init(process.document(("CFG_TP_ANT_CABLEDELAY", 10)))
        answer = client.poll("MON-VER", "SEC-UNIQID", "CFG-TP-ANT.*", "TIM-TM2")
        assert [one.name for one in answer.gnss_packet] == ["MON-VER", "SEC-UNIQID", "CFG-VALGET"]
        assert all(one.type == one.DATA and one.payload[:2] == b"\xb5b" for one in answer.gnss_packet)
        assert dict(answer.gnss_packet[2].parsed_data) == {"CFG_TP_ANT_CABLEDELAY": 10}
        own = messages.PollResponse.FromString(answer.SerializeToString())
        assert own.unanswered == ["TIM-TM2"]
        parsed = newer.poll("MON-VER", "CFG_TP_ANT_CABLEDELAY").parsed_data
        assert parsed["CFG_TP_ANT_CABLEDELAY"] == 10
        assert parsed["MON-VER"]["extension_04"] == "MOD=ZED-F9T"
        written = client.poll("CFG-VALGET").gnss_packet
        assert {key for one in written for key in one.parsed_data} >= {"CFG_TP_ANT_CABLEDELAY", "CFG_RATE_MEAS"}
        with fails(Code.INVALID_ARGUMENT, "Nothing that can be polled fits the patterns ['NO-SUCH']."):
            client.poll("NO-SUCH")


@pytest.mark.long
def test_poll_of_all_keys_takes_them_page_by_page() -> None:
    with ublox() as (process, client, _):
        client.init(process.document())
        packets = client.poll("CFG_.*").gnss_packet
        assert {key for one in packets for key in one.parsed_data} == {key.name for key in all_keys()}
        assert all(len(one.parsed_data) <= 64 for one in packets)


# -- clients, and the life of the service


@pytest.mark.parametrize("generation", GENERATIONS)
def test_clients_of_all_generations_initialise_and_capture(generation: str) -> None:
    with ublox() as (process, _, _), UbloxTableClient(process.target, generation) as client:
        assert client.init(process.document()).init_status == 2
        answer = next(client.capture("TIM-TP"))
        assert (answer.type, answer.name) == (1, "TIM-TP")
        assert "qErr" in answer.parsed_data


@pytest.mark.long
def test_health_tells_when_the_server_serves_and_reflection_what() -> None:
    with ublox() as (process, client, _):
        health = health_pb2_grpc.HealthStub(client.channel)  # type: ignore[no-untyped-call]
        request = health_pb2.HealthCheckRequest(service="ubloxcontrol.UbloxControl")
        watch = health.Watch(request, timeout=20)
        told = [next(watch).status]
        client.init(process.document())
        told += [next(watch).status, next(watch).status]
        serving, not_serving = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
        assert told == [serving, not_serving, serving]
        watch.cancel()
        database = ProtoReflectionDescriptorDatabase(client.channel)
        assert "ubloxcontrol.UbloxControl" in database.get_services()
        file = database.FindFileContainingSymbol("ubloxcontrol.UbloxControl")
        assert {method.name for method in file.service[0].method} == {"InitF9t", "PollMessage", "CaptureUblox"}


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_streams_with_cancelled_and_the_process_with_0(number: signal.Signals) -> None:
    with ublox() as (process, client, _):
        client.init(process.document())
        streams = [client.capture(), client.capture("NO-SUCH")]
        next(streams[0])
        wait_until(lambda: metric(process, "daq_ublox_control_streams") == 2, 5.0)
        begun_s = time.monotonic()
        ended: list[int] = []
        ending = threading.Thread(target=lambda: ended.append(process.end(number)))
        ending.start()
        for stream in streams:
            with fails(Code.CANCELLED, "server shutdown_event set for ("):
                list(stream)
        assert time.monotonic() - begun_s < 1.0
        ending.join()
        assert ended == [0]
        assert time.monotonic() - begun_s < 4.0
        assert not process.socket.exists()


@pytest.mark.long
def test_start_section_initialises_the_chip_as_soon_as_it_is_there(tmp_path: Path) -> None:
    document = {"cfg_key_settings": [{"key": "CFG_MSGOUT_UBX_TIM_TP_USB", "value": 1}], "f9t_chips": [
        {"f9t_uid": "0000000001", "device": "/dev/other"}, {"f9t_uid": DEFAULT_UID, "device": "/dev/another"},
    ]}  # fmt: skip
    path = tmp_path / "f9t.json5"
    path.write_text("// for all chips\n" + json.dumps(document))
    start = {"f9t_config": str(path), "f9t_uid": DEFAULT_UID, "device": "f9t"}
    with UbloxProcess(start=start) as process, UbloxTableClient(process.target) as client:
        wait_until(lambda: bool(process.logged("start_failed")), 5.0)
        assert "does not exist" in process.logged("start_failed")[0]["problem"]
        with PluggedF9t(process.device):
            wait_until(lambda: bool(process.logged("initialised")), 8.0)
            assert next(client.capture("TIM-TP")).name == "TIM-TP"
            process.end(signal.SIGKILL)
            process.start()
            wait_until(lambda: len(process.logged("initialised")) == 2, 8.0)
            assert next(client.capture("TIM-TP")).name == "TIM-TP"


@pytest.mark.long
@pytest.mark.parametrize(("text", "told"), [
    (None, "cannot be read"), ("{", "is no JSON5"), ('{"f9t_chips": []}', "0 chips fit"),
    ("{}", "Device path not specified"),
])  # fmt: skip
def test_start_section_that_is_wrong_ends_the_service_with_2(text: str | None, told: str, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "f9t.json5").write_text(text)
    with tempfile.TemporaryDirectory(prefix="sdl-") as folder:
        config = Path(folder) / "ublox.json"
        config.write_text(
            json.dumps({"port": 0, "runtime_dir": folder, "start": {"f9t_config": f"{tmp_path}/f9t.json5"}})
        )
        command = [sys.executable, "-m", "std_ublox_control", "--config", str(config)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2
    assert told in done.stderr


def test_port_with_tls_and_token_takes_only_clients_that_have_them(tmp_path: Path) -> None:
    authority = trustme.CA()
    pair = authority.issue_cert("127.0.0.1")
    pair.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    pair.cert_chain_pems[0].write_to_path(str(tmp_path / "cert.pem"))
    (tmp_path / "token").write_text("open sesame\n")
    tls = {"cert_file": str(tmp_path / "cert.pem"), "key_file": str(tmp_path / "key.pem")}
    with UbloxProcess(port=0, tls=tls, token_file=str(tmp_path / "token")) as process:
        target = f"127.0.0.1:{process.logged('listening')[0]['port']}"
        credentials = grpc.ssl_channel_credentials(authority.cert_pem.bytes())
        with grpc.secure_channel(target, credentials) as channel:
            call = channel.unary_unary("/ubloxcontrol.UbloxControl/PollMessage")
            with fails(Code.FAILED_PRECONDITION, NOT_INITIALISED):
                call(b"", metadata=[("authorization", "Bearer open sesame")], timeout=10)
            with fails(Code.UNAUTHENTICATED):
                call(b"", timeout=10)
        with grpc.insecure_channel(target) as channel, fails(Code.UNAVAILABLE):
            channel.unary_unary("/ubloxcontrol.UbloxControl/PollMessage")(b"", timeout=5)
