"""Decoded pairs for a browser: one binary WebSocket message per pair, newest only.

    message  = header length (uint32, little-endian) + header (JSON, UTF-8) + JPEG files, one after the other
    header   = {rig, captured_at_ms, pairing: "paired" | "single", views: [...], measured: [...]}
    view     = {view, sequence, snr_db, latency_ms, age_ms, stages_ms: {stage: ms}, picture: [offset, length]}
    measured = {view, sequence, snr_db, psnr_db, ms_ssim, reference: [offset, length]}

Offsets count from the end of the header. `age_ms` is the picture's age when the message was sent. `measured` holds
the newest frame of each view that met its reference since the last message, so that a browser that misses pairs
misses no measurement for it. The browser answers each message with one of its own, whatever it says: that gives the
credit back. No credit, no message: TCP buffers never fill with pictures that would be old when they are seen.
"""

import asyncio
import io
import json
import logging
import time
from collections import OrderedDict
from collections.abc import AsyncIterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from starlette.websockets import WebSocket, WebSocketDisconnect

from center.output.broadcast import PairBroadcaster
from center.output.results import DecodedPair, ViewResult
from center.web.to_json import plain, psnr, snr
from wire.views import View

log = logging.getLogger(__name__)

CREDIT: Final = 3
"""Messages on their way to one browser."""

_QUALITY: Final = 92
_KEPT: Final = 16
_RIGS_MEASURED: Final = 8
"""Of so many rigs a browser that watches all keeps figures that it has not shown yet."""


@dataclass(frozen=True, slots=True)
class StreamMessage:
    """What one message shows. measured: views whose reference came since the message before."""

    pair: DecodedPair
    measured: tuple[ViewResult, ...]


class Outbox:
    """The newest unsent pair of one browser, and its credit. Belongs to the event loop's thread."""

    def __init__(self, credit: int = CREDIT) -> None:
        self._credit = self._window = credit
        self._pair: DecodedPair | None = None
        self._newest: DecodedPair | None = None
        self._measured: dict[tuple[str, View], ViewResult] = {}
        self._sendable = asyncio.Event()

    def offer(self, pair: DecodedPair) -> None:
        """Replace what is unsent; measurements stay until they are sent or a newer one of their view comes."""
        newest = self._newest
        stale = pair.measured and newest is not None and pair.rig == newest.rig and pair.moment < newest.moment
        if not stale:
            self._pair = self._newest = pair
        self._measured.update({(pair.rig, each.view): each for each in pair.views if each.psnr_db is not None})
        for rig, view in list(self._measured)[: -len(View) * _RIGS_MEASURED]:
            del self._measured[rig, view]
        self._settle()

    def acknowledge(self) -> None:
        """One message has been shown."""
        self._credit = min(self._credit + 1, self._window)
        self._settle()

    async def take(self) -> StreamMessage:
        """Wait for a pair and for credit; spends one credit."""
        await self._sendable.wait()
        assert self._pair is not None
        rig = self._pair.rig
        measured = [self._measured.pop((rig, view), None) for view in View]
        parcel = StreamMessage(self._pair, tuple(each for each in measured if each is not None))
        self._pair = None
        self._credit -= 1
        self._settle()
        return parcel

    def _settle(self) -> None:
        if self._pair is not None and self._credit > 0:
            self._sendable.set()
        else:
            self._sendable.clear()


class JpegCache:
    """JPEG files of the newest pictures, each made once however many browsers watch, off the event loop."""

    def __init__(self) -> None:
        self._files: OrderedDict[int, tuple[NDArray[np.uint8], bytes]] = OrderedDict()
        self._lock = asyncio.Lock()

    async def files(self, pictures: Sequence[NDArray[np.uint8]]) -> list[bytes]:
        """pictures  uint8 [height, width, 3] each; an array is taken for the same picture as long as it lives"""
        async with self._lock:
            missing = [picture for picture in pictures if id(picture) not in self._files]
            if missing:
                made = await asyncio.to_thread(lambda: [jpeg(picture) for picture in missing])
                self._files.update({id(each): (each, file) for each, file in zip(missing, made, strict=True)})
            found = [self._files[id(picture)][1] for picture in pictures]
            while len(self._files) > _KEPT:
                self._files.popitem(last=False)
            return found

    def clear(self) -> None:
        """Nobody watches."""
        self._files.clear()


def jpeg(picture: NDArray[np.uint8]) -> bytes:
    """A JPEG file without chroma subsampling: half a millisecond and some 19 KB for a 128x256 picture."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=_QUALITY, subsampling=0)
    return file.getvalue()


async def make_message(parcel: StreamMessage, shelf: JpegCache) -> bytes:
    """One binary message, as at the top of this file."""
    pair = parcel.pair
    references = [each.reference for each in parcel.measured]
    pictures = [each.picture for each in pair.views] + [each for each in references if each is not None]
    files = await shelf.files(pictures)
    places, offset = [], 0
    for file in files:
        places.append([offset, len(file)])
        offset += len(file)
    since_decoded = (time.time_ns() - pair.decoded_at_ns) / 1e6
    place = iter(places)
    header = {
        "rig": pair.rig,
        "captured_at_ms": pair.captured_at_ns / 1e6,
        "pairing": "single" if pair.single else "paired",
        "views": [{**_figures(each, since_decoded), "picture": next(place)} for each in pair.views],
        "measured": [
            {**_measurement(each), "reference": None if each.reference is None else next(place)}
            for each in parcel.measured
        ],
    }
    text = json.dumps(header, allow_nan=False, separators=(",", ":")).encode()
    return b"".join([len(text).to_bytes(4, "little"), text, *files])


def _figures(result: ViewResult, since_decoded_ms: float) -> dict[str, Any]:
    latency = float(result.latency) * 1e3
    return {
        "view": result.view.value,
        "sequence": result.sequence,
        "snr_db": snr(float(result.snr_db)),
        "latency_ms": plain(latency),
        "age_ms": plain(latency + since_decoded_ms),
        "stages_ms": {stage: plain(float(seconds) * 1e3) for stage, seconds in result.stages.items()},
    }


def _measurement(result: ViewResult) -> dict[str, Any]:
    return {
        "view": result.view.value,
        "sequence": result.sequence,
        "snr_db": snr(float(result.snr_db)),
        "psnr_db": None if result.psnr_db is None else psnr(float(result.psnr_db)),
        "ms_ssim": None if result.ms_ssim is None else plain(float(result.ms_ssim)),
    }


async def serve_watcher(websocket: WebSocket, hub: PairBroadcaster, shelf: JpegCache) -> None:
    """Serve one browser until it leaves or the hub closes."""
    await websocket.accept()
    outbox = Outbox()
    with hub.watch(websocket.query_params.get("rig") or None, late_figures=True) as pairs:
        collector = asyncio.create_task(_collect(pairs, outbox))
        sender = asyncio.create_task(_send(websocket, outbox, shelf))
        listener = asyncio.create_task(_listen(websocket, outbox))
        tasks = [collector, sender, listener]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    if not collector.cancelled() and (error := collector.exception()) is not None:
        log.error("collecting pairs for a browser failed", exc_info=error)
        await websocket.close(1011, "the center failed; its log says why")
    elif not collector.cancelled() and listener.cancelled():
        await websocket.close(1001)  # the broadcaster is closed: the center leaves
    elif not sender.cancelled():
        with suppress(WebSocketDisconnect):  # the browser left while a message was on its way
            sender.result()


async def _collect(pairs: AsyncIterable[DecodedPair], outbox: Outbox) -> None:
    async for pair in pairs:
        outbox.offer(pair)


async def _send(websocket: WebSocket, outbox: Outbox, shelf: JpegCache) -> None:
    while True:
        await websocket.send_bytes(await make_message(await outbox.take(), shelf))


async def _listen(websocket: WebSocket, outbox: Outbox) -> None:
    while True:
        message = await websocket.receive()
        if message["type"] == "websocket.disconnect":
            return
        outbox.acknowledge()
