"""The faults of images in words, and their counts."""

import pytest

from std_daq.imaging.image_faults import (
    FAULT_WORDS,
    FaultCounter,
    describe_faults,
    describe_status,
    fault_name,
)
from std_daq.imaging.protocols.image_metadata import ImageStatus
from std_daq.recording.fault_words import sum_of_faults
from std_daq.recording.requests import FaultCount


def test_every_fault_has_words_of_its_own():
    assert set(FAULT_WORDS) == set(ImageStatus) - {ImageStatus.GOOD}
    assert len(set(FAULT_WORDS.values())) == len(FAULT_WORDS)


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (0, "good"),
        (1, "missing packets"),
        (5, "missing modules"),
        (34, "modules out of step"),
        (17, "missing packets, refused packets"),
    ],
)
def test_status_is_told_in_words_without_what_another_fault_implies(status, words):
    assert describe_status(status) == words


def test_faults_of_a_run_are_counted_with_their_modules():
    counter = FaultCounter()
    counter.add(ImageStatus.GOOD, {})
    for _ in range(12):
        counter.add(ImageStatus.OUT_OF_STEP, {ImageStatus.OUT_OF_STEP: [1], ImageStatus.MISSING_PACKETS: [0]})
    counter.add(ImageStatus.REFUSED_PACKETS, {})
    words = "1 image with refused packets, 12 images with modules out of step (module 1)"
    assert describe_faults(counter.faults) == words
    assert counter.n_images == 13


def test_image_that_is_taken_back_is_not_counted():
    counter = FaultCounter()
    for n in (1, 1, -1):
        counter.add(ImageStatus.MISSING_PACKETS, {ImageStatus.MISSING_PACKETS: [n + 3]}, n)
    counter.add(ImageStatus.MISSING_PACKETS, {ImageStatus.MISSING_PACKETS: [4]}, -1)
    assert (counter.n_images, counter.faults) == (0, {})


def test_faults_of_the_parts_of_a_run_are_added_up():
    parts = [
        {"out_of_step": FaultCount(n_images=2, modules=(3,))},
        {"out_of_step": FaultCount(n_images=1, modules=(0, 3)), "overwritten": FaultCount(n_images=1)},
    ]
    assert describe_faults(sum_of_faults(parts)) == (
        "3 images with modules out of step (modules 0, 3), 1 image with modules overwritten before they were used"
    )


def test_many_modules_are_not_all_named():
    faults = {fault_name(ImageStatus.MISSING_PACKETS): FaultCount(n_images=1, modules=tuple(range(40)))}
    assert describe_faults(faults).endswith("13, 14, 15 and 24 more)")


@pytest.mark.parametrize(
    ("modules", "cells", "words"),
    [
        ((1,), (3,), "(module 1; storage cell 3)"),
        ((0, 1), (0, 15), "(modules 0, 1; storage cells 0, 15)"),
        ((1,), (0,), "(module 1)"),
        ((), (2,), "(storage cell 2)"),
    ],
)
def test_storage_cells_without_calibration_are_named_where_the_detector_uses_several(modules, cells, words):
    counter = FaultCounter()
    counter.add(ImageStatus.NOT_CALIBRATED, {ImageStatus.NOT_CALIBRATED: modules}, cells=cells)
    counter.add(ImageStatus.MISSING_PACKETS, {ImageStatus.MISSING_PACKETS: [0]})
    text = f"1 image with missing packets (module 0), 1 image with frames without calibration {words}"
    assert describe_faults(sum_of_faults([counter.faults, {}])) == text


def test_storage_cell_of_an_image_that_is_taken_back_is_not_named():
    counter = FaultCounter()
    for cell, n in ((2, 1), (5, 1), (5, -1)):
        counter.add(ImageStatus.NOT_CALIBRATED, {}, n, cells=[cell])
    assert counter.faults == {"not_calibrated": FaultCount(n_images=1, storage_cells=(2,))}
