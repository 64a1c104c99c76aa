"""RunFollower: every whole frame of run directories, in order, once, whatever happens to the files."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from std_daq.telescope.pff import PRODUCTS, PffWriter, Product
from std_daq.telescope.pff.header import Header, HeaderForm
from std_daq.telescope.pff.run_follower import MAX_FRAMES_AT_ONCE, FollowedFrame, RunFollower
from std_daq.telescope.pff.writer import encode_frame
from std_test_kit.telescope_frames import START, make_header, make_pixels, make_run, write_pff

PH256, IMG16 = PRODUCTS["ph256"], PRODUCTS["img16"]


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        self.now_s += 1.0  # each step looks for new files
        return self.now_s


def follow(data_dir: Path, *module_ids: int) -> RunFollower:
    return RunFollower(data_dir, module_ids, clock=Clock())


def numbers_of(frames: list[FollowedFrame], module_id: int = 1) -> Iterator[int]:
    """Check that frames are bit for bit those of the generator, and yield their numbers there."""
    for frame in frames:
        packet: Header = frame.header.get("quabo_0", frame.header)
        number = packet["pkt_num"] - 1000 * packet.get("quabo_num", 0)
        assert frame.header == make_header(frame.product, number)
        assert frame.pixels == make_pixels(frame.product, number, module_id).tobytes()
        yield number


def test_newest_frame_comes_first_and_then_each_that_is_added(tmp_path: Path) -> None:
    with PffWriter(make_run(tmp_path), PH256, 1, START) as writer:
        for number in range(5):
            writer.write(make_pixels(PH256, number), make_header(PH256, number))
        writer.flush()
        follower = follow(tmp_path)
        first = follower.step()
        assert (list(numbers_of(first)), first[0].frame_number, first[0].file) == ([4], 4, writer.path.name)
        assert follower.step() == []
        for number in range(5, 8):
            writer.write(make_pixels(PH256, number), make_header(PH256, number))
        writer.flush()
        assert list(numbers_of(follower.step())) == [5, 6, 7]


@given(cuts=st.lists(st.integers(0, 8 * 2540), max_size=25))
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=40, deadline=None
)
def test_file_that_grows_by_any_pieces_gives_each_frame_once(
    cuts: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    data_dir = tmp_path_factory.mktemp("data")
    content = b"".join(encode_frame(make_pixels(IMG16, n), make_header(IMG16, n), IMG16) for n in range(8))
    path = make_run(data_dir) / "start_x.dp_img16.bpp_2.module_1.seqno_0.pff"
    path.touch()
    follower = follow(data_dir)
    seen = list(numbers_of(follower.step()))
    written = 0
    for cut in [*sorted(cuts), len(content)]:
        with path.open("ab") as file:
            file.write(content[written:cut])
        written = cut
        seen += numbers_of(follower.step())
        assert len(seen) == written // 2540
    assert seen == list(range(8))
    assert follower.counters.n_damaged == 0


def test_frames_go_on_in_the_next_file_with_numbers_from_zero(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    follower = follow(tmp_path)
    assert follower.step() == []
    write_pff(run, PH256, 25, max_file_bytes=636 * 2)  # 13 files: seqno_10 sorts behind seqno_9
    frames = follower.step()
    assert list(numbers_of(frames)) == list(range(25))
    assert [frame.frame_number for frame in frames] == [number % 2 for number in range(25)]


def test_last_frames_of_a_file_come_before_those_of_the_next(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    first, second = write_pff(run, PH256, 4, max_file_bytes=636 * 2)
    content, rest = first.read_bytes(), second.read_bytes()
    first.write_bytes(content[:700])
    second.write_bytes(b"")
    follower = follow(tmp_path)
    assert list(numbers_of(follower.step())) == [0]
    first.write_bytes(content)
    second.write_bytes(rest)
    assert list(numbers_of(follower.step())) == [1, 2, 3]


def test_empty_files_of_all_products_are_followed_from_their_first_frame(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    writers = [PffWriter(run, product, 1, START) for product in PRODUCTS.values()]
    follower = follow(tmp_path)
    assert follower.step() == []
    for writer, product in zip(writers, PRODUCTS.values(), strict=True):
        for number in range(2):
            writer.write(make_pixels(product, number), make_header(product, number))
        writer.close()
    frames = follower.step()
    assert {frame.product.name for frame in frames} == set(PRODUCTS)
    assert list(numbers_of(frames)) == [0, 1] * 4


def test_new_run_is_followed_from_its_first_frame(tmp_path: Path) -> None:
    write_pff(make_run(tmp_path), PH256, 3)
    follower = follow(tmp_path)
    assert list(numbers_of(follower.step())) == [2]
    write_pff(make_run(tmp_path, name="obs_Later.start_2025-01-02T05:00:00Z"), PH256, 2)
    assert list(numbers_of(follower.step())) == [0, 1]


def test_file_that_another_program_adds_to_the_old_run_changes_nothing(tmp_path: Path) -> None:
    old = make_run(tmp_path)
    write_pff(old, PH256, 3)
    follower = follow(tmp_path)
    follower.step()
    write_pff(make_run(tmp_path, name="obs_Later"), PH256, 2)
    assert list(numbers_of(follower.step())) == [0, 1]
    (old / "recording_ended").write_text("2025-01-02T06:00:00Z")
    assert follower.step() == []


def test_older_run_that_is_written_to_again_gives_only_its_new_frames(tmp_path: Path) -> None:
    old, new = make_run(tmp_path, name="obs_A"), make_run(tmp_path, name="obs_B")
    (path,) = write_pff(old, PH256, 3)
    write_pff(new, PH256, 2)
    os.utime(path, (1, 1))
    follower = follow(tmp_path)
    assert list(numbers_of(follower.step())) == [1]
    with path.open("ab") as file:
        file.write(encode_frame(make_pixels(PH256, 3), make_header(PH256, 3), PH256))
    os.utime(path, (2**32, 2**32))
    assert list(numbers_of(follower.step())) == [3]


def test_modules_that_appear_later_are_followed_and_unwanted_ones_not(tmp_path: Path) -> None:
    follower = follow(tmp_path / "data", 1, 7)
    assert follower.step() == []
    for module_id in (1, 3, 7):
        write_pff(make_run(tmp_path / "data", module_id), IMG16, 2, module_id=module_id)
    frames = follower.step()
    assert [frame.module_id for frame in frames] == [1, 1, 7, 7]
    assert list(numbers_of(frames[:2], 1)) == list(numbers_of(frames[2:], 7)) == [0, 1]


def test_of_many_frames_at_once_the_newest_come_and_the_others_are_counted(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    follower = follow(tmp_path)
    follower.step()
    n_frames = MAX_FRAMES_AT_ONCE + 30
    write_pff(run, PH256, n_frames)
    assert list(numbers_of(follower.step())) == list(range(30, n_frames))
    assert (follower.counters.n_left_out, follower.counters.n_frames) == (30, MAX_FRAMES_AT_ONCE)


@pytest.mark.parametrize("spoilt", [b"#", b"\xff", b"}"])
def test_damaged_frame_is_counted_and_the_others_come(spoilt: bytes, tmp_path: Path) -> None:
    run = make_run(tmp_path)
    follower = follow(tmp_path)
    follower.step()
    (path,) = write_pff(run, PH256, 4)
    content = path.read_bytes()
    path.write_bytes(content[: 636 + 30] + spoilt + content[636 + 31 :])
    assert list(numbers_of(follower.step())) == [0, 2, 3]
    assert follower.counters.n_damaged == 1


@pytest.mark.parametrize("product", [PH256, IMG16], ids=["ph256", "img16"])
@given(
    n_kept=st.lists(st.one_of(st.none(), st.integers(1, 5000)), min_size=1, max_size=12),
    n_between=st.lists(st.integers(1, 3000), max_size=12),
    every=st.integers(1, 4),
)
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_frames_behind_ones_that_are_cut_or_out_of_place_come_and_no_others(
    product: Product, n_kept: list[int | None], n_between: list[int], every: int, tmp_path: Path
) -> None:
    shutil.rmtree(tmp_path / "module_1", ignore_errors=True)
    run = make_run(tmp_path)
    follower = follow(tmp_path)
    follower.step()
    name = f"start_{START}.dp_{product.name}.bpp_{product.dtype.itemsize}.module_1.seqno_0.pff"
    expected, got, is_spoilt, is_cut = [0], [], False, False
    with (run / name).open("ab", buffering=0) as file:
        file.write(frame(product, 0))
        for number, kept in enumerate([*n_kept, None], 1):
            # Where a frame was cut, something else in the place of its end could not be told from its pixels.
            before = b"#" * n_between[number] if number < len(n_between) and not is_cut else b""
            whole = frame(product, number)
            is_cut = kept is not None and kept < len(whole)
            is_spoilt |= is_cut or bool(before)
            file.write(before + (whole[:kept] if is_cut else whole))
            if not is_cut:
                expected.append(number)
            if number % every == 0:
                got += numbers_of(follower.step())
    got += numbers_of(follower.step())
    assert got == expected
    assert bool(follower.counters.n_damaged) == bool(follower.counters.refused) == is_spoilt


def frame(product: Product, number: int) -> bytes:
    return encode_frame(make_pixels(product, number), make_header(product, number), product, HeaderForm.FILE)


def test_what_is_told_of_damaged_files_ends_with_their_run(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    (run / "start_x.dp_img8.bpp_1.module_1.seqno_0.pff").write_bytes(b"not a frame" * 1000)
    follower = follow(tmp_path)
    follower.step()
    assert len(follower.counters.refused) == 1
    shutil.rmtree(run)
    write_pff(make_run(tmp_path, name="obs_Next.start_2025-01-03T03:04:05Z"), PH256, 1)
    assert list(numbers_of(follower.step())) == [0]
    assert follower.counters.refused == {}


def test_file_that_is_no_pff_file_is_named_and_the_others_are_followed(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    (run / "start_x.dp_img8.bpp_1.module_1.seqno_0.pff").write_bytes(b"not a frame" * 1000)
    (run / "hk.pff").write_bytes(b"housekeeping")
    write_pff(run, PH256, 2)
    follower = follow(tmp_path)
    assert list(numbers_of(follower.step())) == [1]
    ((path, why),) = follower.counters.refused.items()
    assert path.endswith("dp_img8.bpp_1.module_1.seqno_0.pff")
    assert why == "a frame begins with '{', not with b'n'"


def test_deleted_run_is_forgotten_and_a_new_one_of_its_name_followed(tmp_path: Path) -> None:
    write_pff(make_run(tmp_path), PH256, 3)
    follower = follow(tmp_path)
    assert list(numbers_of(follower.step())) == [2]
    shutil.rmtree(tmp_path / "module_1")
    assert follower.step() == []
    write_pff(make_run(tmp_path), PH256, 3)
    assert list(numbers_of(follower.step())) == [0, 1, 2]


def test_files_that_go_and_come_between_two_looks_for_runs_are_read_anew(tmp_path: Path) -> None:
    now_s = 0.0
    run = make_run(tmp_path)
    write_pff(run, PH256, 1)
    follower = RunFollower(tmp_path, clock=lambda: now_s)
    assert list(numbers_of(follower.step())) == [0]
    shutil.rmtree(run)
    assert follower.step() == []
    run.mkdir()
    write_pff(run, PH256, 1)
    assert list(numbers_of(follower.step())) == [0]


def test_file_made_anew_is_read_from_its_start(tmp_path: Path) -> None:
    (path,) = write_pff(make_run(tmp_path), PH256, 5)
    follower = follow(tmp_path)
    follower.step()
    path.write_bytes(path.read_bytes()[: 2 * 636])
    assert list(numbers_of([*follower.step(), *follower.step()])) == [0, 1]
