"""Whose packets of a board are used."""

from ipaddress import IPv4Network

from std_udp_recv.board_packets import BoardPacket
from std_udp_recv.board_senders import BoardSenders
from std_udp_recv.records import SILENCE_NS, STRANGER_SILENCE_NS

OWN, OTHER = "10.0.0.1", "10.0.0.2"
S = 10**9


def packet(number: int, board: int = 0) -> BoardPacket:
    return BoardPacket(1, board, number % 2**16, 0, 0, 0, 0, 0, b"")


def senders(*networks: str) -> BoardSenders:
    return BoardSenders(lambda _board: tuple(map(IPv4Network, networks)), 2**16)


def admitted(boards: BoardSenders, numbers: list[int], address: str, at_ns: int, step_ns: int = S // 100) -> list[int]:
    return [
        one.number
        for index, number in enumerate(numbers)
        for one in boards.admit(packet(number), address, at_ns + index * step_ns)[0]
    ]


def test_stranger_costs_a_board_no_packet_however_much_it_sends() -> None:
    boards = senders()
    assert admitted(boards, [1, 2], OWN, S) == [1, 2]
    for number in range(3, 20):
        assert admitted(boards, list(range(9000, 9050)), OTHER, S + number * S // 10, 1000) == []
        assert admitted(boards, [number], OWN, S + number * S // 10) == [number]
    assert boards.strangers == {OTHER: 17 * 50}
    assert boards.n_refused == 17 * 50


def test_stranger_that_speaks_first_costs_the_board_no_packet() -> None:
    boards = senders()
    assert admitted(boards, [9000], OTHER, S) == [9000]
    assert admitted(boards, [1, 2, 3], OWN, S) == [1, 2, 3]
    assert admitted(boards, [9001], OTHER, S) == []


def test_board_with_another_address_is_believed_with_its_second_packet() -> None:
    boards = senders()
    admitted(boards, [100, 101, 102], OWN, S)
    after_ns = S + SILENCE_NS + S
    assert boards.admit(packet(0), OTHER, after_ns) == ([], False)
    assert boards.admit(packet(1), OTHER, after_ns) == ([packet(0), packet(1)], True)
    assert admitted(boards, [2], OTHER, after_ns) == [2]
    assert boards.n_refused == 0


def test_known_stranger_waits_for_longer() -> None:
    boards = senders()
    admitted(boards, [100, 101, 102], OWN, S)
    admitted(boards, [7], OTHER, S)
    assert admitted(boards, [8, 9], OTHER, STRANGER_SILENCE_NS) == []
    assert admitted(boards, [8, 9], OTHER, 2 * STRANGER_SILENCE_NS) == [8, 9]


def test_each_board_has_an_address_of_its_own() -> None:
    boards = senders()
    for number in range(5):
        for board, address in enumerate((OWN, OTHER, OWN, OTHER)):
            assert boards.admit(packet(number, board), address, S) == ([packet(number, board)], False)


def test_configured_addresses_are_the_only_ones() -> None:
    boards = senders("10.0.0.1")
    assert admitted(boards, [1, 2], OTHER, S) == []
    assert admitted(boards, [1, 2], OWN, 1000 * S) == [1, 2]
    assert admitted(boards, [1, 2], OTHER, 5000 * S) == []


def test_stray_packets_of_two_numbers_that_are_far_apart_are_not_believed() -> None:
    boards = senders()
    admitted(boards, [100, 101], OWN, S)
    assert admitted(boards, [7, 4000, 9], OTHER, 100 * S) == []
    assert admitted(boards, [102], OWN, 200 * S) == [102]
    assert boards.strangers == {OTHER: 3}
