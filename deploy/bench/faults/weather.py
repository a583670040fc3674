"""Bad networks, one after the other, on each of the two hops: what is shown meanwhile, and when all is well again."""

import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, Final

from deploy.bench.faults.marked import Witness, environment
from deploy.bench.faults.proxy import Proxy, Weather
from deploy.bench.faults.strike import OLD_SECONDS
from deploy.bench.watch import PairWatcher, Sighting
from deploy.local.stack import Ports, running

FPS: Final = 4.0
SETTLE_SECONDS: Final = 2.0
STANDSTILL: Final = 4.0
LIMIT_SECONDS: Final = 60.0

STATES: Final = {
    "fine": ("near", Weather()),
    "50 ms of delay each way": ("far", Weather(delay=0.05)),
    "100 ms": ("far", Weather(delay=0.1)),
    "200 ms": ("far", Weather(delay=0.2)),
    "400 kB/s a connection": ("near", Weather(rate=400_000)),
    "200 kB/s": ("near", Weather(rate=200_000)),
    "100 kB/s": ("near", Weather(rate=100_000)),
    "60 kB/s": ("near", Weather(rate=60_000)),
    "a bit turned over in 5 % of the chunks": ("near", Weather(corrupt=0.05)),
}
EVENTS: Final = ("reset", "half-open", "stands still for 4 s")


def drill(seconds: float, say: Callable[[str], None]) -> dict[str, Any]:
    """One rig at 4 pairs/s; each state for `seconds`, then each event once on each hop."""
    witness, ports = Witness(FPS), Ports.free()
    states, events = {}, {}
    with ExitStack() as held:
        hops = {"near": held.enter_context(Proxy(ports.emulator)), "far": held.enter_context(Proxy(ports.center))}
        addresses = {
            "VERGENCE_EDGE__LINK__ADDRESS": hops["near"].address,
            "VERGENCE_EMULATOR__UPSTREAM": hops["far"].address,
        }
        held.enter_context(running(ports, say, {**environment(FPS), **addresses}))
        watcher = PairWatcher(f"{ports.host}:{ports.center}", witness.look)
        held.callback(watcher.close)
        for name, (hop, weather) in STATES.items():
            hops[hop].weather = weather
            time.sleep(SETTLE_SECONDS)
            began = time.monotonic()
            time.sleep(seconds)
            states[f"{hop}: {name}"] = _summary(watcher.since(began), seconds)
            hops[hop].weather = Weather()
            say(f"{hop}: {name}")
        for name in EVENTS:
            for hop, proxy in hops.items():
                watcher.wait_for_pair(time.time_ns(), LIMIT_SECONDS)
                time.sleep(SETTLE_SECONDS)
                events[f"{hop}: {name}"] = _event(proxy, name, watcher)
                say(f"{hop}: {name}: {events[f'{hop}: {name}']} s")
        old = sum(each.age > OLD_SECONDS + STANDSTILL and not each.psnr_db for each in watcher.since(0.0))
    lost_for_good = sum(back is None for back in events.values())
    return {
        "fps": FPS,
        "seconds": seconds,
        "states": states,
        "events": events,
        "pictures": witness.shown,
        "wrong": witness.wrong,
        "old": old,
        "failed": lost_for_good + old,
    }


def _event(proxy: Proxy, name: str, watcher: PairWatcher) -> float | None:
    """Seconds until a new pair is shown after it; None if none is."""
    if name == "reset":
        proxy.cut()
    elif name == "half-open":
        proxy.abandon()
    else:
        proxy.weather = Weather(held=True)
        time.sleep(STANDSTILL)
        proxy.weather = Weather()
    return watcher.wait_for_pair(time.time_ns(), LIMIT_SECONDS)


def _summary(seen: list[Sighting], seconds: float) -> dict[str, float | None]:
    new = [each for each in seen if not each.psnr_db]
    ages = [each.age for each in new]
    return {
        "pairs_per_second": sum(each.paired for each in new) / seconds,
        "alone_per_second": sum(not each.paired for each in new) / seconds,
        "age_p50": statistics.median(ages) if ages else None,
        "age_most": max(ages, default=None),
    }


def report(result: dict[str, Any]) -> None:
    """Print the tables."""
    print("\n| hop and weather | pairs/s | decoded alone/s | age, median | at most |")
    print("|---|---|---|---|---|")
    for name, of in result["states"].items():
        ages = [f"{age * 1e3:.0f} ms" if age is not None else "" for age in (of["age_p50"], of["age_most"])]
        print(f"| {name} | {of['pairs_per_second']:.1f} | {of['alone_per_second']:.1f} | {ages[0]} | {ages[1]} |")
    print("\n| hop and event | a pair again after |")
    print("|---|---|")
    for name, back in result["events"].items():
        print(f"| {name} | {'never' if back is None else f'{back:.2f} s'} |")
    print(f"\n{result['pictures']} pictures checked, {len(result['wrong'])} wrong; {result['old']} old")
