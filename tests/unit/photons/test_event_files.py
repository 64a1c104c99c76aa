from pathlib import Path

import numpy as np
import pytest
import uproot

from std_daq.errors import ConfigError
from std_daq.photons.event_files import read_events, write_hits
from std_daq.photons.records import HIT, PHOTON


def photons(n: int) -> np.ndarray:
    found = np.zeros(n, PHOTON)
    found["x"] = np.arange(n)
    return found


def test_photons_of_an_event_need_not_lie_together(tmp_path: Path) -> None:
    arrays = {name: photons(4)[name] for name in PHOTON.names or ()}
    np.savez(tmp_path / "p.npz", event_id=[7, 3, 7, 3], **arrays)
    events = read_events(tmp_path / "p.npz")
    assert [(event_id, found["x"].tolist()) for event_id, found in events] == [(7, [0, 2]), (3, [1, 3])]


def test_records_without_events_are_one_event(tmp_path: Path) -> None:
    np.savez(tmp_path / "p.npz", photons=photons(3))
    assert [(event_id, len(found)) for event_id, found in read_events(tmp_path / "p.npz")] == [(0, 3)]


def test_root_file_has_a_row_for_each_event(tmp_path: Path) -> None:
    import awkward

    columns = {name: awkward.Array([[1, 2, 3], [4]]) for name in PHOTON.names or ()}
    with uproot.recreate(tmp_path / "p.root") as file:
        file.mktree("photons", {"event_id": "uint32"} | dict.fromkeys(columns, "var * float32"))
        file["photons"].extend({"event_id": np.array([5, 6], np.uint32)} | columns)
    assert [(event_id, found["x"].tolist()) for event_id, found in read_events(tmp_path / "p.root")] == [
        (5, [1, 2, 3]),
        (6, [4]),
    ]


@pytest.mark.parametrize(
    ("arrays", "problem"),
    [
        ({"x": [1.0]}, "these arrays are missing"),
        ({name: [0.0] * (2 if name == "y" else 1) for name in PHOTON.names or ()}, "different lengths"),
        ({"photons": photons(2), "event_id": [1]}, "one for each photon"),
    ],
)
def test_file_that_does_not_fit_is_named(tmp_path: Path, arrays: dict[str, object], problem: str) -> None:
    np.savez(tmp_path / "p.npz", **arrays)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=rf"p\.npz.*{problem}"):
        read_events(tmp_path / "p.npz")


@pytest.mark.parametrize("name", ["none.npz", "text.npz"])
def test_file_that_is_none_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "text.npz").write_text("text")
    with pytest.raises(ConfigError, match=name):
        read_events(tmp_path / name)


def test_hits_are_written_with_their_events(tmp_path: Path) -> None:
    hits = np.zeros(3, HIT)
    hits["channel"] = [1, 2, 3]
    write_hits(tmp_path / "h.npz", [(9, hits[:2]), (8, hits[:0]), (7, hits[2:])])
    with np.load(tmp_path / "h.npz") as file:
        assert file["event_id"].tolist() == [9, 9, 7]
        assert file["channel"].tolist() == [1, 2, 3]
