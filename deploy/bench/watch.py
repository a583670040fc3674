"""A watcher of decoded pairs that survives the center: what a person at the page would have seen."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import grpc

from wire.runtime.grpc_kit import CLIENT_OPTIONS
from wire.v1 import pair_service_pb2 as pairs_pb2
from wire.v1.pair_service_pb2_grpc import PairServiceStub
from wire.views import View

RETRY_SECONDS: Final = 0.05


@dataclass(frozen=True, slots=True)
class Sighting:
    """One message of the watched stream. An instant comes again once it is measured.

    rig       whose it is
    at        time.monotonic of its arrival
    age       seconds since its capture
    psnr_db   of the views that have met their reference
    """

    rig: str
    at: float
    age: float
    captured_at_ns: int
    paired: bool
    psnr_db: dict[View, float]
    sequence: dict[View, int]


class PairWatcher:
    """Collects sightings in a thread until closed; reconnects for ever."""

    def __init__(self, address: str, look: Callable[[pairs_pb2.WatchPairsResponse], object] | None = None) -> None:
        """address: of the center, host:port; look: shown every message, with its pictures, in the watcher's thread."""
        self._address, self._look = address, look
        self._seen: list[Sighting] = []
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._call: Any = None
        self._thread = threading.Thread(target=self._work, name="pair-watcher", daemon=True)
        self._thread.start()

    def since(self, moment: float) -> list[Sighting]:
        """Sightings after a time.monotonic moment."""
        with self._lock:
            return [sighting for sighting in self._seen if sighting.at >= moment]

    def wait_for_pair(self, captured_after_ns: int, timeout: float, rig: str | None = None) -> float | None:
        """Seconds until a pair captured after a Unix time arrives, of one rig or of any; None if not in time."""
        began = time.monotonic()
        while time.monotonic() - began < timeout:
            for sighting in self.since(began):
                if sighting.paired and sighting.captured_at_ns > captured_after_ns and rig in (None, sighting.rig):
                    return sighting.at - began
            time.sleep(0.01)
        return None

    def close(self) -> None:
        self._closed.set()
        if self._call is not None:
            self._call.cancel()
        self._thread.join(timeout=5)

    def _work(self) -> None:
        while not self._closed.is_set():
            with grpc.insecure_channel(self._address, options=CLIENT_OPTIONS) as channel:
                try:
                    for sighting in self._sightings(channel):
                        with self._lock:
                            self._seen.append(sighting)
                except grpc.RpcError:
                    self._closed.wait(RETRY_SECONDS)

    def _sightings(self, channel: grpc.Channel) -> Iterator[Sighting]:
        request = pairs_pb2.WatchPairsRequest(without_pictures=self._look is None, late_figures=True)
        call = PairServiceStub(channel).WatchPairs(request)
        self._call = call
        for pair in call:
            if self._look is not None:
                self._look(pair)
            yield Sighting(
                rig=pair.rig,
                at=time.monotonic(),
                age=(time.time_ns() - pair.captured_at_ns) / 1e9,
                captured_at_ns=pair.captured_at_ns,
                paired=pair.pairing == pairs_pb2.PAIRING_PAIRED,
                psnr_db={View.from_proto(v.view): v.psnr_db for v in pair.views if v.HasField("psnr_db")},
                sequence={View.from_proto(v.view): v.sequence for v in pair.views},
            )
