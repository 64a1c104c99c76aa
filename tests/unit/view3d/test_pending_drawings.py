"""What is shown next: the urgent kind soon, and every kind at some time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from std_daq.view3d.drawing import Drawing
from std_daq.view3d.pending_drawings import PendingDrawings


class _Drawing:
    def __init__(self, number: int) -> None:
        self.number = number

    def draw(self, recording: object) -> None:
        raise AssertionError("nothing is drawn here")


KINDS = ("event", "a", "b", "c")


def _number(drawing: Drawing) -> int:
    assert isinstance(drawing, _Drawing)
    return drawing.number


@given(st.lists(st.sampled_from([*KINDS, "take"]), max_size=60))
def test_one_drawing_of_a_kind_waits_and_it_is_the_newest(steps: list[str]) -> None:
    pending, newest = PendingDrawings("event"), dict[str, int]()
    for number, step in enumerate(steps):
        if step != "take":
            assert pending.put(step, _Drawing(number)) == (step in newest)
            newest[step] = number
        elif newest:
            kind, drawing = pending.take()
            assert newest.pop(kind) == _number(drawing)
        assert len(pending) == len(newest)


@pytest.mark.parametrize("urgent", ["event", None])
def test_a_viewer_slower_than_all_that_comes_is_shown_every_kind(urgent: str | None) -> None:
    pending, shown = PendingDrawings(urgent), []
    for number in range(40):
        for kind in ("a", "event", "b", "c"):  # all come again before the viewer has taken one
            pending.put(kind, _Drawing(number))
        kind, drawing = pending.take()
        assert _number(drawing) == number
        shown.append(kind)
    assert {kind: shown.count(kind) > 5 for kind in KINDS} == dict.fromkeys(KINDS, True)
    if urgent:
        assert shown[::2] == ["event"] * 20


def test_what_is_missing_is_shown_again_and_what_is_newer_stays() -> None:
    pending = PendingDrawings()
    pending.put("a", _Drawing(2))
    pending.put_missing({"a": _Drawing(1), "b": _Drawing(1)})
    assert [(kind, _number(drawing)) for kind, drawing in (pending.take(), pending.take())] == [("a", 2), ("b", 1)]
    with pytest.raises(LookupError, match="no drawing waits"):
        pending.take()
