"""Keys of the configuration: their names, values as bytes, and the fixed position."""

import pytest

from std_daq.telescope.ubx.keys import KeyValueError, all_keys, key_of_name, key_of_number
from std_daq.telescope.ubx.position import position_settings


@pytest.mark.parametrize(
    "name", ["CFG-TP-ANT_CABLEDELAY", "CFG_TP_ANT_CABLEDELAY", "cfg-tp-ant-cabledelay", "0x30050001"]
)
def test_key_is_found_with_hyphens_or_underscores_or_by_its_number(name: str) -> None:
    assert key_of_name(name).name == "CFG_TP_ANT_CABLEDELAY"
    assert key_of_name(name).number == 0x30050001


@pytest.mark.parametrize(("name", "hint"), [
    ("CFG_TP_ANT_CABLEDELY", "is CFG_TP_ANT_CABLEDELAY meant?"), ("0x1", "'0x1'"), ("0xzz", "'0xzz'"), ("", "''"),
])  # fmt: skip
def test_unknown_key_is_named(name: str, hint: str) -> None:
    with pytest.raises(KeyValueError, match="there is no key") as refused:
        key_of_name(name)
    assert hint in str(refused.value)


@pytest.mark.parametrize(("name", "value", "data"), [
    ("CFG_TP_ANT_CABLEDELAY", 10, "0a00"), ("CFG_TP_ANT_CABLEDELAY", -2, "feff"),
    ("CFG_TP_ANT_CABLEDELAY", 10.0, "0a00"),
    ("CFG_TP_ANT_CABLEDELAY", "0x10", "1000"),
    ("CFG_TP_TP1_ENA", True, "01"), ("CFG_TP_TP1_ENA", 1, "01"),
    ("CFG_TP_FREQ_TP2", 10_000_000, "80969800"), ("CFG_TP_DUTY_TP1", 0.01, "7b14ae47e17a843f"),
    ("CFG_TP_DUTY_TP1", "50", "0000000000004940"), ("CFG_TMODE_LAT_HP", -99, "9d"),
])  # fmt: skip
def test_value_becomes_the_bytes_of_its_key_and_back(name: str, value: object, data: str) -> None:
    key = key_of_name(name)
    assert key.encode(value).hex() == data
    assert key.encode(key.decode(bytes.fromhex(data))).hex() == data


@pytest.mark.parametrize(("name", "value"), [
    ("CFG_TP_TP1_ENA", 2), ("CFG_TP_TP1_ENA", -1), ("CFG_TMODE_LAT_HP", 128), ("CFG_TP_FREQ_TP2", 2**32),
    ("CFG_TP_ANT_CABLEDELAY", 1.5), ("CFG_TP_ANT_CABLEDELAY", "ten"), ("CFG_TP_ANT_CABLEDELAY", None),
    ("CFG_TP_DUTY_TP1", float("nan")), ("CFG_TP_DUTY_TP1", "inf "), ("CFG_TP_ANT_CABLEDELAY", float("inf")),
])  # fmt: skip
def test_value_that_a_key_cannot_have_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(KeyValueError, match=name):
        key_of_name(name).encode(value)


def test_every_known_key_has_a_size_that_fits_its_number() -> None:
    keys = all_keys()
    assert len(keys) > 1000
    assert all(key.decode(key.encode(1)) == 1 for key in keys if key.kind != "R")
    assert key_of_number(0x20FF0001).name == "CFG_0x20ff0001"
    with pytest.raises(KeyValueError, match="is no key"):
        key_of_number(0x70FF0001)


def test_fixed_position_is_that_of_the_example() -> None:
    position = {"format": "LLH", "lat_deg": 37.4219999, "lon_deg": -122.0840575, "height_m": 12.345, "acc_m": 0.02}
    assert position_settings(position) == {
        "CFG_TMODE_MODE": 2, "CFG_TMODE_POS_TYPE": 1, "CFG_TMODE_FIXED_POS_ACC": 200,
        "CFG_TMODE_LAT": 374219999, "CFG_TMODE_LAT_HP": 0,
        "CFG_TMODE_LON": -1220840575, "CFG_TMODE_LON_HP": 0,
        "CFG_TMODE_HEIGHT": 1234, "CFG_TMODE_HEIGHT_HP": 50,
    }  # fmt: skip


def test_rest_of_a_coordinate_is_never_negative_and_never_a_whole_unit() -> None:
    settings = position_settings({"lat_deg": -33.123456789, "lon_deg": 0.0999999999999, "height_m": -5.00001})
    assert (settings["CFG_TMODE_LAT"], settings["CFG_TMODE_LAT_HP"]) == (-331234568, 11)
    assert (settings["CFG_TMODE_LON"], settings["CFG_TMODE_LON_HP"]) == (1000000, 0)
    assert (settings["CFG_TMODE_HEIGHT"], settings["CFG_TMODE_HEIGHT_HP"]) == (-500, 0)
    assert settings["CFG_TMODE_FIXED_POS_ACC"] == 500


@pytest.mark.parametrize(("change", "named"), [
    ({"format": "ECEF"}, "ECEF"), ({"lat_deg": 91}, "lat_deg"), ({"lon_deg": "east"}, "lon_deg"),
    ({"height_m": float("nan")}, "height_m"), ({"acc_m": 0}, "acc_m"), ({"lat_deg": True}, "lat_deg"),
])  # fmt: skip
def test_wrong_position_is_named(change: dict[str, object], named: str) -> None:
    with pytest.raises(KeyValueError, match=named):
        position_settings({"lat_deg": 1.0, "lon_deg": 2.0, "height_m": 3.0} | change)
    with pytest.raises(KeyValueError, match="lon_deg is missing"):
        position_settings({"lat_deg": 1.0})
