"""SimulatedF9t: answers as a ZED-F9T does, and sends what its configuration asks for. Pure: bytes in, bytes out."""

import struct
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

from pyubx2 import GET, UBXMessage

from std_daq.telescope.ubx.framing import Framer, make_message
from std_daq.telescope.ubx.keys import KeyValueError, all_keys, key_of_name
from std_daq.telescope.ubx.message import identity_of, kind_of
from std_daq.telescope.ubx.settings import (
    GROUP_MASK,
    ITEM_MASK,
    MAX_KEYS,
    READ_LAYERS,
    VALGET,
    VALSET,
    WRITE_LAYERS,
    Transaction,
    split_settings,
)

DEFAULT_UID = "DF03A241BC"
_ACK = (0x05, 0x01)
_NAK = (0x05, 0x00)
_CONFIGURATION_CLASS = 0x06
_EXTENSIONS = ("ROM BASE 0x118B2060", "FWVER=TIM 2.20", "PROTVER=29.20", "MOD=ZED-F9T", "GPS;GLO;GAL;BDS", "SBAS;QZSS")
_GPS_EPOCH = datetime(1980, 1, 6, tzinfo=UTC)
_LEAP_SECONDS = timedelta(seconds=18)
_WEEK_MS = 7 * 86_400_000
_QERR_STEP_PS, _QERR_RANGE_PS = 1237, 8000
_GET_HEAD = struct.Struct("<BBH")
_DEFAULTS = {"CFG_RATE_MEAS": 1000, "CFG_RATE_NAV": 1, "CFG_MSGOUT_NMEA_ID_RMC_USB": 1}


class SimulatedF9t:
    """A ZED-F9T.

    Parameters
    ----------
    uid
        Its identity, 10 hexadecimal digits.
    now
        Returns the time.
    recorded
        Messages that are sent round and round instead of generated ones, in each epoch up to the next TIM-TP.
    """

    def __init__(
        self, uid: str = DEFAULT_UID, *, now: Callable[[], datetime] = lambda: datetime.now(UTC),
        recorded: Sequence[bytes] = (),
    ) -> None:  # fmt: skip
        self._uid = bytes.fromhex(uid)
        self._now = now
        self._recorded = recorded
        self._next_recorded = 0
        self._framer = Framer()
        self._defaults = {key.number: key.encode(_DEFAULTS.get(key.name, 0)) for key in all_keys()}
        self.layers: dict[int, dict[int, bytes]] = {READ_LAYERS[name]: {} for name in WRITE_LAYERS}
        self._pending: list[tuple[int, dict[int, bytes]]] = []
        self._n_epochs = 0
        self._generated = {"TIM-TP": self._tim_tp, "NAV-TIMEUTC": self._nav_timeutc, "NAV-PVT": self._nav_pvt}
        self._polled = {"MON-VER": self._mon_ver, "SEC-UNIQID": self._sec_uniqid, **self._generated}

    @property
    def epoch_s(self) -> float:
        """Seconds between two epochs, in which messages are sent."""
        return max(0.001, self._value("CFG_RATE_MEAS") * max(1, self._value("CFG_RATE_NAV")) / 1000)

    def feed(self, data: bytes) -> bytes:
        """Take in what the host sends, and return the answer."""
        return b"".join(answer for message in self._framer.feed(data) for answer in self._answers(message))

    def next_epoch(self) -> bytes:
        """Return what is sent in the next epoch."""
        self._n_epochs += 1
        if self._recorded:
            return self._replayed()
        sent = [self._nmea()] if self._is_due("CFG_MSGOUT_NMEA_ID_RMC") else []
        for identity, make in self._generated.items():
            if self._is_due(f"CFG_MSGOUT_UBX_{identity.replace('-', '_')}"):
                sent.append(make())
        return b"".join(sent)

    def _answers(self, message: bytes) -> Iterator[bytes]:
        kind, payload = (message[2], message[3]), message[6:-2]
        if kind == VALSET:
            yield _acknowledge(kind, is_taken=self._set(payload))
        elif kind == VALGET:
            answer = self._get(payload)
            if answer is not None:
                yield make_message(*VALGET, answer)
            yield _acknowledge(kind, is_taken=answer is not None)
        elif not payload and (make := self._polled.get(identity_of(*kind))) is not None:
            yield make()
        elif kind[0] == _CONFIGURATION_CLASS:
            yield _acknowledge(kind, is_taken=False)

    def _set(self, payload: bytes) -> bool:
        if len(payload) < 4:
            return False
        version, mask, transaction = payload[0], payload[1], payload[2] & 3
        transaction = transaction if version else Transaction.NONE
        try:
            settings = {key.number: value for key, value in split_settings(payload[4:])}
        except KeyValueError:
            return self._refuse()
        is_known = all(number in self._defaults for number in settings)
        is_in_order = bool(self._pending) == (transaction in {Transaction.GO_ON, Transaction.END})
        if transaction in {Transaction.NONE, Transaction.BEGIN}:
            self._pending, is_in_order = [], True
        if not (is_known and is_in_order and mask and len(settings) <= MAX_KEYS):
            return self._refuse()
        self._pending.append((mask, settings))
        if transaction in {Transaction.NONE, Transaction.END}:
            for one_mask, values in self._pending:
                self._apply(one_mask, values)
            self._pending = []
        return True

    def _refuse(self) -> bool:
        self._pending = []
        return False

    def _apply(self, mask: int, values: dict[int, bytes]) -> None:
        for name, bit in WRITE_LAYERS.items():
            if mask & bit:
                self.layers[READ_LAYERS[name]] |= values

    def _get(self, payload: bytes) -> bytes | None:
        if len(payload) < _GET_HEAD.size:
            return None
        _, layer, position = _GET_HEAD.unpack_from(payload)
        values = self._defaults if layer == READ_LAYERS["DEFAULT"] else self.layers.get(layer)
        if values is None:
            return None
        if layer == READ_LAYERS["RAM"]:
            values = self._defaults | values
        wanted: list[int] = []
        for start in range(_GET_HEAD.size, len(payload), 4):
            matching = _matching(int.from_bytes(payload[start : start + 4], "little"), values)
            if not matching:
                return None
            wanted += matching
        found = wanted[position : position + MAX_KEYS]
        content = b"".join(number.to_bytes(4, "little") + values[number] for number in found)
        return _GET_HEAD.pack(1, layer, position) + content

    def _value(self, name: str) -> int:
        key = key_of_name(name)
        ram = self.layers[READ_LAYERS["RAM"]]
        return int(key.decode(ram.get(key.number, self._defaults[key.number])))

    def _is_due(self, name: str) -> bool:
        every = self._value(f"{name}_USB") or self._value(f"{name}_UART1")
        return bool(every) and self._n_epochs % every == 0

    def _replayed(self) -> bytes:
        sent = []
        for _ in self._recorded:
            message = self._recorded[self._next_recorded]
            self._next_recorded = (self._next_recorded + 1) % len(self._recorded)
            sent.append(message)
            if (message[2], message[3]) == kind_of("TIM-TP"):
                break
        return b"".join(sent)

    def _mon_ver(self) -> bytes:
        payload = _text("EXT CORE 1.00 (71b20c)", 30) + _text("00190000", 10)
        return make_message(*kind_of("MON-VER"), payload + b"".join(_text(one, 30) for one in _EXTENSIONS))

    def _sec_uniqid(self) -> bytes:
        return make_message(*kind_of("SEC-UNIQID"), b"\1\0\0\0" + self._uid)

    def _tim_tp(self) -> bytes:
        """Return TIM-TP of the next pulse, which comes at the next whole second."""
        since = self._now() + _LEAP_SECONDS + timedelta(seconds=1) - _GPS_EPOCH
        week, tow_ms = divmod(int(since.total_seconds()) * 1000, _WEEK_MS)
        q_err_ps = self._n_epochs * _QERR_STEP_PS % _QERR_RANGE_PS - _QERR_RANGE_PS // 2
        return make_message(*kind_of("TIM-TP"), struct.pack("<IIiHBB", tow_ms, 0, q_err_ps, week, 0x0B, 0x3F))

    def _nav_timeutc(self) -> bytes:
        time = self._now()
        fields = struct.pack(
            "<IIiHBBBBBB", self._tow_ms(), 25, time.microsecond * 1000, time.year, time.month, time.day,
            time.hour, time.minute, time.second, 0x37,
        )  # fmt: skip
        return make_message(*kind_of("NAV-TIMEUTC"), fields)

    def _nav_pvt(self) -> bytes:
        time = self._now()
        latitude, longitude = self._value("CFG_TMODE_LAT") / 1e7, self._value("CFG_TMODE_LON") / 1e7
        height_mm = self._value("CFG_TMODE_HEIGHT") * 10
        return bytes(
            UBXMessage(
                "NAV", "NAV-PVT", GET, iTOW=self._tow_ms(), year=time.year, month=time.month, day=time.day,
                hour=time.hour, min=time.minute, second=time.second, validDate=1, validTime=1, fullyResolved=1,
                tAcc=25, nano=time.microsecond * 1000, fixType=5, gnssFixOk=1, numSV=24, lat=latitude, lon=longitude,
                height=height_mm, hMSL=height_mm, pDOP=1.2,
            ).serialize()
        )  # fmt: skip

    def _tow_ms(self) -> int:
        since = self._now() + _LEAP_SECONDS - _GPS_EPOCH
        return int(since.total_seconds() * 1000) % _WEEK_MS

    def _nmea(self) -> bytes:
        body = f"GNRMC,{self._now():%H%M%S.00},A,,,,,0.0,,{self._now():%d%m%y},,,D,V"
        check = 0
        for character in body.encode():
            check ^= character
        return f"${body}*{check:02X}\r\n".encode()


def _matching(number: int, values: dict[int, bytes]) -> list[int]:
    if number & ITEM_MASK != ITEM_MASK:
        return [number] if number in values else []
    group = number & GROUP_MASK
    return [one for one in sorted(values) if group in {GROUP_MASK, one & GROUP_MASK}]


def _acknowledge(kind: tuple[int, int], *, is_taken: bool) -> bytes:
    return make_message(*(_ACK if is_taken else _NAK), bytes(kind))


def _text(text: str, n_bytes: int) -> bytes:
    return text.encode().ljust(n_bytes, b"\0")
