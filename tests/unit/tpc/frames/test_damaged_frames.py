"""A corpus of damaged frames goes through stream, file and decoder: all is counted, nothing fails."""

import random
from pathlib import Path

import numpy as np
import pytest

from std_daq.tpc.frames.decode import decode_board
from std_daq.tpc.frames.encode import (
    EventHeader,
    FrameFormat,
    encode_items,
    encode_merged,
    encode_message,
    encode_mutant,
    encode_topology,
    full_items,
    partial_items,
)
from std_daq.tpc.frames.frame import Frame, parse_frame
from std_daq.tpc.frames.graw import read_graw
from std_daq.tpc.frames.splitter import FrameSplitter

N_MUTATIONS = 10_000
LIMIT = 2**14


def good_frames() -> list[bytes]:
    rng = np.random.default_rng(1)
    header = EventHeader(5, 500, (1, 2), hit_channels=((1, 68), (), (), ()))
    halves = full_items(rng.integers(0, 4096, (4, 68, 512), np.int16))
    frames = []
    for frame_format in (FrameFormat(), FrameFormat(64), FrameFormat(is_little_endian=True)):
        words = partial_items(*(rng.integers(0, n, 90) for n in (4, 68, 512, 4096)))
        frames += [encode_items(header, words, frame_format), encode_items(header, halves[:700], frame_format)]
    merged = encode_merged(frames[:2], event_id=5, frame_format=FrameFormat(64))
    return [*frames, merged, encode_topology(1), encode_mutant(5, 500)]


def mutate(frame: bytes, rng: random.Random) -> bytes:
    data = bytearray(frame)
    for _ in range(rng.choice((1, 1, 2, 8))):
        kind = rng.randrange(5)
        place = rng.randrange(min(len(data), rng.choice((16, 100, 10_000)))) if data else 0
        if kind == 0 and data:
            data[place] ^= 1 << rng.randrange(8)
        elif kind == 1 and data:
            data[place] = rng.choice((0, 1, 0x7F, 0x80, 0xFF))
        elif kind == 2:
            del data[place:]
        elif kind == 3:
            data[place:place] = rng.randbytes(rng.randrange(20))
        else:
            del data[place : place + rng.randrange(20)]
    return bytes(data)


@pytest.mark.long
def test_damaged_frames_are_counted_and_survived(tmp_path: Path) -> None:
    rng = random.Random(14)
    frames = good_frames()
    n_lost = n_damaged = n_good = 0
    for _ in range(N_MUTATIONS):
        data = mutate(rng.choice(frames), rng)
        size = rng.choice((None, None, 0, rng.randrange(600), rng.getrandbits(64)))
        splitter = FrameSplitter(LIMIT, chunk_bytes=0)
        stream = encode_message(data, size) + encode_message(frames[0])
        memory = splitter.memory()
        memory[: len(stream)] = stream
        splitter.received(len(stream))
        found = list(splitter.frames())
        for frame in found:
            check_decoding(frame)
        counts = splitter.counts
        assert counts.n_frames == len(found)
        assert sum(len(frame.data) for frame in found) <= len(stream)
        n_lost += splitter.is_lost
        n_damaged += counts.n_damaged
        n_good += len(found)
    assert min(n_lost, n_damaged, n_good) > N_MUTATIONS / 20  # otherwise the corpus tests little


def test_damaged_files_are_read_as_far_as_they_are_good(tmp_path: Path) -> None:
    rng = random.Random(15)
    frames = good_frames()
    file = tmp_path / "damaged.graw"
    for _ in range(300):
        chosen = [rng.choice(frames[:6]) for _ in range(6)]
        damaged = [mutate(frame, rng) if rng.random() < 0.3 else frame for frame in chosen]
        file.write_bytes(frames[0] + b"".join(damaged))
        content = read_graw(file)
        n_frames = sum(len(frame.data) for frame in content.frames)
        n_bytes = n_frames + sum(one.end - one.begin for one in content.damaged if not one.is_within)
        if not any(one.is_within for one in content.damaged):
            assert n_bytes == file.stat().st_size
        for frame in content.frames:
            check_decoding(frame)


def check_decoding(frame: Frame) -> None:
    if not frame.has_samples:
        return
    samples, counts = decode_board(frame)
    assert samples.min() >= -1
    assert sum(counts[kind] for kind in list(counts)[:3]) + counts[4] == len(frame.items)
    assert np.count_nonzero(samples >= 0) == counts[0] - counts[3]


def test_any_bytes_are_parsed_or_refused() -> None:
    rng = random.Random(16)
    for n_bytes in range(300):
        result = parse_frame(rng.randbytes(n_bytes))
        assert isinstance(result, Frame) or result > 0
