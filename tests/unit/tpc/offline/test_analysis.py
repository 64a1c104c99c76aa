import json
from contextlib import suppress

import h5py
import numpy as np
import pytest
from pyarrow import parquet

from std_daq.cli.__main__ import main
from std_daq.errors import ResourceError
from std_daq.tpc.config import load_tpc_config
from std_daq.tpc.offline.analysis import FileAnalysis
from std_daq.tpc.offline.execution import InThisProcess
from std_daq.tpc.offline.sources import open_source
from std_daq.tpc.pads.load import load_pads
from std_daq.tpc.reconstruction.pipeline import Pipeline
from std_test_kit.helix_events import channel_lines, helix_event

N_EVENTS = 20


@pytest.fixture(scope="module")
def matrices():
    return [helix_event(seed) for seed in range(4)]


@pytest.fixture
def chamber(tmp_path):
    (tmp_path / "map.csv").write_text("\n".join(channel_lines()))
    document = {
        "detector_name": "chamber",
        "detector_type": "get-tpc",
        "exporters": ["127.0.0.1:46000"],
        "pads": {"electronics": "map.csv", "geometry": "attpc", "scale": "attpc", "beam_radius_mm": 20},
        "analysis": {"seed": 5},
    }
    path = tmp_path / "tpc.json"
    path.write_text(json.dumps(document))
    return path


def _write_merged(path, matrices, numbers=range(N_EVENTS), **attributes):
    with h5py.File(path, "w") as file:
        events = file.create_group("events")
        events.attrs["version"] = "libattpc_merger:1.0"
        for n in numbers:
            group = events.create_group(f"event_{n}")
            group.attrs.update(attributes)
            traces = group.create_dataset("get_traces", data=matrices[n % len(matrices)])
            traces.attrs.update(id=np.uint32(1000 + n), timestamp=np.uint64(n), timestamp_other=np.uint64(n))
    return path


@pytest.fixture
def merged(tmp_path, matrices):
    return _write_merged(tmp_path / "run_0001.h5", matrices)


def _content(path):
    """Return everything that a result has, but for the versions."""
    content = {}
    with h5py.File(path) as file:
        file.visititems(
            lambda name, item: (
                content.update(
                    {
                        name: (
                            item[()].tobytes(),
                            item.dtype,
                            item.shape,
                            sorted((k, int(v)) for k, v in item.attrs.items()),
                        )
                    }
                )
                if isinstance(item, h5py.Dataset)
                else None
            )
        )
        content["parameters"] = file.attrs["parameters"]
    return content


def _analysis(files, chamber, output):
    config = load_tpc_config(chamber)
    return FileAnalysis(open_source(files, config), files, config, output)


def test_the_result_has_what_the_pipeline_gives(merged, chamber, tmp_path, matrices, capsys):
    output = tmp_path / "result.h5"
    assert main(["analyse", str(merged), "--config", str(chamber), "--output", str(output), "--workers", "1"]) == 0
    assert f"{N_EVENTS} events" in capsys.readouterr().out
    config = load_tpc_config(chamber)
    pipeline = Pipeline(load_pads(config.pads), config.analysis)
    estimates = []
    with h5py.File(output) as file:
        assert len(file["clouds"]) == len(file["labels"]) == N_EVENTS
        for n in range(N_EVENTS):
            wanted = pipeline.run(1000 + n, 0, matrices[n % len(matrices)])
            cloud, labels = file[f"clouds/event_{n}"], file[f"labels/event_{n}"]
            np.testing.assert_array_equal(cloud, wanted.cloud)
            np.testing.assert_array_equal(labels, wanted.labels)
            assert (cloud.dtype, labels.dtype) == (np.float64, np.int32)
            assert (cloud.attrs["id"], cloud.attrs["epoch"]) == (1000 + n, 0)
            wanted.estimates["event"] = n
            estimates.append(wanted.estimates)
        table = np.concatenate(estimates)
        assert len(table) > N_EVENTS / 2
        for name in table.dtype.names:
            np.testing.assert_array_equal(file[f"estimates/{name}"], table[name])
        assert json.loads(file.attrs["parameters"])["seed"] == 5
        assert "numpy" in json.loads(file.attrs["versions"])
        assert file.attrs["source"] == str(merged)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["map.csv", "result.h5", "run_0001.h5", "tpc.json"]


def test_parquet_has_the_table_of_estimates(merged, chamber, tmp_path):
    for name in ("result.h5", "result.parquet"):
        _analysis([merged], chamber, tmp_path / name).run(InThisProcess(), lambda n: None)
    table = parquet.read_table(tmp_path / "result.parquet")
    with h5py.File(tmp_path / "result.h5") as file:
        assert set(table.column_names) == set(file["estimates"])
        for name in table.column_names:
            np.testing.assert_array_equal(table[name].to_numpy(), file[f"estimates/{name}"])
    assert b"parameters" in table.schema.metadata


def test_an_interrupted_analysis_goes_on_where_it_ended(merged, chamber, tmp_path):
    whole, resumed = tmp_path / "whole.h5", tmp_path / "resumed.h5"
    _analysis([merged], chamber, whole).run(InThisProcess(), lambda n: None)

    def interrupt(n_events):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _analysis([merged], chamber, resumed).run(InThisProcess(), interrupt)
    assert not resumed.exists()
    report = _analysis([merged], chamber, resumed).run(InThisProcess(), lambda n: None)
    assert report.n_kept == 16
    assert _content(resumed) == _content(whole)


def test_other_parameters_begin_anew(merged, chamber, tmp_path):
    output = tmp_path / "result.h5"

    def interrupt(n_events):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _analysis([merged], chamber, output).run(InThisProcess(), interrupt)
    chamber.write_text(chamber.read_text().replace('"seed": 5', '"seed": 6'))
    assert _analysis([merged], chamber, output).run(InThisProcess(), lambda n: None).n_kept == 0


def test_two_processes_do_not_make_the_same_result(merged, chamber, tmp_path):
    one = _analysis([merged], chamber, tmp_path / "result.h5")

    def meanwhile(n_events):
        _analysis([merged], chamber, tmp_path / "result.h5").run(InThisProcess(), lambda n: None)

    with pytest.raises(ResourceError, match="another process"):
        one.run(InThisProcess(), meanwhile)


class _LastUnitFirst(InThisProcess):
    def run(self, units, config, parts):
        return super().run(reversed(list(units)), config, parts)


@pytest.mark.long
def test_the_result_is_the_same_in_whichever_order_units_are_done(chamber, tmp_path, matrices):
    merged = _write_merged(tmp_path / "run_0001.h5", matrices, numbers=range(40))
    for name, execution in (("one.h5", InThisProcess()), ("other.h5", _LastUnitFirst())):
        _analysis([merged], chamber, tmp_path / name).run(execution, lambda n: None)
    assert _content(tmp_path / "one.h5") == _content(tmp_path / "other.h5")
    with h5py.File(tmp_path / "other.h5") as file:
        assert (np.diff(file["estimates/event"]) >= 0).all()


@pytest.mark.parametrize("damage", [lambda data: b"", lambda data: data[:-100], lambda data: data.replace(b"?", b"!")])
def test_a_part_that_a_loss_of_power_has_damaged_is_made_again(merged, chamber, tmp_path, damage):
    output = tmp_path / "result.h5"

    def interrupt(n_events):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _analysis([merged], chamber, output).run(InThisProcess(), interrupt)
    (part,) = tmp_path.glob(".result.h5.parts/*/*.npz")
    before = part.read_bytes()
    part.write_bytes(damage(before))
    assert part.read_bytes() != before
    assert _analysis([merged], chamber, output).run(InThisProcess(), lambda n: None).n_kept == 0
    _analysis([merged], chamber, tmp_path / "whole.h5").run(InThisProcess(), lambda n: None)
    assert _content(output) == _content(tmp_path / "whole.h5")


class _KilledWithAWorkerLeft(InThisProcess):
    """The analysis ends without a word; one of its workers still writes its part later."""

    def run(self, units, config, parts):
        self.left = parts
        (parts.path / ".result.h5.abcdefg.partial").touch()
        next(super().run(units, config, parts))
        self.part = parts.load(0)
        raise KeyboardInterrupt


def test_what_a_killed_analysis_leaves_is_not_part_of_another_one(merged, chamber, tmp_path):
    output, killed = tmp_path / "result.h5", _KilledWithAWorkerLeft()
    with pytest.raises(KeyboardInterrupt):
        _analysis([merged], chamber, output).run(killed, lambda n: None)
    chamber.write_text(chamber.read_text().replace('"seed": 5', '"seed": 6'))

    def write_late(n_events):
        with suppress(OSError):  # its folder may be gone
            killed.left.save(1, killed.part)

    assert _analysis([merged], chamber, output).run(InThisProcess(), write_late).n_kept == 0
    _analysis([merged], chamber, tmp_path / "alone.h5").run(InThisProcess(), lambda n: None)
    assert _content(output) == _content(tmp_path / "alone.h5")
    assert not list(tmp_path.glob(".*"))


def test_numbers_go_on_in_the_next_file(chamber, tmp_path, matrices):
    first = _write_merged(tmp_path / "a.h5", matrices, numbers=(0, 3))
    second = _write_merged(tmp_path / "b.h5", matrices, numbers=(0, 1), orig_run=np.int32(7), orig_event=np.uint64(9))
    output = tmp_path / "result.h5"
    _analysis([first, second], chamber, output).run(InThisProcess(), lambda n: None)
    with h5py.File(output) as file:
        assert set(file["clouds"]) == {"event_0", "event_3", "event_4", "event_5"}
        is_second = file["estimates/event"][:] >= 4
        assert set(file["estimates/orig_run"][is_second]) <= {7}
        assert set(file["estimates/orig_run"][~is_second]) <= {-1}


@pytest.mark.parametrize("output", ["result.txt", "missing/result.h5"])
def test_a_wrong_output_is_refused_before_anything_is_read(merged, chamber, tmp_path, output, capsys):
    assert main(["analyse", str(merged), "--config", str(chamber), "--output", str(tmp_path / output)]) == 2
    assert "--output" in capsys.readouterr().err
