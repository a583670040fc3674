"""Batches without pictures: what is told, and when nothing more is hoped for."""

import pytest

from center.decode.engines import BatchLost
from center.decode.failures import IN_A_ROW, LONG_ENOUGH, Failures


def test_a_decoder_that_fails_on_everything_for_long_is_broken() -> None:
    failures = Failures()
    for number in range(IN_A_ROW):
        assert not failures.are_for_good(LONG_ENOUGH + number)
        failures.add(RuntimeError("illegal address"), 1, now=float(number))
    assert not failures.are_for_good(LONG_ENOUGH - 0.1), "a GPU may be short of memory for a moment"
    assert failures.are_for_good(LONG_ENOUGH)


def test_a_batch_in_between_begins_the_row_anew() -> None:
    failures = Failures()
    for number in range(10 * IN_A_ROW):
        failures.add(RuntimeError("bad pictures of one rig"), 1, now=float(number))
        if number % (IN_A_ROW - 1) == 0:
            failures.end_row()
        assert not failures.are_for_good(1e6)


def test_replicas_that_are_lost_are_replaced_elsewhere() -> None:
    failures = Failures()
    for number in range(10 * IN_A_ROW):
        failures.add(BatchLost("the replica died"), 4, now=float(number))
    assert not failures.are_for_good(1e6)


def test_the_first_failure_is_told_in_full_and_the_log_is_not_filled(caplog: pytest.LogCaptureFixture) -> None:
    failures = Failures()
    for number in range(100):
        failures.add(RuntimeError("illegal address\nmore"), 3, now=number / 20)
        failures.add(BatchLost(""), 2, now=number / 20)
    lines = [record.getMessage() for record in caplog.records]
    assert lines == [
        "the decoder failed on a batch of 3",
        "a batch of 2 is lost: BatchLost",
        "the decoder fails on every batch: illegal address\\nmore",
    ]
    assert caplog.records[0].exc_info
    failures.end_row()
    failures.add(RuntimeError("again"), 1, now=9.0)
    assert caplog.records[-1].getMessage() == "the decoder failed on a batch of 1"
