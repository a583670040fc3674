"""The comparison's driver with a peer that is not there: what counts, who takes turns, what the tables say."""

import asyncio
import math
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.peers import bench, load, ours, report
from benchmarks.peers.__main__ import cpu_milliseconds, packed, parse
from benchmarks.peers.bare import Bare
from benchmarks.peers.bench import SATURATED, Running, System, figures
from benchmarks.peers.environment import NotInstalled, interpreter
from benchmarks.peers.load import Answers
from benchmarks.peers.process import DidNotStart, _marked, serving
from benchmarks.peers.roster import PEERS, Peer, Setting
from benchmarks.peers.servers.options import Options
from benchmarks.peers.work import ANSWER_BYTES, REQUEST_BYTES, PairDecoder
from deploy.bench.load.frames import PreparedFrames
from deploy.bench.offline import OfflineCodec
from wire.contract.arrays import unpack_complex
from wire.v1 import pair_service_pb2 as pairs_pb2
from wire.v1 import types_pb2
from wire.views import View


class FakePeer:
    """Takes one pair at a time, so many seconds each; may fail every nth."""

    def __init__(self, seconds: float, fails_every: int = 0) -> None:
        self._seconds, self._fails_every, self.calls = seconds, fails_every, 0
        self.slower = 0.0
        self._one = asyncio.Lock()
        self.most = self.now = 0

    async def __call__(self, request: bytes) -> bytes:
        self.calls += 1
        number = self.calls
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            async with self._one:
                await asyncio.sleep(self._seconds + self.slower)
        finally:
            self.now -= 1
        if self._fails_every and number % self._fails_every == 0:
            raise RuntimeError("HTTP 500: on purpose")
        return request


def system(name: str, peer: FakePeer, started: list[str]) -> System:
    @asynccontextmanager
    async def start() -> AsyncIterator[Running]:
        started.append(name)
        yield Running(peer, lambda: float(peer.calls))

    return System(name, name.upper(), start)


async def test_a_beat_is_kept_whatever_the_server_does() -> None:
    slow = FakePeer(0.05)
    answers = await load.at_beat(slow, [b"a", b"b"], rate=100.0, seconds=0.3)
    assert len(answers.arrivals) == 30
    assert slow.most > 10  # 20 a second leave, 100 come
    assert answers.ages[-1] > answers.ages[0] + 0.5  # each waits for all before it: no omission


async def test_a_driver_that_is_late_hides_no_wait() -> None:
    """Its own loop stands still while it sends: ages count from when a pair was due."""

    async def busy(request: bytes) -> bytes:
        time.sleep(0.02)  # noqa: ASYNC251 on purpose
        return request

    answers = await load.at_beat(busy, [b"a"], rate=100.0, seconds=0.3)
    assert max(answers.ages) > 0.2


async def test_a_saturated_peer_has_so_many_pairs_and_no_more() -> None:
    peer = FakePeer(0.002)
    answers = await load.saturated(peer, [b"a"], in_flight=8, seconds=0.3)
    assert peer.most == 8
    assert len(answers.arrivals) >= 16


async def test_pairs_that_bring_no_pictures_are_counted_and_explained() -> None:
    answers = await load.at_beat(FakePeer(0.0, fails_every=3), [b"a"], rate=200.0, seconds=0.15)
    assert (len(answers.arrivals), answers.failed) == (20, 10)
    assert answers.problem == "RuntimeError: HTTP 500: on purpose"
    kept = figures(answers, 0.04)
    assert (kept["failed"], kept["problem"]) == (10, answers.problem)
    assert kept["cpu_ms_a_pair"] == pytest.approx(2.0)


def test_what_settles_does_not_count() -> None:
    """Ten pairs a second for three seconds; in the first one each takes a second longer."""
    due = [number / 10 for number in range(30)]
    ages = [1.2 if at < load.SETTLE_SECONDS else 0.2 for at in due]
    answers = Answers(0.0, [at + age for at, age in zip(due, ages, strict=True)], ages)
    assert answers.age_ms(1.0) == pytest.approx(200.0)
    assert math.isnan(Answers(0.0).age_ms(0.5))


async def test_in_turns_the_same_moment_slows_both() -> None:
    """The machine is slow half of the time: single times are far apart, differences are not."""
    server, decoder = FakePeer(0.03), FakePeer(0.01)

    async def slowed(peer: FakePeer, request: bytes) -> bytes:
        peer.slower = 0.1 if decoder.calls // 4 % 2 else 0.0
        return await peer(request)

    ages, own = await load.in_turns(lambda r: slowed(server, r), lambda r: slowed(decoder, r), [b"a"], 16)
    assert len(ages) == len(own) == 16
    assert max(own) > 5 * min(own)
    over = sorted(a - b for a, b in zip(ages, own, strict=True))
    assert over[8] == pytest.approx(0.02, abs=0.01)


async def test_a_pair_that_fails_on_one_side_counts_on_neither() -> None:
    ages, own = await load.in_turns(FakePeer(0.0, fails_every=4), FakePeer(0.0), [b"a"], 8)
    assert len(ages) == len(own) == 6


async def test_saturation_comes_in_blocks() -> None:
    server, decoder = FakePeer(0.004), FakePeer(0.002)
    answers, spent, alone, bare_spent = await load.blocks(server, decoder, [b"a"], 8, 0.1, 2)
    assert (server.most, decoder.most) == (8, 1)
    assert 0.2 <= spent < 2.0
    assert bare_spent >= 0.2
    assert len(alone.arrivals) / bare_spent > len(answers.arrivals) / spent > 20


async def test_systems_take_turns_and_one_that_does_not_start_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "SETTLE_SECONDS", 0.05)
    started: list[str] = []
    said: list[str] = []

    @asynccontextmanager
    async def broken() -> AsyncIterator[Running]:
        started.append("broken")
        raise DidNotStart("port 1 is taken")
        yield

    decoder = FakePeer(0.002)
    systems = [
        system("fast", FakePeer(0.001), started),
        system("slow", FakePeer(0.02), started),
        System("broken", "BROKEN", broken),
    ]
    results, left_out = await bench.take_turns(systems, decoder, [b"pair"], 2, 0.3, said.append)
    assert started == ["fast", "slow", "broken", "slow", "fast"]
    assert left_out == {"broken": "port 1 is taken"}
    assert [len(rounds) for rounds in results.values()] == [2, 2, 0]
    assert report.of_bare_rate(results["fast"]) > report.of_bare_rate(results["slow"])
    assert all(each["50 %"]["bare_ms"] >= 2.0 for each in results["fast"]), "alone, at the same beat"
    assert report.cpu_beyond(results["fast"], 400.0) == pytest.approx(600.0), "a second a call, as told"
    assert any("BROKEN: left out: port 1 is taken" in line for line in said)


def result(ms: float, rate: float, bare_ms: float = 50.0, bare_rate: float = 20.0) -> dict[str, Any]:
    """Of one turn. ms: of a pair in turns, and at every beat; its p99 is twice that"""
    beat = {"p50_ms": ms, "p99_ms": 2 * ms, "bare_ms": bare_ms, "failed": 0, "cpu_ms_a_pair": 90 + ms}
    full = {"pairs_per_second": rate, "bare_rate": bare_rate, "failed": 1}
    turns = {"ms": [ms] * 3, "bare_ms": [bare_ms] * 3}
    return {bench.IN_TURNS: turns, "25 %": beat, "50 %": beat, SATURATED: full, "alone": 1, "rest_cores": 0.25}


def test_the_table_tells_medians_of_what_was_compared_at_once() -> None:
    """In the second round the machine was half as fast for both: the ratios stay."""
    rounds = [result(60.0, 19.0), result(110.0, 9.5, 100.0, 10.0), result(58.0, 18.0)]
    assert report.beyond(rounds) == pytest.approx(10.0)
    assert report.ratio(rounds, "50 %", "p50_ms") == pytest.approx(1.16)
    assert report.of_bare_rate(rounds) == pytest.approx(0.95)
    told = report.table(
        {"other": [result(70.0, 20.0)], "ours": rounds},
        {"ours": "**ours**", "other": "Other", "x": "X"},
        {"x": "no"},
        100.0,
    ).splitlines()
    assert told[2].startswith("| decoder alone: 50 ms, 100 ms of CPU | 0 |")
    assert told[3] == "| **ours** | 10.0 | 1.16 · 2.32 | 1.16 · 2.32 | 50.0 | 0.25 | 0.95 | 6 |"
    assert told[4].startswith("| Other | 20.0 | 1.40 · 2.80 |")
    assert told[5].startswith("| X | left out: no |")
    assert len({line.count("|") for line in told}) == 1


def test_a_busy_machine_is_told() -> None:
    """The decoder alone: 50 ms on the clock."""
    assert report.too_busy({"a": [result(60.0, 19.0)]}, 90.0, 2) == ""
    assert report.too_busy({"a": [result(60.0, 19.0)]}, 20.0, 2).startswith(
        "the decoder alone took 50 ms for 20 ms of CPU"
    )


def test_a_setting_is_chosen_for_its_latency_among_those_that_keep_the_rate() -> None:
    tried = {"quick": [result(60, 10.0)], "full": [result(80, 19.0)], "both": [result(70, 18.9)], "none": []}
    assert report.best_setting(tried) == "both"


def test_the_chart_is_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    report.draw({"ours": [result(60, 19.0)], "none": []}, {"ours": "**ours**"}, 50.0, tmp_path / "chart.svg")
    assert "decoder" in (tmp_path / "chart.svg").read_text()


@pytest.fixture(scope="module")
def prepared() -> PreparedFrames:
    return PreparedFrames.make("small-joint", 10.0, "f16")


def test_a_peer_paints_the_pictures_that_the_codec_paints(prepared: PreparedFrames) -> None:
    request = packed(prepared)[3]
    assert len(request) == REQUEST_BYTES
    received = np.stack([unpack_complex(prepared.arrays[view][3]) for view in View])[None]
    exact = OfflineCodec.load().decode(received, (10.0, 10.0))[0]
    pictures = PairDecoder(threads=2).decode([request, packed(prepared)[4]])
    assert np.array_equal(pictures[0], PairDecoder(threads=1).decode([request])[0])
    assert pictures.nbytes == 2 * ANSWER_BYTES
    expected = np.clip(exact, 0, 1).transpose(0, 2, 3, 1) * 255
    assert np.abs(pictures[0] - expected).max() <= 0.51  # rounded to whole numbers


def test_a_server_reads_the_command_line_that_it_is_given() -> None:
    options = Options(47_000, "small-joint", 3, 4, 1.5, "zmq")
    assert Options.parse(options.words()) == options
    assert Options.parse(Options(1).words()) == Options(1)


def test_the_roster_is_whole() -> None:
    servers = Path(bench.__file__).parent / "servers"
    modules = {path.stem for path in servers.glob("*.py")} - {"__init__", "options"}
    assert {peer.module for peer in PEERS} == modules
    assert all(peer.settings and peer.requirements for peer in PEERS)
    assert parse(["--peers", "ray"]).peers == ["ray"]


def fake(requirements: tuple[str, ...], python: str, module: str = "plain_grpc") -> Peer:
    peer = PEERS[0]
    return Peer("fake", "Fake", module, requirements, peer.connect, (Setting(),), python)


def test_a_peer_that_cannot_be_installed_is_skipped_with_a_line(tmp_path: Path) -> None:
    with pytest.raises(NotInstalled, match=r"^it needs /usr/bin/python2\.0, which this machine has not$"):
        interpreter(fake((), "/usr/bin/python2.0"), tmp_path)
    with pytest.raises(NotInstalled, match=r"^/bin/ls does not start|`-m venv .*` failed: "):
        interpreter(fake((), "/bin/ls"), tmp_path)


def test_an_environment_that_is_ready_is_taken_as_it_is(tmp_path: Path) -> None:
    python = tmp_path / "peers-fake" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch()
    (tmp_path / "peers-fake" / ".ready").write_text("one\ntwo")
    assert interpreter(fake(("one", "two"), "/nowhere"), tmp_path) == python
    with pytest.raises(NotInstalled):
        interpreter(fake(("one", "three"), "/nowhere"), tmp_path)


async def test_a_server_is_started_called_and_gone(prepared: PreparedFrames, tmp_path: Path) -> None:
    """The plain gRPC server needs nothing that the tests do not have; its process stands for all."""

    requests, log = packed(prepared)[:2], tmp_path / "log"
    async with serving(PEERS[0], Path(sys.executable), Setting(), 2, requests, log) as (call, used):
        before = used()
        pictures = await call(requests[1])
        assert len(pictures) == ANSWER_BYTES
        for _ in range(4):
            await call(requests[0])
        assert used() > before >= 0.0
    with pytest.raises(DidNotStart, match=r"No module named .*nobody"):
        async with serving(fake((), "", "nobody"), Path(sys.executable), Setting(), 2, requests, log):
            pass
    assert _marked("no such mark") == []


async def test_the_bare_decoder_is_called_as_a_peer_is(prepared: PreparedFrames) -> None:
    requests = packed(prepared)[:2]
    with Bare("small-joint", 2) as bare:
        pictures = await bare(requests[1])
        assert await cpu_milliseconds(bare, requests, calls=2) > 1.0
    assert pictures == PairDecoder(threads=2).decode(requests[1:])[0].tobytes()


async def test_the_center_is_called_as_a_peer_is(prepared: PreparedFrames, tmp_path: Path) -> None:
    """Two views over two streams, pictures at a watcher: one call."""
    async with ours.serving(prepared, "small-joint", 2, 2, tmp_path) as (call, used):
        before = used()
        await asyncio.wait_for(asyncio.gather(*(call(b"") for _ in range(5))), 60)
        assert used() > before


async def test_a_call_of_ours_ends_with_its_own_pair() -> None:
    """Not with one that was given up, nor with the other half of one that came alone: that would favour ours."""
    caller = ours.OurCaller("nowhere:1", PreparedFrames({}, types_pb2.ChannelState(), 0.0, ""), 1)

    def came(sequence: int, pairing: Any) -> None:
        view = pairs_pb2.Reconstruction(sequence=sequence)
        caller.note(pairs_pb2.WatchPairsResponse(rig="load-0", pairing=pairing, views=[view]))

    came(6, pairs_pb2.PAIRING_PAIRED)  # nobody waits
    shown = caller.expect("load-0", 8)
    came(7, pairs_pb2.PAIRING_PAIRED)
    came(7, pairs_pb2.PAIRING_SINGLE)
    assert not shown.done()
    came(8, pairs_pb2.PAIRING_SINGLE)
    assert shown.done()
    came(8, pairs_pb2.PAIRING_SINGLE)
    assert caller.alone == 3


async def test_a_peer_decodes_the_codec_that_is_asked_for(tmp_path: Path) -> None:
    """It used to decode the default one, whatever codec the others had."""
    said = tmp_path / "log"
    with pytest.raises(DidNotStart, match=r"codec '/nowhere' is neither a folder nor shipped"):
        async with serving(PEERS[0], Path(sys.executable), Setting(), 2, [b"pair"], said, "/nowhere"):
            pass
