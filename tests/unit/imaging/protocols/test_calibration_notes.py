"""The calibrations in the notes of a ring: what is none is left out, whatever it is."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from std_daq.imaging.files.described import calibration_checksums
from std_daq.imaging.protocols.calibration_notes import calibrations_of

GOOD = {"index": 3, "files": [{"role": "gain", "path": "/a/gain.h5", "sha256": "ab"}]}
JSON: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.sampled_from(["calibration", "index", "files", "role", "path"]), inner)
    ),
    max_leaves=20,
)


@pytest.mark.parametrize(
    "nonsense",
    [None, 7, "text", [], {}, {"index": "3", "files": []}, {"index": True, "files": []}, {"index": 3},
     {"index": 3, "files": [7]}, {"index": 3, "files": [{"role": "gain", "path": 5, "sha256": "ab"}]}],
)  # fmt: skip
def test_nonsense_among_calibrations_is_left_out(nonsense: Any) -> None:
    notes = {"calibration": [nonsense, GOOD, nonsense]}
    assert calibrations_of(notes) == [GOOD]
    assert calibration_checksums(notes, 3) == {"/a/gain.h5": "ab"}


@given(notes=st.dictionaries(st.sampled_from(["calibration", "other"]), JSON))
def test_no_notes_raise(notes: dict[str, Any]) -> None:
    for one in calibrations_of(notes):
        assert isinstance(one["index"], int)
        calibration_checksums(notes, one["index"])
