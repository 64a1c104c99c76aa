"""A real std-ublox-control, a simulated receiver with faults, and clients made from the tables of UbloxControl."""

import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Self

import grpc

from std_daq.telescope.ubx.simulated_chip import DEFAULT_UID, SimulatedF9t
from std_daq.telescope.ubx.simulated_device import SimulatedDevice
from std_test_kit.grpc_service_process import GrpcServiceProcess
from std_test_kit.message_tables import Fields, make_messages

_CAPTURE = {
    "1 type": "enum Type", "2 name": "string", "3 parsed_data": "Struct", "4 pkt_unix_timestamp": "Timestamp",
    "5 message": "string", "6 payload": "bytes",
}  # fmt: skip
_SECOND: dict[str, Fields] = {
    "CaptureUbloxRequest": {"1 patterns": "*string"},
    "CaptureUbloxResponse": _CAPTURE,
    "InitF9tRequest": {"1 f9t_config": "Struct", "2 force_init": "bool"},
    "InitF9tResponse": {"1 init_status": "enum InitStatus", "2 message": "string", "3 f9t_config": "Struct"},
    "PollRequest": {"1 patterns": "*string"},
    "PollResponse": {"1 gnss_packet": "*CaptureUbloxResponse"},
}
GENERATIONS: dict[str, dict[str, Fields]] = {
    "2025-07": _SECOND | {
        "CaptureUbloxResponse": {
            "1 type": "enum Type", "2 name": "string", "3 parsed_data": "Struct", "4 timestamp": "Timestamp",
            "5 message": "string",
        },
        "InitF9tRequest": {"1 f9t_cfg": "Struct"},
        "InitF9tResponse": {
            "1 init_status": "enum InitStatus", "2 message": "string", "3 f9t_cfg": "Struct",
            "4 test_results": "*TestCase",
        },
        "TestCase": {"1 name": "string", "2 result": "enum TestResult", "3 message": "string"},
    },
    "2025-08": _SECOND,
    "2026-08": _SECOND | {
        "PollRequest": {"1 cfg_key_patterns": "*string"}, "PollResponse": {"1 parsed_data": "Struct"},
    },
}  # fmt: skip
_ENUMERATIONS = {
    "CaptureUbloxResponse.Type": ("UNDEFINED", "DATA", "ERROR"),
    "InitF9tResponse.InitStatus": ("UNDEFINED", "INVALID_CONFIG", "SUCCESS", "FAILURE"),
    "TestCase.TestResult": ("UNDEFINED", "PASS", "FAIL"),
}


def messages_of(generation: str) -> dict[str, Any]:
    """Return the message classes of a generation by name, in a pool of their own."""
    return make_messages("ubloxcontrol", GENERATIONS[generation], _ENUMERATIONS)


class UbloxTableClient:
    """A client of one generation.

    Parameters
    ----------
    target
        Where the server is.
    generation
        One of `GENERATIONS`.
    options
        Options of the channel.
    """

    def __init__(self, target: str, generation: str = "2025-08", options: Iterable[tuple[str, Any]] = ()) -> None:
        self.messages = messages_of(generation)
        self.channel = grpc.insecure_channel(target, options=list(options))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.channel.close()

    def init(self, document: dict[str, Any], *, force: bool = False, timeout_s: float = 30.0) -> Any:
        """Call InitF9t."""
        request = self.messages["InitF9tRequest"]()
        config = getattr(request, self.messages["InitF9tRequest"].DESCRIPTOR.fields_by_number[1].name)
        config.update(document)
        if force:
            request.force_init = True
        return self._call("unary_unary", "InitF9t", "InitF9tRequest", "InitF9tResponse")(request, timeout=timeout_s)

    def capture(self, *patterns: str, timeout_s: float = 60.0) -> Any:
        """Call CaptureUblox; returns the call, an iterator."""
        request = self.messages["CaptureUbloxRequest"](patterns=patterns)
        return self._call("unary_stream", "CaptureUblox", "CaptureUbloxRequest", "CaptureUbloxResponse")(
            request, timeout=timeout_s
        )

    def poll(self, *patterns: str, timeout_s: float = 60.0) -> Any:
        """Call PollMessage."""
        message = self.messages["PollRequest"]
        request = message(**{message.DESCRIPTOR.fields_by_number[1].name: patterns})
        return self._call("unary_unary", "PollMessage", "PollRequest", "PollResponse")(request, timeout=timeout_s)

    def _call(self, kind: str, name: str, request: str, response: str) -> Any:
        return getattr(self.channel, kind)(
            f"/ubloxcontrol.UbloxControl/{name}",
            request_serializer=self.messages[request].SerializeToString,
            response_deserializer=self.messages[response].FromString,
        )


class FaultyF9t(SimulatedF9t):
    """A simulated chip whose answers a test can change.

    Parameters
    ----------
    options
        Arguments of `SimulatedF9t`.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.taken: list[bytes] = []
        self.change: Callable[[bytes, bytes], bytes] = lambda question, answer: answer
        self.sent_too = b""

    def feed(self, data: bytes) -> bytes:
        """Answer as the test wants."""
        self.taken.append(data)
        return self.change(data, super().feed(data))

    def next_epoch(self) -> bytes:
        """Send what the test wants, and then the epoch."""
        extra, self.sent_too = self.sent_too, b""
        return extra + super().next_epoch()


class PluggedF9t:
    """A context manager: a simulated chip that is plugged in, in a thread.

    Parameters
    ----------
    link
        Where it is.
    chip
        The chip; by default a new one.
    """

    def __init__(self, link: Path, chip: SimulatedF9t | None = None) -> None:
        self.link = link
        self.chip = chip or SimulatedF9t()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def plug_in(self) -> None:
        """Plug it in."""
        self._stop.clear()
        device = SimulatedDevice(self.chip, self.link)
        self._thread = threading.Thread(target=self._run, args=(device,))
        self._thread.start()

    def unplug(self) -> None:
        """Pull it out."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self, device: SimulatedDevice) -> None:
        with device:
            while not self._stop.is_set():
                device.step(0.02)

    def __enter__(self) -> Self:
        self.plug_in()
        return self

    def __exit__(self, *exception: object) -> None:
        self.unplug()


class UbloxProcess(GrpcServiceProcess):
    """A context manager: a std-ublox-control on a Unix socket, in a folder of its own.

    Parameters
    ----------
    config
        Keys of the configuration in addition to the socket.
    """

    def __init__(self, **config: Any) -> None:
        super().__init__("std_ublox_control", "ublox", config)

    @property
    def device(self) -> Path:
        """A place for the link to a simulated chip."""
        return self.folder / "f9t"

    def document(self, *settings: tuple[str, Any], **keys: Any) -> dict[str, Any]:
        """Return what InitF9t is told: TIM-TP and NAV-TIMEUTC ten times a second, and further settings."""
        wanted = {"CFG_RATE_MEAS": 100, "CFG_MSGOUT_UBX_TIM_TP_USB": 1, "CFG_MSGOUT_UBX_NAV_TIMEUTC_USB": 1}
        listed = [{"key": key, "value": value} for key, value in (*wanted.items(), *settings)]
        own = {"device": str(self.device), "f9t_uid": DEFAULT_UID, "cfg_key_settings": listed}
        return {key: value for key, value in (own | keys).items() if value is not None}
