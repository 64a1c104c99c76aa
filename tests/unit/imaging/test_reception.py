"""What the receivers see, in words, and the files in which they tell it."""

import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from std_daq.config.paths import make_runtime_dir
from std_daq.config.platform import PlatformConfig
from std_daq.imaging.reception import (
    REFUSAL_WORDS,
    OwnReception,
    PortReception,
    Reception,
    RefusedLength,
    describe_reception,
    read_receptions,
    reception_path,
    since,
)
from std_udp_recv.records import REASONS


def port(n: int = 0, **changes: object) -> PortReception:
    values = {"udp_port": 52600 + n, "module": n, "received": 100, "expected_length": "4144", "packets_per_frame": 64}
    return PortReception.model_validate(values | changes)


OF_BOARDS = "other_product"  # which only the receiver of boards without frame numbers tells


def test_every_reason_for_a_refusal_has_words():
    assert set(REFUSAL_WORDS) == {*REASONS, OF_BOARDS}


@pytest.mark.parametrize("reason", [*REASONS, OF_BOARDS])
def test_refused_packets_are_told_with_their_number(reason):
    (note,) = describe_reception([port(rejected={reason: 37})])
    assert "37 packets" in note
    assert "UDP port 52600 (module 0)" in note


def test_packets_of_another_length_are_told_with_what_was_expected_and_what_may_be_the_cause():
    seen = port(
        rejected={"wrong_length": 5120},
        refused_lengths=[RefusedLength(n_bytes=1072, n_packets=5120, hint="is the detector set to 1 Gb?")],
    )
    assert describe_reception([seen]) == [
        "5120 packets of 1072 bytes came on UDP port 52600 (module 0), 4144 were expected: is the detector set to 1 Gb?"
    ]


def test_packet_numbers_that_no_frame_has_are_told_with_what_may_be_the_cause():
    seen = port(
        rejected={"unit_out_of_range": 640}, highest_number=127, highest_number_hint="is the detector set to 32 bits?"
    )
    assert describe_reception([seen]) == [
        (
            "640 packets with numbers up to 127 came on UDP port 52600 (module 0), a frame has 64 packets: "
            "is the detector set to 32 bits?"
        )
    ]


def test_frames_that_lack_packets_are_told():
    seen = port(frames_incomplete=3, frames_complete=7, last_incomplete=32, last_incomplete_hint="8 bits?")
    assert describe_reception([seen]) == [
        "3 of 10 frames lacked packets on UDP port 52600 (module 0), the last had 32 of 64 packets: 8 bits?"
    ]


def test_packets_that_the_kernel_dropped_are_told():
    assert describe_reception([port(kernel_drops=5)]) == [
        "the kernel dropped 5 packets on UDP port 52600 (module 0): is udp.socket_buffer_bytes granted?"
    ]


def test_equal_ports_are_told_together():
    (note,) = describe_reception([port(n, rejected={"late": 2}) for n in range(6)])
    assert note == (
        "2 packets came on each of the UDP ports 52600 (module 0), 52601 (module 1), 52602 (module 2) and 3 more "
        "of frames that had ended"
    )


def test_port_without_packets_is_told_and_all_ports_with_a_question():
    silent = [port(n, received=0) for n in range(2)]
    (note,) = describe_reception(silent)
    assert note.startswith(
        "no packet came on each of the UDP ports 52600 (module 0), 52601 (module 1): is the detector"
    )
    assert describe_reception([port(), silent[1]]) == ["no packet came on UDP port 52601 (module 1)"]
    assert describe_reception(silent, is_quiet_told=False) == []


def test_nothing_is_told_if_nothing_is_wrong_or_no_receiver_runs_here():
    assert describe_reception([port(frames_complete=7)]) == []
    assert describe_reception([]) == []


def test_what_was_seen_before_does_not_count():
    before = port(rejected={"late": 4}, refused_lengths=[RefusedLength(n_bytes=9, n_packets=2)], frames_incomplete=1)
    now = before.model_copy(update={"received": 150, "rejected": {"late": 4, "duplicate": 1}})
    assert describe_reception(since([before], [now])) == [
        "1 packet came on UDP port 52600 (module 0) that had come before"
    ]
    assert describe_reception(since([before], [before])) == [
        (
            "no packet came on UDP port 52600 (module 0): "
            "is the detector running, and does it send to these ports of this server?"
        )
    ]


def test_counts_of_a_receiver_that_was_restarted_meanwhile_count_from_its_start():
    assert since([port(received=1000)], [port(received=10)])[0].received == 10


def test_files_of_all_receivers_are_read_and_damaged_ones_are_left_out(runtime: Path):
    config = PlatformConfig(name="camera", runtime_dir=runtime)
    folder = make_runtime_dir(config)
    with ExitStack() as stack:
        for n, instance in enumerate(("udp-recv-1-1", "udp-recv-0-0", "udp-recv-2-2")):
            own = OwnReception(reception_path(config, instance))
            stack.callback(own.remove)
            own.write(Reception(ports=(port(1 - n),)))
        (folder / "udp-recv-2-2.reception.json").write_text('{"ports": [{"udp_port"')
        assert [seen.module for seen in read_receptions(config)] == [0, 1]


WRITER = """
import sys
from pathlib import Path
from std_daq.imaging.reception import OwnReception, Reception
own = OwnReception(Path(sys.argv[1]))
own.write(Reception.model_validate_json(sys.argv[2]))
print("written", flush=True)
sys.stdin.read()
"""


def test_what_a_killed_receiver_has_left_is_not_read(runtime: Path):
    config = PlatformConfig(name="camera", runtime_dir=runtime)
    make_runtime_dir(config)
    path = reception_path(config, "udp-recv")
    seen = Reception(ports=(port(0),)).model_dump_json()
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), seen], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "written\n"
        assert len(read_receptions(config)) == 1
        process.kill()
    assert path.exists()
    assert read_receptions(config) == []
