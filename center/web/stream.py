"""Decoded pairs for a browser: one binary WebSocket message per pair, newest only.

    message  = header length (uint32, little-endian) + header (JSON, UTF-8) + JPEG files, one after the other
    header   = {rig, captured_at_ms, pairing: "paired" | "single", views: [...], measured: [...]}
    view     = {view, sequence, snr_db, latency_ms, age_ms, stages_ms: {stage: ms}, size: [rows, columns], symbols,
                picture: [offset, length]}
    measured = {view, sequence, snr_db, psnr_db, ms_ssim, reference: [offset, length]}

Offsets count from the end of the header. `age_ms` is the picture's age when the message was sent. `measured` holds the
views whose reference has come. A pair that was measured when a newer one of its rig was out already comes with its
figures only: `views` is empty. The browser answers each message with one of its own, whatever it says: that gives the
credit back (`output/broadcast.py`). No credit, no message: TCP buffers never fill with pictures that would be old when
they are seen.
"""

import asyncio
import json
import logging
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from starlette.websockets import WebSocket, WebSocketDisconnect

from center.output.broadcast import PairBroadcaster, Watcher
from center.output.jpeg import JpegCache
from center.output.results import DecodedPair, ViewResult
from center.output.room import Room
from center.web.to_json import psnr_to_json, snr_to_json, to_json
from wire.geometry import symbols_of

log = logging.getLogger(__name__)

CREDIT: Final = 3
"""Messages on their way to one browser."""
UNANSWERED_SECONDS: Final = 30.0
"""How long a browser may leave CREDIT messages unanswered. The page answers within 0.1 s, and leaves when hidden."""

ASKED_EVERY: Final = 1.0
"""Seconds between two looks at whether the watcher still may watch."""
LOG_IN_AGAIN: Final = "log in again"
"""Why a socket is closed (code 1008) whose watcher may not watch any more; the page knows these words."""

_LEAVING, _REFUSED, _FAILED = 1001, 1008, 1011  # close codes of RFC 6455


def _always() -> bool:
    return True


async def serve_watcher(
    websocket: WebSocket,
    broadcaster: PairBroadcaster,
    cache: JpegCache,
    unanswered: float = UNANSWERED_SECONDS,
    may_watch: Callable[[], bool] = _always,
    room: Room | None = None,
) -> None:
    """Serve one browser until it leaves, answers nothing for `unanswered` seconds, or the broadcaster closes.

    may_watch  asked every ASKED_EVERY seconds; ends it too
    room       that it shares with other browsers
    """
    await websocket.accept()
    rig = websocket.query_params.get("rig") or None
    with broadcaster.watch(rig, late_figures=True, credit=CREDIT) as pairs:
        on_their_way: deque[Callable[[], None]] = deque()  # what ends the room of each message
        listener = asyncio.create_task(_listen(websocket, pairs, on_their_way), name="listen")
        asker = asyncio.create_task(_ask(may_watch, pairs), name="ask")
        failure: BaseException | None = None
        reason = ""
        try:
            await _send(websocket, pairs, broadcaster, cache, unanswered, room or Room(), on_their_way)
            code = _REFUSED if asker.done() else _LEAVING
            reason = LOG_IN_AGAIN if asker.done() else ""
        except WebSocketDisconnect:
            return  # the browser left while a message was on its way
        except TimeoutError:
            code = _REFUSED
        except Exception as error:
            failure = error
        finally:
            listener.cancel()
            asker.cancel()
            ended, asked = await asyncio.gather(listener, asker, return_exceptions=True)
            for end in on_their_way:
                end()
    if failure is None:
        failure = next((each for each in (ended, asked) if isinstance(each, Exception)), None)
    if failure is not None:  # told here, for the browser would only see a socket that closes
        log.error("a browser could not be served", exc_info=failure)
        code, reason = _FAILED, ""
    has_left = ended is None
    if not has_left:
        with suppress(WebSocketDisconnect):
            await websocket.close(code, reason)


async def _send(
    websocket: WebSocket,
    pairs: Watcher,
    broadcaster: PairBroadcaster,
    cache: JpegCache,
    unanswered: float,
    room: Room,
    on_their_way: deque[Callable[[], None]],
) -> None:
    """Send what is new until the watcher is closed. raises TimeoutError if the browser answers or takes nothing"""
    while True:
        async with asyncio.timeout(unanswered):
            await pairs.wait_for_credit()
        await pairs.wait()
        if (waiting := pairs.peek()) is None:
            return
        # Until the browser has answered: what is sent waits in a buffer of ours for who does not read.
        async with asyncio.timeout(unanswered):
            on_their_way.append(await room.take(waiting.nbytes))
        if pairs.peek() is None:
            on_their_way.pop()()
            continue
        pair = await anext(pairs)  # perhaps a newer one by now
        message = await make_message(pair, broadcaster.is_outdated(pair), cache)
        async with asyncio.timeout(unanswered):
            await websocket.send_bytes(message)


async def _ask(may_watch: Callable[[], bool], pairs: Watcher) -> None:
    """Close the watcher as soon as it may not watch any more."""
    try:
        while may_watch():  # noqa: ASYNC110 - files tell no event
            await asyncio.sleep(ASKED_EVERY)
    finally:
        pairs.close()


async def _listen(websocket: WebSocket, pairs: Watcher, on_their_way: deque[Callable[[], None]]) -> None:
    """Give a credit back for each answer, until the browser leaves."""
    try:
        while (await websocket.receive())["type"] != "websocket.disconnect":
            if on_their_way:
                on_their_way.popleft()()
            pairs.acknowledge()
    finally:
        pairs.close()


async def make_message(pair: DecodedPair, outdated: bool, cache: JpegCache) -> bytes:
    """One binary message, as at the top of this file. outdated: figures only, a newer pair is out."""
    views = () if outdated else pair.views
    measured = [each for each in pair.views if each.psnr_db is not None]
    references = [each.reference for each in measured if each.reference is not None]
    files = await cache.files([*(each.picture for each in views), *references])
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
        "views": [{**_live(each, since_decoded), "picture": next(place)} for each in views],
        "measured": [
            {**_measured(each), "reference": None if each.reference is None else next(place)} for each in measured
        ],
    }
    text = json.dumps(header, allow_nan=False, separators=(",", ":")).encode()
    return b"".join([len(text).to_bytes(4, "little"), text, *files])


def _live(result: ViewResult, since_decoded_ms: float) -> dict[str, Any]:
    latency, (rows, columns, _) = float(result.latency) * 1e3, result.picture.shape
    return {
        "view": result.view.value,
        "sequence": result.sequence,
        "snr_db": snr_to_json(float(result.snr_db)),
        "latency_ms": to_json(latency),
        "age_ms": to_json(latency + since_decoded_ms),
        "stages_ms": {stage: to_json(float(seconds) * 1e3) for stage, seconds in result.stages.items()},
        "size": [rows, columns],
        "symbols": symbols_of(rows, columns),
    }


def _measured(result: ViewResult) -> dict[str, Any]:
    return {
        "view": result.view.value,
        "sequence": result.sequence,
        "snr_db": snr_to_json(float(result.snr_db)),
        "psnr_db": None if result.psnr_db is None else psnr_to_json(float(result.psnr_db)),
        "ms_ssim": None if result.ms_ssim is None else to_json(float(result.ms_ssim)),
    }
