"""The simulated ZED-F9T answers as the chip does; what it generates is what pyubx2 reads."""

from datetime import UTC, datetime
from typing import Any

import pytest
from pyubx2 import UBXMessage, UBXReader

from std_daq.telescope.ubx.framing import Framer, make_message
from std_daq.telescope.ubx.keys import Key, all_keys, key_of_name
from std_daq.telescope.ubx.message import UbxMessage, kind_of
from std_daq.telescope.ubx.settings import VALGET, VALSET, read_answer, read_message, write_messages
from std_daq.telescope.ubx.simulated_chip import SimulatedF9t

NOW = datetime(2025, 8, 13, 3, 54, 2, 370_655, UTC)


def asked(chip: SimulatedF9t, message: bytes) -> list[UbxMessage]:
    return [UbxMessage(raw) for raw in Framer().feed(chip.feed(message))]


def identities(chip: SimulatedF9t, message: bytes) -> list[str]:
    return [answer.identity for answer in asked(chip, message)]


def settings(**values: Any) -> list[tuple[Key, bytes]]:
    return [(key_of_name(name), key_of_name(name).encode(value)) for name, value in values.items()]


def read(chip: SimulatedF9t, numbers: list[int], layer: int = 0, position: int = 0) -> dict[str, int | float] | None:
    answer, *rest = asked(chip, read_message(numbers, layer, position))
    if answer.identity == "ACK-NAK":
        return None
    assert [one.identity for one in rest] == ["ACK-ACK"]
    return {key.name: key.decode(value) for key, value in read_answer(answer.payload)[1].items()}


def test_it_tells_model_and_identity() -> None:
    chip = SimulatedF9t("0123456789")
    (version,) = asked(chip, make_message(0x0A, 0x04))
    assert "MOD=ZED-F9T" in version.fields.values()
    (uid,) = asked(chip, make_message(0x27, 0x03))
    assert uid.payload.hex() == "010000000123456789"
    assert asked(chip, make_message(0x01, 0x99)) == []
    assert identities(chip, make_message(0x06, 0x01)) == ["ACK-NAK"]


def test_keys_are_kept_by_layer_and_read_back_by_position() -> None:
    chip = SimulatedF9t()
    number = key_of_name("CFG_TP_ANT_CABLEDELAY").number
    for message in write_messages(settings(CFG_TP_ANT_CABLEDELAY=10), 1 | 4):
        assert identities(chip, message) == ["ACK-ACK"]
    told = [read(chip, [number], layer) for layer in (0, 1, 2, 7, 5)]
    assert told == [
        {"CFG_TP_ANT_CABLEDELAY": 10},
        None,
        {"CFG_TP_ANT_CABLEDELAY": 10},
        {"CFG_TP_ANT_CABLEDELAY": 0},
        None,
    ]
    everything: dict[str, int | float] = {}
    for position in range(0, 2000, 64):
        found = read(chip, [0x0FFFFFFF], 0, position)
        assert found is not None
        everything |= found
        if len(found) < 64:
            break
    assert set(everything) == {key.name for key in all_keys()}
    group = read(chip, [0x0005FFFF])
    assert group is not None
    assert all(name.startswith("CFG_TP_") for name in group)


def test_unknown_keys_layers_and_damaged_messages_are_refused_and_change_nothing() -> None:
    chip = SimulatedF9t()
    unknown = bytes.fromhex("0100ff20") + b"\1"
    for payload in (
        b"",
        bytes(3),
        bytes((0, 1, 0, 0)) + unknown,
        bytes((0, 1, 0, 0)) + unknown[:4],
        bytes((0, 0, 0, 0)),
    ):
        assert identities(chip, make_message(*VALSET, payload)) == ["ACK-NAK"]
    assert identities(chip, make_message(*VALGET, b"\0")) == ["ACK-NAK"]
    assert read(chip, [0x20FF0001]) is None
    assert chip.layers == {0: {}, 1: {}, 2: {}}


def test_transaction_takes_effect_at_its_end_or_not_at_all() -> None:
    chip = SimulatedF9t()
    first, last = write_messages([(key, key.encode(1)) for key in all_keys()[:100]], 1)
    assert identities(chip, first) == ["ACK-ACK"]
    assert chip.layers[0] == {}
    assert identities(chip, last) == ["ACK-ACK"]
    assert len(chip.layers[0]) == 100
    chip = SimulatedF9t()
    assert identities(chip, last) == ["ACK-NAK"]  # it has not begun
    assert identities(chip, first) == ["ACK-ACK"]
    assert identities(chip, write_messages(settings(CFG_RATE_MEAS=100), 1)[0]) == ["ACK-ACK"]  # ends it
    assert identities(chip, last) == ["ACK-NAK"]
    assert len(chip.layers[0]) == 1


def test_it_sends_what_it_is_configured_to_at_its_rate() -> None:
    chip = SimulatedF9t(now=lambda: NOW)
    assert chip.next_epoch().startswith(b"$GNRMC,035402")
    wanted = settings(
        CFG_RATE_MEAS=200, CFG_RATE_NAV=2, CFG_MSGOUT_NMEA_ID_RMC_USB=0, CFG_MSGOUT_UBX_TIM_TP_USB=1,
        CFG_MSGOUT_UBX_NAV_TIMEUTC_UART1=2, CFG_MSGOUT_UBX_NAV_PVT_USB=4, CFG_TMODE_LAT=374219999,
    )  # fmt: skip
    chip.feed(write_messages(wanted, 1)[0])
    assert chip.epoch_s == 0.4
    sent = [[UbxMessage(raw) for raw in Framer().feed(chip.next_epoch())] for _ in range(3)]
    assert [[one.identity for one in epoch] for epoch in sent] == [
        ["TIM-TP", "NAV-TIMEUTC"], ["TIM-TP"], ["TIM-TP", "NAV-TIMEUTC", "NAV-PVT"],
    ]  # fmt: skip
    pulse, time, position = sent[2]
    assert (pulse.fields["week"], pulse.fields["towMS"]) == (2379, 273_261_000)
    assert -4000 <= pulse.fields["qErr"] < 4000
    assert [time.fields[name] for name in ("year", "hour", "min", "sec", "nano", "validUTC")] == [
        2025, 3, 54, 2, 370_655_000, 1,
    ]  # fmt: skip
    assert (position.fields["lat"], position.fields["fixType"]) == (37.4219999, 5)


def test_recorded_messages_are_sent_round_and_round_up_to_the_next_time_pulse() -> None:
    pulses = [make_message(*kind_of("TIM-TP"), bytes((number, *bytes(15)))) for number in range(3)]
    other = make_message(*kind_of("NAV-TIMEUTC"), bytes(20))
    chip = SimulatedF9t(recorded=[other, pulses[0], pulses[1], other, pulses[2]])
    sent = [chip.next_epoch() for _ in range(4)]
    assert sent == [other + pulses[0], pulses[1], other + pulses[2], other + pulses[0]]
    assert SimulatedF9t(recorded=[other]).next_epoch() == other


def test_messages_of_pyubx2_are_understood_and_answers_too() -> None:
    chip = SimulatedF9t()
    message = UBXMessage.config_set(1, 0, [("CFG_TP_ANT_CABLEDELAY", 7), ("CFG_TP_DUTY_TP1", 0.01)])
    assert identities(chip, message.serialize()) == ["ACK-ACK"]
    poll = UBXMessage.config_poll(0, 0, ["CFG_TP_ANT_CABLEDELAY", "CFG_TP_DUTY_TP1"]).serialize()
    parsed = UBXReader.parse(asked(chip, poll)[0].raw)
    assert (parsed.CFG_TP_ANT_CABLEDELAY, parsed.CFG_TP_DUTY_TP1) == (7, 0.01)


@pytest.mark.parametrize(("raw", "identity", "fields"), [
    (make_message(0x0D, 0x99, b"\1"), "UBX-0D-99", {}), (make_message(0x01, 0x99), "UBX-01-99", {}),
])  # fmt: skip
def test_message_that_is_not_known_has_a_name_and_no_fields(raw: bytes, identity: str, fields: dict[str, Any]) -> None:
    assert (UbxMessage(raw).identity, UbxMessage(raw).fields) == (identity, fields)
