import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from std_daq.errors import CaptureError
from std_daq.packets.captures import CaptureReader, CaptureWriter, capture_path, port_of
from std_test_kit.shared_data import REAL_EIGER, needs_data


def records(*datagrams: bytes) -> bytes:
    return b"".join(struct.pack("<Q", len(datagram)) + datagram for datagram in datagrams)


def test_a_capture_is_named_after_its_port(tmp_path: Path) -> None:
    assert port_of(capture_path(tmp_path, 50032)) == 50032


@pytest.mark.parametrize("name", ["50032.bin", "port.dat", "0.dat", "65536.dat", "-1.dat", "٣.dat", "9" * 50 + ".dat"])
def test_another_name_is_refused(name: str) -> None:
    with pytest.raises(CaptureError, match="udp port"):
        port_of(Path(name))


@settings(deadline=None)
@given(st.lists(st.binary(max_size=100)).filter(len))
def test_what_was_written_is_read(tmp_path_factory: pytest.TempPathFactory, datagrams: list[bytes]) -> None:
    path = tmp_path_factory.mktemp("capture") / "50000.dat"
    with CaptureWriter(path) as writer:
        for datagram in datagrams:
            writer.append(datagram)
    with CaptureReader(path) as reader:
        assert [reader[i] for i in range(len(reader))] == datagrams


def test_after_a_flush_a_reader_sees_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "50000.dat"
    with CaptureWriter(path) as writer:
        writer.append(b"first")
        writer.flush()
        with CaptureReader(path) as reader:
            assert reader[0] == b"first"


def test_columns_are_zero_where_a_datagram_is_shorter(tmp_path: Path) -> None:
    path = tmp_path / "50000.dat"
    path.write_bytes(records(b"\x01\x02\x03", b"", b"\x04\x05"))
    with CaptureReader(path) as reader:
        assert reader.columns(1, 3).tolist() == [[2, 3, 0], [0, 0, 0], [5, 0, 0]]


def test_an_existing_capture_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "50000.dat"
    path.write_bytes(b"precious")
    with pytest.raises(CaptureError, match="File exists"):
        CaptureWriter(path)
    assert path.read_bytes() == b"precious"


def test_a_folder_that_is_not_there_is_a_capture_error(tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match="No such file"):
        CaptureWriter(tmp_path / "nowhere" / "50000.dat")


def test_a_capture_cut_anywhere_gives_its_whole_datagrams_and_tells_where_it_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "50000.dat"
    whole = records(b"first", b"", b"third one")
    ends = [13, 21, 38]
    for n_bytes in range(len(whole) + 1):
        path.write_bytes(whole[:n_bytes])
        with CaptureReader(path) as reader:
            good = [end for end in ends if end <= n_bytes]
            assert [reader[i] for i in range(len(reader))] == [b"first", b"", b"third one"][: len(good)]
            if n_bytes in ends:
                assert reader.damages == []
                continue
            [damage] = reader.damages
            last_good = max([0, *good])
            left_out = f"{n_bytes - last_good} bytes are left out"
            assert damage.startswith(f"{path}: ")
            assert ("the file is empty" if n_bytes == 0 else f"at byte {last_good}") in damage
            assert n_bytes == 0 or left_out in damage


@pytest.mark.parametrize("length", [65536, 2**31, 2**63 - 1, 2**63, 2**64 - 1, 2**64 - 8])
def test_an_absurd_length_is_a_damage_and_what_is_behind_it_is_read(tmp_path: Path, length: int) -> None:
    path = tmp_path / "50000.dat"
    path.write_bytes(records(b"good") + struct.pack("<Q", length) + bytes(100) + records(b"also", b"fine", b"x"))
    with CaptureReader(path) as reader:
        assert [reader[i] for i in range(len(reader))] == [b"good", b"also", b"fine", b"x"]
        [damage] = reader.damages
    assert (
        f"record 1 at byte 12: a datagram cannot have {length} bytes (at most 65535); 108 bytes are left out" in damage
    )


def test_a_hole_in_a_capture_costs_only_the_datagrams_in_it(tmp_path: Path) -> None:
    path = tmp_path / "50000.dat"
    datagrams = [bytes([i]) * 100 for i in range(20)]
    content = bytearray(records(*datagrams))
    content[5 * 108 + 50 : 8 * 108 + 3] = b"\xff" * (3 * 108 - 47)
    content[15 * 108 : 15 * 108 + 8] = b"\xee" * 8
    path.write_bytes(content[:-20])
    with CaptureReader(path) as reader:
        read = [reader[i] for i in range(len(reader))]
        assert len(reader.damages) == 3
    assert read[:5] == datagrams[:5]
    assert read[6:] == datagrams[9:15] + datagrams[16:19]


@settings(deadline=None)
@given(st.binary(min_size=1, max_size=200))
def test_any_bytes_are_read_or_told_to_be_damaged(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("capture") / "50000.dat"
    path.write_bytes(content)
    with CaptureReader(path) as reader:
        read = records(*(reader[i] for i in range(len(reader))))
        assert bool(reader.damages) == (read != content)
        assert len(read) <= len(content)


def test_a_missing_capture_and_a_directory_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match="No such file"):
        CaptureReader(tmp_path / "50000.dat")
    with pytest.raises(CaptureError, match="directory"):
        CaptureReader(tmp_path)


def test_the_index_is_the_same_compiled_and_in_python() -> None:
    from std_daq.packets.kernels import index_records

    good = records(b"a", b"", b"ccc")
    for content in (good, good + b"\x01", good + struct.pack("<Q", 2**64 - 1)):
        data = np.frombuffer(content, np.uint8)
        results = []
        for function in (index_records, index_records.py_func):
            offsets, lengths = np.zeros((2, 3), np.int64)
            results.append((function(data, 65535, offsets, lengths), offsets.tolist(), lengths.tolist()))
        assert results[0] == results[1] == ((3, len(good)), [8, 17, 25], [1, 0, 3])


@needs_data(REAL_EIGER)
@pytest.mark.parametrize("port", [50032, 50033, 50034, 50035])
def test_a_real_capture_has_the_records_it_should_have(port: int) -> None:
    with CaptureReader(capture_path(REAL_EIGER, port)) as reader:
        assert len(reader) == 640
        assert set(reader.lengths.tolist()) == {4144}
        frames = reader.columns(0, 8).view("<u8")[:, 0]
        assert np.array_equal(frames, np.repeat(np.arange(29512, 29517), 128))
