"""Who has to go when there are more peers than places."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from std_daq.streams.places import first_to_go


@dataclass(eq=False)
class Connected:
    host: str
    connected_at: float
    is_served: bool = False


def test_who_is_not_served_goes_before_who_is() -> None:
    served = [Connected("a", n, is_served=True) for n in range(5)]
    waiting = Connected("b", 9)
    assert first_to_go([*served, waiting], Connected("b", 10)) is waiting


def test_of_those_who_wait_the_longest_connected_of_the_crowded_host_goes() -> None:
    alone, *crowd = (Connected("a", 0), Connected("b", 1), Connected("b", 2))
    assert first_to_go([alone, *reversed(crowd)], Connected("a", 3)) is crowd[0]


def test_if_all_are_served_a_host_with_fewer_gets_a_place_from_the_one_with_most() -> None:
    served = [Connected("a", n, is_served=True) for n in range(5)]
    assert first_to_go(served, Connected("b", 10)) is served[-1]


def test_if_all_are_served_the_crowded_host_gets_no_more_places() -> None:
    newcomer = Connected("a", 10)
    served = [Connected("a", n, is_served=True) for n in range(5)]
    assert first_to_go([*served, Connected("b", 7, is_served=True)], newcomer) is newcomer


@given(
    st.lists(st.builds(Connected, st.sampled_from("abc"), st.integers(0, 9), st.booleans()), min_size=1),
    st.sampled_from("abc"),
)
def test_no_host_pushes_out_the_served_peers_of_one_that_has_fewer(peers: list[Connected], host: str) -> None:
    newcomer = Connected(host, 10)
    going = first_to_go(peers, newcomer)
    if going is not newcomer and going.is_served:
        n_of = {name: sum(peer.host == name for peer in peers) for name in "abc"}
        assert n_of[going.host] == max(n_of.values())
        assert n_of[going.host] > n_of[host] + 1
        assert all(peer.is_served for peer in peers)
