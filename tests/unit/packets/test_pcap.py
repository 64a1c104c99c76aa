import contextlib
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from std_daq.errors import CaptureError
from std_daq.packets.pcap import links
from std_daq.packets.pcap.classic import PcapWriter
from std_daq.packets.pcap.reader import Datagram, PcapReader, is_pcap
from std_test_kit import ip_packets as make

TIME_NS = 1_700_000_000_123_456_789
PAYLOAD = bytes(range(256)) * 33


def read(tmp_path: Path, content: bytes, ports: set[int] | None = None) -> tuple[list[Datagram], PcapReader]:
    path = tmp_path / "a.pcap"
    path.write_bytes(content)
    reader = PcapReader(path, ports)
    return list(reader), reader


def of_one(ip: list[bytes], link: Callable[[bytes], bytes] = make.over_ethernet) -> list[tuple[int, bytes]]:
    return [(TIME_NS, link(packet)) for packet in ip]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("is_nano", "time_ns"), [(True, TIME_NS), (False, TIME_NS // 1000 * 1000)])
def test_pcap_is_read_in_both_byte_orders_and_time_units(
    tmp_path: Path, order: str, is_nano: bool, time_ns: int
) -> None:
    packets = of_one(make.udp_over_ipv4(50032, PAYLOAD))
    datagrams, _ = read(tmp_path, make.pcap_file(packets, links.ETHERNET, order=order, is_nano=is_nano))
    assert datagrams == [Datagram(time_ns, 50032, PAYLOAD)]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("resolution", "offset_s"), [(9, 0), (6, 0), (9, 1000), (3, -5)])
def test_pcapng_is_read_in_both_byte_orders_and_any_time_unit(
    tmp_path: Path, order: str, resolution: int, offset_s: int
) -> None:
    packets = of_one(make.udp_over_ipv4(50032, PAYLOAD))
    content = make.pcapng_file(packets, links.ETHERNET, order=order, resolution=resolution, offset_s=offset_s)
    unit_ns = 10 ** (9 - resolution)
    datagrams, _ = read(tmp_path, content)
    assert datagrams == [Datagram(TIME_NS // unit_ns * unit_ns, 50032, PAYLOAD)]


def test_a_pcapng_file_may_have_sections_of_different_byte_order(tmp_path: Path) -> None:
    packets = of_one(make.udp_over_ipv4(50032, b"one"))
    content = make.pcapng_file(packets, links.ETHERNET, order="<") + make.pcapng_file(
        packets, links.ETHERNET, order=">"
    )
    assert [datagram.payload for datagram in read(tmp_path, content)[0]] == [b"one", b"one"]


def test_simple_and_obsolete_packet_blocks_are_read(tmp_path: Path) -> None:
    packet = make.over_ethernet(make.udp_over_ipv4(1, b"pixels")[0])
    n = len(packet).to_bytes(4, "little")
    simple = make.pcapng_block(3, n + packet)
    obsolete = make.pcapng_block(2, bytes(12) + n + n + packet)
    datagrams, _ = read(tmp_path, make.pcapng_file([], links.ETHERNET) + simple + obsolete)
    assert [datagram.payload for datagram in datagrams] == [b"pixels", b"pixels"]


@pytest.mark.parametrize("ip", [make.udp_over_ipv4, make.udp_over_ipv6])
@pytest.mark.parametrize(
    ("link_type", "link"),
    [
        (links.ETHERNET, make.over_ethernet),
        (links.ETHERNET, lambda ip: make.over_ethernet(ip, vlans=[7])),
        (links.ETHERNET, lambda ip: make.over_ethernet(ip, vlans=[7, 9])),
        (links.COOKED, make.over_cooked),
        (links.COOKED_2, make.over_cooked_2),
        (links.NULL, make.over_family),
        (links.LOOP, make.over_family),
        (links.RAW, bytes),
        (links.IPV4, bytes),
        (12, bytes),
    ],
)
def test_every_link_layer_is_read(
    tmp_path: Path,
    ip: Callable[[int, bytes], list[bytes]],
    link_type: int,
    link: Callable[[bytes], bytes],
) -> None:
    datagrams, _ = read(tmp_path, make.pcap_file(of_one(ip(50032, PAYLOAD), link), link_type))
    assert [(datagram.port, datagram.payload) for datagram in datagrams] == [(50032, PAYLOAD)]


def test_ip_options_and_extensions_are_skipped(tmp_path: Path) -> None:
    with_options = [
        *make.udp_over_ipv4(1, b"four", options=b"\x94\x04\0\0"),
        *make.udp_over_ipv6(2, b"six", has_options=True),
        *make.udp_over_ipv6(3, PAYLOAD, has_options=True, mtu=1500),
    ]
    datagrams, _ = read(tmp_path, make.pcap_file(of_one(with_options, bytes), links.RAW))
    assert [(datagram.port, datagram.payload) for datagram in datagrams] == [(1, b"four"), (2, b"six"), (3, PAYLOAD)]


def test_what_ethernet_pads_is_no_payload(tmp_path: Path) -> None:
    packets = [(0, packet + bytes(18)) for _, packet in of_one(make.udp_over_ipv4(1, b"x"))]
    assert read(tmp_path, make.pcap_file(packets, links.ETHERNET))[0] == [Datagram(0, 1, b"x")]


@settings(deadline=None)
@given(st.integers(576, 9000), st.integers(0, 2**32), st.sampled_from([make.udp_over_ipv4, make.udp_over_ipv6]))
def test_fragments_are_joined_in_any_order(
    tmp_path_factory: pytest.TempPathFactory, mtu: int, seed: int, ip: Callable[..., list[bytes]]
) -> None:
    sent = {port: bytes([port]) * (3000 * port) for port in range(1, 6)}
    pieces = [piece for port, payload in sent.items() for piece in ip(port, payload, mtu=mtu)]
    # twice the same fragment changes nothing, unless its datagram is whole already
    shuffled = random.Random(seed).sample(pieces, len(pieces))
    datagrams, reader = read(tmp_path_factory.mktemp("p"), make.pcap_file(of_one(shuffled), links.ETHERNET))
    assert {datagram.port: datagram.payload for datagram in datagrams} == sent
    assert len(datagrams) == len(sent)
    assert reader.counters.n_fragments == len(pieces) - len(sent)
    assert reader.counters.n_unfinished == 0


def test_a_fragment_that_comes_twice_is_taken_once(tmp_path: Path) -> None:
    first, *rest = make.udp_over_ipv4(1, PAYLOAD, mtu=1500)
    datagrams, _ = read(tmp_path, make.pcap_file(of_one([first, first, *rest]), links.ETHERNET))
    assert [datagram.payload for datagram in datagrams] == [PAYLOAD]


def test_a_missing_fragment_is_counted(tmp_path: Path) -> None:
    lacking, whole = make.udp_over_ipv4(1, PAYLOAD, mtu=1500), make.udp_over_ipv4(2, PAYLOAD, mtu=1500)
    datagrams, reader = read(tmp_path, make.pcap_file(of_one(lacking[:-1] + whole), links.ETHERNET))
    assert [datagram.port for datagram in datagrams] == [2]
    assert reader.counters.n_unfinished == 1


def test_fragments_that_wait_for_too_long_are_given_up(tmp_path: Path) -> None:
    lacking = [make.udp_over_ipv4(1, PAYLOAD, mtu=1500) for _ in range(1500)]
    pieces = [piece for pieces in lacking for piece in pieces[:-1]] + [lacking[0][-1]]
    datagrams, reader = read(tmp_path, make.pcap_file(of_one(pieces), links.ETHERNET))
    assert datagrams == []
    assert reader.counters.n_unfinished == 1501


def test_fragments_that_contradict_each_other_are_counted_and_deliver_nothing(tmp_path: Path) -> None:
    one, other = make.udp_over_ipv4(1, PAYLOAD, mtu=1500), make.udp_over_ipv4(1, PAYLOAD[::-1], mtu=1500)
    disguised = [piece[:4] + one[0][4:6] + piece[6:] for piece in other]
    datagrams, reader = read(tmp_path, make.pcap_file(of_one([one[1], disguised[1]]), links.ETHERNET))
    assert datagrams == []
    assert reader.counters.n_malformed == 1
    assert reader.counters.n_unfinished == 1


def test_every_record_is_in_exactly_one_count(tmp_path: Path) -> None:
    tcp = bytearray(make.udp_over_ipv4(1, b"x")[0])
    tcp[9] = 6
    packets = [
        *of_one(make.udp_over_ipv4(1, b"wanted")),
        *of_one(make.udp_over_ipv4(2, b"not wanted")),
        *of_one(make.udp_over_ipv4(1, PAYLOAD, mtu=1500)),
        (0, make.over_ethernet(bytes(tcp))),
        (0, bytes(12) + b"\x08\x06" + bytes(28)),
        (0, b"short"),
        (0, make.over_ethernet(b"\x45" + bytes(10))),
        (0, make.over_ethernet(b"\x55" + bytes(50))),
    ]
    datagrams, reader = read(tmp_path, make.pcap_file(packets, links.ETHERNET), ports={1})
    counters = reader.counters
    assert [datagram.payload for datagram in datagrams] == [b"wanted", PAYLOAD]
    assert (counters.n_datagrams, counters.n_other_ports, counters.n_fragments) == (2, 1, 5)
    assert (counters.n_foreign, counters.n_malformed) == (3, 2)
    assert len(packets) == 2 + 1 + 5 + 3 + 2


@pytest.mark.parametrize("mtu", [9000, 1500])
def test_datagrams_that_the_capture_cut_short_are_left_out_and_told_with_the_remedy(tmp_path: Path, mtu: int) -> None:
    packets = [*of_one(make.udp_over_ipv4(50032, PAYLOAD, mtu=mtu)), *of_one(make.udp_over_ipv4(50032, b"short"))]
    content = make.pcap_file([*packets, *packets], links.ETHERNET, snap=96)
    datagrams, reader = read(tmp_path, content)
    assert [datagram.payload for datagram in datagrams] == [b"short", b"short"]
    assert reader.counters.n_cut == 2
    assert "port 50032 were captured; capture whole packets (tcpdump -s 0)" in reader.damages[0]
    assert reader.damages[1].endswith(": 1 more datagrams were cut by the capture")
    others, reader = read(tmp_path, content, ports={50033})
    assert (others, reader.damages) == ([], [])


def test_a_written_pcap_is_read(tmp_path: Path) -> None:
    path = tmp_path / "written.pcap"
    with PcapWriter(path, links.RAW) as writer:
        writer.append(TIME_NS, make.udp_over_ipv4(7, PAYLOAD)[0])
    assert list(PcapReader(path)) == [Datagram(TIME_NS, 7, PAYLOAD)]
    with pytest.raises(CaptureError, match="File exists"):
        PcapWriter(path, links.RAW)


@pytest.mark.parametrize("content", [b"", b"\x1f\x8b", bytes(100), b"GET / HTTP/1.1"])
def test_another_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.pcap"
    path.write_bytes(content)
    assert not is_pcap(path)
    with pytest.raises(CaptureError, match="neither"):
        PcapReader(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match="No such file"):
        PcapReader(tmp_path / "none.pcap")


SMALL = of_one(make.udp_over_ipv4(1, b"some pixels")) + of_one(make.udp_over_ipv6(2, bytes(700), mtu=600))
CORPUS = {
    "pcap": make.pcap_file(SMALL, links.ETHERNET),
    "pcapng": make.pcapng_file(SMALL, links.ETHERNET),
    "pcapng, big endian": make.pcapng_file(SMALL, links.ETHERNET, order=">"),
}


@pytest.mark.long
@pytest.mark.parametrize("content", CORPUS.values(), ids=CORPUS)
def test_a_file_cut_anywhere_gives_the_whole_packets_or_an_error(tmp_path: Path, content: bytes) -> None:
    whole, _ = read(tmp_path, content)
    assert len(whole) == 2
    for n_bytes in range(len(content)):
        path = tmp_path / "cut.pcap"
        path.write_bytes(content[:n_bytes])
        got = []
        with contextlib.suppress(CaptureError):
            got.extend(PcapReader(path))
        assert got == whole[: len(got)]


@pytest.mark.parametrize("content", [make.pcap_file, make.pcapng_file], ids=["pcap", "pcapng"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_a_hole_in_a_capture_costs_only_the_packets_in_it(tmp_path: Path, content: Any, order: str) -> None:
    payloads = [bytes([i]) * 200 for i in range(20)]
    packets = [packet for payload in payloads for packet in of_one(make.udp_over_ipv4(1, payload))]
    made = bytearray(content(packets, links.ETHERNET, order=order))
    whole, _ = read(tmp_path, bytes(made))
    first, last = made.find(payloads[6]), made.find(payloads[9])
    made[first : last + 200] = b"\xff" * (last + 200 - first)
    got, reader = read(tmp_path, bytes(made[:-7]))
    assert got[:6] == whole[:6]
    assert [datagram.payload[0] for datagram in got if datagram.payload in payloads] == [*range(6), *range(10, 19)]
    assert len(reader.damages) == 2
    assert all("bytes are left out" in damage for damage in reader.damages)


@pytest.mark.parametrize("content", CORPUS.values(), ids=CORPUS)
@settings(deadline=None, max_examples=150)
@given(data=st.data())
def test_a_file_with_any_wrong_bytes_gives_datagrams_or_an_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, data: st.DataObject
) -> None:
    wrong = bytearray(content)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(content) - 1))
        value = data.draw(st.binary(min_size=1, max_size=4))
        wrong[at : at + len(value)] = value
    path = tmp_path_factory.mktemp("p") / "wrong.pcap"
    path.write_bytes(wrong)
    with contextlib.suppress(CaptureError):
        for datagram in PcapReader(path):
            assert 0 <= datagram.port < 65536
            assert len(datagram.payload) < 65536


@settings(deadline=None)
@given(st.sampled_from(list(links._LINKS)), st.lists(st.binary(max_size=80), max_size=5))
def test_packets_of_any_bytes_are_counted(
    tmp_path_factory: pytest.TempPathFactory, link_type: int, packets: list[bytes]
) -> None:
    content = make.pcap_file([(0, packet) for packet in packets], link_type)
    _, reader = read(tmp_path_factory.mktemp("p"), content)
    counters = reader.counters
    n = counters.n_datagrams + counters.n_fragments + counters.n_foreign + counters.n_malformed
    assert n == len(packets)
