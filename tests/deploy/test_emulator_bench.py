"""The benchmark of the emulator: what is timed, for each of its links."""

import pytest

from deploy.bench.emulator import LINKS, TURN, measure


@pytest.mark.timeout(180)
def test_every_link_is_timed_alone_and_in_the_whole_way() -> None:
    found = measure(TURN)
    assert set(found["links"]) == {link.rig for link in LINKS}
    assert found["direct"]["p50_ms"] > 0.0
    for name, link in found["links"].items():
        assert 0.0 < link["own"]["p50_ms"] <= link["own"]["p99_ms"], name
        assert link["round_trip"]["p50_ms"] > 0.0, name
        assert link["cpu_ms"] >= 0.0, name
    own = {name: link["own"]["p50_ms"] for name, link in found["links"].items()}
    assert own["clean"] == min(own.values()), "a clean link adds no noise and packs nothing anew"
