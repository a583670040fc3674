"""Bad networks between real services: what is shown, what the metrics say, and that all is well again."""

import time

import pytest

from deploy.bench.faults.proxy import Weather
from tests.faults.conftest import System, until

HOPS = ["near", "far"]


@pytest.mark.parametrize("hop", HOPS)
def test_a_broken_connection_comes_back_and_is_counted(system: System, hop: str) -> None:
    before, began = system.metric("edge", "reconnects_total"), time.monotonic()
    assert getattr(system, hop).cut() > 0
    until(lambda: system.metric("edge", "reconnects_total") > before)
    system.wait_for_a_pair()
    system.check(began)


def test_a_slow_network_shows_older_pictures_and_all_of_them_whole(system: System) -> None:
    """Not much slower: docs/reliability.md says from which delay on the default age budget lets nothing through."""
    system.far.weather = Weather(delay=0.06)
    time.sleep(1.0)
    began = time.monotonic()
    system.wait_for_a_pair()
    assert min(each.age for each in system.new(began)) > 0.06
    system.check(began)


def test_a_narrow_network_shows_fewer_pictures_and_none_that_is_old(system: System) -> None:
    held_back = system.metric("edge", "drops_total") + system.metric("center", "drops_total")
    system.near.weather = Weather(rate=60_000)  # three frames of 41 kB in two seconds, where there are sixteen
    began = time.monotonic()
    until(lambda: system.metric("edge", "drops_total") + system.metric("center", "drops_total") > held_back + 3)
    system.near.weather = Weather()
    system.wait_for_a_pair()
    system.check(began)


@pytest.mark.parametrize("hop", HOPS)
def test_bits_that_turn_over_show_no_picture_as_another(system: System, hop: str) -> None:
    proxy, began = getattr(system, hop), time.monotonic()
    before = proxy.corrupted
    proxy.weather = Weather(corrupt=0.1)
    until(lambda: proxy.corrupted >= before + 8)
    proxy.weather = Weather()
    proxy.cut()  # a length that is wrong makes HTTP/2 wait for bytes that never come
    system.wait_for_a_pair()
    system.check(began)


def test_a_network_that_stands_still_is_noticed_and_nothing_old_is_shown(system: System) -> None:
    before, began = system.metric("edge", "link_ends_total", 'reason="silent"'), time.monotonic()
    system.near.weather = Weather(held=True)
    until(lambda: system.metric("edge", "link_ends_total", 'reason="silent"') > before)
    system.near.weather = Weather()
    system.wait_for_a_pair()
    system.check(began)


def test_a_half_open_connection_is_given_up_for_a_new_one(system: System) -> None:
    before, began = system.near.connections, time.monotonic()
    system.near.abandon()
    until(lambda: system.near.connections >= before + 2)
    system.wait_for_a_pair()
    system.check(began)
