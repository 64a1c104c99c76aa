import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from std_daq.photons import protocol
from std_daq.photons.records import HIT, PHOTON
from std_daq.photons.replies import Accepted, Failed, Hits, Refused, read_detector_info, read_event_reply

EVENT_IDS = st.integers(0, 2**32 - 1)
HEADERS = st.sampled_from(
    [b"PING", b"RUN_BEGIN", b"RUN_END", b"DETECTOR_INFO", b"PHOTONDATA", b"", b"SIM_COMPLETE", b"photondata", b"\xff"]
)


def records(dtype: np.dtype, n: int, seed: int) -> np.ndarray:
    return np.frombuffer(np.random.default_rng(seed).bytes(n * dtype.itemsize), dtype)


@given(EVENT_IDS, st.integers(0, 50), st.integers(0, 10))
def test_photons_come_out_as_they_went_in(event_id: int, n: int, seed: int) -> None:
    photons = records(PHOTON, n, seed)
    request = protocol.photon_request(event_id, photons)
    assert len(request) == 14
    assert protocol.read_request(request) == protocol.PhotonData(event_id, n)
    assert protocol.photons_of(request).tobytes() == photons.tobytes()


@given(EVENT_IDS, st.integers(0, 50), st.integers(0, 10))
def test_hits_come_out_as_they_went_in(event_id: int, n: int, seed: int) -> None:
    hits = records(HIT, n, seed)
    reply = protocol.hits_reply(event_id, hits)
    assert len(reply) == 12
    read = read_event_reply(reply)
    assert isinstance(read, Hits)
    assert (read.event_id, read.hits.tobytes()) == (event_id, hits.tobytes())


@given(HEADERS, st.lists(st.binary(max_size=20), max_size=16))
def test_no_message_raises_and_malformed_ones_have_an_answer(header: bytes, rest: list[bytes]) -> None:
    for frames in ([header, *rest], rest):
        request = protocol.read_request(frames)
        if isinstance(request, protocol.Malformed):
            assert request.reply[0] in {b"UNKNOWN_REQUEST", b"SIM_FAILED"}


@given(st.lists(st.binary(max_size=20), max_size=16))
def test_no_reply_raises_at_a_client(frames: list[bytes]) -> None:
    assert isinstance(read_event_reply(frames), Refused | Hits | Accepted | Failed)


@pytest.mark.parametrize(
    "frames",
    [
        [b"PHOTONDATA"],
        [b"PHOTONDATA", b"1234567"],
        [b"PHOTONDATA", b"123456789"],
        [b"RUN_BEGIN"],
        [b"RUN_BEGIN", b"a", b"b"],
        [b"PHOTON" * 100],
        [b""],
        [],
    ],
)
def test_what_has_no_event_number_is_an_unknown_request(frames: list[bytes]) -> None:
    assert protocol.read_request(frames) == protocol.Malformed([b"UNKNOWN_REQUEST"])


@pytest.mark.parametrize("damage", ["short", "other length", "not whole", "wrong number"])
def test_event_whose_arrays_do_not_fit_fails_with_its_number(damage: str) -> None:
    request = protocol.photon_request(77, np.zeros(3, PHOTON))
    if damage == "short":
        del request[-1]
    elif damage == "other length":
        request[5] = request[5][:8]
    elif damage == "not whole":
        request[5] = request[5][:11]
    else:
        request[1] = struct.pack("<II", 77, 4)
    assert protocol.read_request(request) == protocol.Malformed([b"SIM_FAILED", struct.pack("<I", 77)])


def test_frames_behind_the_fourteenth_are_ignored() -> None:
    request = protocol.photon_request(1, np.zeros(2, PHOTON))
    longer = [*request, b"more"]
    assert protocol.read_request(longer) == protocol.PhotonData(1, 2)
    assert protocol.digest_of(longer) == protocol.digest_of(request)


def test_digest_depends_on_every_byte_and_on_the_event() -> None:
    photons = np.zeros(3, PHOTON)
    requests = [protocol.photon_request(event_id, photons) for event_id in range(2)]
    for name in PHOTON.names or ():
        changed = photons.copy()
        changed[name][1] = 1
        requests.append(protocol.photon_request(0, changed))
    assert len({protocol.digest_of(request) for request in requests}) == len(requests)


def test_channels_come_out_as_they_went_in() -> None:
    positions = np.arange(12, dtype=np.float32).reshape(4, 3)
    types = np.arange(4, dtype=np.int32)
    reply = protocol.detector_info_reply(positions, types)
    assert reply[0] == b"DETECTOR_INFO"
    assert reply[2] == np.array([1, 4, 7, 10], "<f4").tobytes()
    channels = read_detector_info(reply)
    assert np.array_equal(channels.positions, positions)
    assert np.array_equal(channels.types, types)
