"""The comparison's driver with a peer that is not there: what counts, who takes turns, what the tables say."""

import asyncio
import math
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.peers import bench, load, report
from benchmarks.peers.__main__ import packed, parse
from benchmarks.peers.bench import SATURATED, Running, System, figures
from benchmarks.peers.environment import NotInstalled, interpreter
from benchmarks.peers.load import Answers
from benchmarks.peers.process import DidNotStart, _marked, serving
from benchmarks.peers.roster import PEERS, Peer, Setting
from benchmarks.peers.servers.options import Options
from benchmarks.peers.work import ANSWER_BYTES, REQUEST_BYTES, PairDecoder
from center.decode.engines import OnnxEngine
from deploy.bench.load.bare import BareEngine
from deploy.bench.load.frames import PreparedFrames
from deploy.bench.offline import OfflineCodec
from wire.contract.arrays import unpack_complex
from wire.views import View

BARE = BareEngine("fake", {1: 0.01, 4: 0.05})


class FakePeer:
    """Takes one pair at a time, so many seconds each; may fail every nth."""

    def __init__(self, seconds: float, fails_every: int = 0) -> None:
        self._seconds, self._fails_every, self._calls = seconds, fails_every, 0
        self._one = asyncio.Lock()
        self.most = self.now = 0

    async def __call__(self, request: bytes) -> bytes:
        self._calls += 1
        number = self._calls
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            async with self._one:
                await asyncio.sleep(self._seconds)
        finally:
            self.now -= 1
        if self._fails_every and number % self._fails_every == 0:
            raise RuntimeError("HTTP 500: on purpose")
        return request


def system(name: str, peer: FakePeer, started: list[str]) -> System:
    @asynccontextmanager
    async def start() -> AsyncIterator[Running]:
        started.append(name)
        yield bench._RunningPeer(peer, [b"pair"])

    return System(name, name.upper(), "as it is", start)


async def test_a_beat_is_kept_whatever_the_server_does() -> None:
    slow = FakePeer(0.05)
    answers = await load.at_beat(slow, [b"a", b"b"], rate=100.0, seconds=0.3)
    assert len(answers.arrivals) == 30
    assert slow.most > 10  # 20 a second leave, 100 come
    assert answers.ages[-1] > answers.ages[0] + 0.5  # each waits for all before it: no omission


async def test_a_saturated_peer_has_so_many_pairs_and_no_more() -> None:
    peer = FakePeer(0.002)
    answers = await load.saturated(peer, [b"a"], in_flight=8, seconds=0.3)
    assert peer.most == 8
    assert len(answers.arrivals) >= 16


async def test_pairs_that_bring_no_pictures_are_counted_and_explained() -> None:
    answers = await load.at_beat(FakePeer(0.0, fails_every=3), [b"a"], rate=200.0, seconds=0.15)
    assert (len(answers.arrivals), answers.failed) == (20, 10)
    assert answers.problem == "RuntimeError: HTTP 500: on purpose"
    kept = figures(answers, 0, 0.15)
    assert (kept["failed"], kept["problem"]) == (10, answers.problem)


def test_what_settles_does_not_count() -> None:
    """Ten pairs a second for three seconds; in the first one each takes a second longer."""
    due = [number / 10 for number in range(30)]
    ages = [1.2 if at < load.SETTLE_SECONDS else 0.2 for at in due]
    answers = Answers(0.0, [at + age for at, age in zip(due, ages, strict=True)], ages)
    assert answers.age_ms(1.0) == pytest.approx(200.0)
    # The slow ten arrive in the two seconds that count too, and the last two pairs after them.
    assert answers.rate(3.0) == pytest.approx((10 + 18) / 2)
    assert math.isnan(Answers(0.0).age_ms(0.5))


def test_an_instant_that_was_decoded_alone_is_no_pair() -> None:
    answers = Answers(0.0, [1.0 + number / 10 for number in range(10)], [0.1] * 10)
    assert figures(answers, 5, 2.0)["pairs_per_second"] == pytest.approx(
        figures(answers, 0, 2.0)["pairs_per_second"] / 2
    )


async def test_systems_take_turns_and_one_that_does_not_start_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "SETTLE_SECONDS", 0.05)
    started: list[str] = []
    said: list[str] = []

    @asynccontextmanager
    async def broken() -> AsyncIterator[Running]:
        started.append("broken")
        raise DidNotStart("port 1 is taken")
        yield

    async def bare() -> BareEngine:
        started.append("bare")
        return BARE

    systems = [
        system("fast", FakePeer(0.001), started),
        system("slow", FakePeer(0.02), started),
        System("broken", "BROKEN", "", broken),
    ]
    results, left_out = await bench.take_turns(systems, bare, 2, 0.3, said.append)
    assert started == ["bare", "fast", "bare", "slow", "bare", "broken", "bare", "slow", "bare", "fast"]
    assert left_out == {"broken": "port 1 is taken"}
    assert [len(rounds) for rounds in results.values()] == [2, 2, 0]
    assert report.of_bare_rate(results["fast"]) > report.of_bare_rate(results["slow"])
    assert any("BROKEN: left out: port 1 is taken" in line for line in said)


def result(p50: float, p99: float, rate: float, bare_ms: float = 50.0, bare_rate: float = 20.0) -> dict[str, Any]:
    one = {"p50_ms": p50, "p99_ms": p99, "pairs_per_second": rate, "failed": 0, "alone": 1, "pairs": 1, "problem": ""}
    return {"bare_ms": bare_ms, "bare_rate": bare_rate, "loads": dict.fromkeys((*bench.SHARES, SATURATED), one)}


def test_the_table_tells_medians_of_ratios_within_a_turn() -> None:
    """In the second round the machine was half as fast for both: the ratios stay."""
    rounds = [result(60.0, 70.0, 19.0), result(110.0, 140.0, 9.5, 100.0, 10.0), result(58.0, 90.0, 18.0)]
    assert report.beyond(rounds, "50 %", "p50_ms") == pytest.approx(10.0)
    assert report.of_bare_rate(rounds) == pytest.approx(0.95)
    told = report.table(
        {"ours": rounds, "other": [result(70.0, 80.0, 20.0)]},
        {"ours": "**ours**", "other": "Other", "x": "X"},
        {"x": "no"},
    ).splitlines()
    assert told[3].startswith("| Other | 20.0 / 30.0 | 20.0 / 30.0 | 1.00 |")
    assert told[4] == "| **ours** | 10.0 / 40.0 | 10.0 / 40.0 | 0.95 | 6 |"
    assert told[5].startswith("| X | left out: no |")
    assert len({line.count("|") for line in told}) == 1


def test_a_setting_is_chosen_for_its_latency_among_those_that_keep_the_rate() -> None:
    tried = {
        "quick": [result(60, 70, 10.0)],
        "full": [result(80, 90, 19.0)],
        "both": [result(70, 80, 18.9)],
        "none": [],
    }
    assert report.best_setting(tried) == "both"


def test_the_chart_is_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    report.draw({"ours": [result(60, 70, 19.0)], "none": []}, {"ours": "**ours**"}, tmp_path / "chart.svg")
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
    assert pictures.nbytes == 2 * ANSWER_BYTES
    expected = np.clip(exact, 0, 1).transpose(0, 2, 3, 1) * 255
    assert np.abs(pictures[0] - expected).max() <= 0.51  # rounded to whole numbers


def test_the_decoder_of_peers_is_loaded_as_the_center_s() -> None:
    ours, theirs = OnnxEngine("small-joint", 2)._session, PairDecoder(threads=2)._session
    assert ours.get_session_options().intra_op_num_threads == theirs.get_session_options().intra_op_num_threads == 2


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
    async with serving(PEERS[0], Path(sys.executable), Setting(), 2, requests, log) as call:
        pictures = await call(requests[1])
        assert len(pictures) == ANSWER_BYTES
    with pytest.raises(DidNotStart, match=r"No module named .*nobody"):
        async with serving(fake((), "", "nobody"), Path(sys.executable), Setting(), 2, requests, log):
            pass
    assert _marked("no such mark") == []
