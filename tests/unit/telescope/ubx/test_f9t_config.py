"""What InitF9t is told is checked before anything is sent; a file tells of one chip."""

from pathlib import Path
from typing import Any

import pytest

from std_daq.errors import ConfigError
from std_daq.telescope.ubx.f9t_config import parse_f9t_config, read_f9t_file
from std_daq.telescope.ubx.keys import KeyValueError, all_keys
from std_daq.telescope.ubx.settings import Transaction, write_messages

CHIP = {"device": "/dev/ttyACM0", "f9t_uid": "df03a241bc"}
FILE = """{
  // keys for all chips
  "baud": 9600, "apply_to_layers": ["RAM", "BBR"], "verify_layer": "BBR",
  "cfg_key_settings": [{"key": "CFG_TP_TP1_ENA", "value": 1},],
  "f9t_chips": [{"f9t_uid": "A", "device": "/dev/a"}, {"f9t_uid": "B", "device": "/dev/b"}],
}"""


def setting(key: str, value: Any = 1) -> dict[str, Any]:
    return {"key": key, "value": value}


def test_signals_come_first_and_the_others_in_their_order() -> None:
    names = ["CFG_RATE_MEAS", "CFG_MSGOUT_UBX_TIM_TP_USB", "CFG-SIGNAL-GPS_ENA", "CFG_TP_TP1_ENA", "CFG_SIGNAL_GAL_ENA"]
    position = {"lat_deg": 1.0, "lon_deg": 2.0, "height_m": 3.0}
    config = parse_f9t_config(CHIP | {"cfg_key_settings": [setting(name) for name in names], "position": position})
    assert [key.name for key, _ in config.signals] == ["CFG_SIGNAL_GPS_ENA", "CFG_SIGNAL_GAL_ENA"]
    others = [key.name for key, _ in config.others]
    assert others[0] == "CFG_TMODE_MODE"
    assert others[9:] == ["CFG_TP_TP1_ENA", "CFG_MSGOUT_UBX_TIM_TP_USB", "CFG_RATE_MEAS"]
    assert (config.uid, config.baud, config.layer_mask, config.verify_layer) == ("DF03A241BC", 115200, 1, 0)


def test_last_value_of_a_key_counts() -> None:
    listed = [setting("CFG_TP_TP1_ENA", 0), setting("CFG-TP-TP1_ENA", 1)]
    ((key, value),) = parse_f9t_config(CHIP | {"cfg_key_settings": listed}).others
    assert (key.name, value) == ("CFG_TP_TP1_ENA", b"\1")


@pytest.mark.parametrize(("layers", "mask"), [(["RAM"], 1), (["BBR", "flash"], 6), (["ram", "RAM", "BBR"], 3)])
def test_layers_are_a_mask(layers: list[str], mask: int) -> None:
    assert parse_f9t_config(CHIP | {"apply_to_layers": layers, "verify_layer": "default"}).layer_mask == mask


@pytest.mark.parametrize(("change", "told"), [
    ({"device": None}, "Device path not specified in config."), ({"device": 5}, "Device path must be a text"),
    ({"f9t_uid": None}, "f9t_uid not specified"), ({"baud": "fast"}, "baud is 'fast'"), ({"baud": -1}, "baud"),
    ({"apply_to_layers": ["ROM"]}, "apply_to_layers: 'ROM' is no layer"), ({"apply_to_layers": []}, "apply_to_layers"),
    ({"verify_layer": 0}, "verify_layer: 0 is no layer"), ({"position": "here"}, "position is no object"),
    ({"cfg_key_settings": {"a": 1}}, "cfg_key_settings is no list"),
    ({"cfg_key_settings": [5]}, r"cfg_key_settings\[0\]"),
    ({"cfg_key_settings": [setting("CFG_TP_TP1_ENA"), setting("CFG_NO")]}, r"settings\[1\]: there is no key 'CFG_NO'"),
    ({"cfg_key_settings": [setting("CFG_TP_TP1_ENA", 7)]}, r"settings\[0\]: CFG_TP_TP1_ENA: 7 is not between 0 and 1"),
])  # fmt: skip
def test_what_is_wrong_is_named(change: dict[str, Any], told: str) -> None:
    with pytest.raises(KeyValueError, match=told):
        parse_f9t_config(CHIP | change)


@pytest.mark.parametrize(("n_keys", "expected"), [
    (1, [Transaction.NONE]), (64, [Transaction.NONE]), (65, [Transaction.BEGIN, Transaction.END]),
    (128, [Transaction.BEGIN, Transaction.END]), (129, [Transaction.BEGIN, Transaction.GO_ON, Transaction.END]),
])  # fmt: skip
def test_more_than_64_keys_are_one_transaction(n_keys: int, expected: list[Transaction]) -> None:
    sent = write_messages([(key, key.encode(0)) for key in all_keys()[:n_keys]], 3)
    assert [message[8] for message in sent] == expected
    assert [message[6] for message in sent] == [int(len(sent) > 1)] * len(sent)
    assert all(message[7] == 3 for message in sent)


def test_file_tells_of_the_chip_that_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "f9t.json5"
    path.write_text(FILE)
    document = read_f9t_file(path, "B")
    assert (document["device"], document["baud"], "f9t_chips" in document) == ("/dev/b", 9600, False)
    for uid in (None, "C"):
        with pytest.raises(ConfigError, match="of those in the file: A, B"):
            read_f9t_file(path, uid)
    path.write_text('{"f9t_chips": [{"f9t_uid": "A"}]}')
    assert read_f9t_file(path) == {"f9t_uid": "A"}
    path.write_text('{"f9t_uid": "A"}')
    assert read_f9t_file(path) == {"f9t_uid": "A"}


@pytest.mark.parametrize(
    ("text", "told"), [("{", "is no JSON5"), ("[1]", "is no JSON5 object"), (None, "cannot be read")]
)
def test_file_that_is_none_is_named(text: str | None, told: str, tmp_path: Path) -> None:
    path = tmp_path / "f9t.json5"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError, match=told):
        read_f9t_file(path)
