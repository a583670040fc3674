"""PairService and ReferenceService: pictures out, and untouched pictures in."""

import asyncio
import math
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any, Final

import grpc

from center.ingest.rigs import Rigs
from center.output.broadcast import PairBroadcaster, Watcher
from center.output.pictures import check_format, pack
from center.output.quality import FrameKey
from center.output.quality_monitor import QualityMonitor
from center.output.results import DecodedPair, ViewResult
from center.output.room import Room
from center.steady_clock import SteadyClock
from wire.contract.arrays import unpack_picture
from wire.contract.names import check_rig
from wire.runtime.errors import UserError
from wire.runtime.grpc_kit import abort
from wire.security.caller import Share, check_sender
from wire.security.tokens import TokenRefused
from wire.v1 import pair_service_pb2 as pair_pb2
from wire.v1 import pair_service_pb2_grpc as pair_grpc
from wire.v1 import reference_service_pb2 as reference_pb2
from wire.v1 import reference_service_pb2_grpc as reference_grpc
from wire.v1 import types_pb2
from wire.views import View

MOST_WATCHERS: Final = 128
"""WatchPairs calls at once, of all clients together."""


_KEPT: Final = 4
"""Messages that are kept for further watchers of the same pairs."""


class PairServicer(pair_grpc.PairServiceServicer):
    """Gives decoded pairs to whoever watches, newest only."""

    def __init__(
        self,
        broadcaster: PairBroadcaster,
        most_watchers: int = MOST_WATCHERS,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """pause: waits so many seconds; tests bring their own"""
        self._broadcaster, self._most_watchers, self._pause = broadcaster, most_watchers, pause
        self._watchers, self._share = 0, Share(most_watchers // 2)
        self._room, self._made = Room(), _Made()

    async def WatchPairs(  # type: ignore[override]  # noqa: N802  # the stub's type knows iterators only
        self, request: pair_pb2.WatchPairsRequest, context: Any
    ) -> None:
        """Writes by itself and yields nothing, so that the clean-up runs at once when a watcher is gone."""
        try:
            if not (math.isfinite(request.rate) and request.rate >= 0.0):
                raise UserError(f"rate is {request.rate}; ask for pairs a second, 0 for all")
            check_format(request.format)
            if request.rig:
                check_rig(request.rig)
        except UserError as problem:
            await abort(context, grpc.StatusCode.INVALID_ARGUMENT, problem)
        if self._watchers >= self._most_watchers:
            line = f"{self._watchers} clients watch pairs already; end one of them or use another center"
            await abort(context, grpc.StatusCode.RESOURCE_EXHAUSTED, UserError(line))
        try:
            give_back = self._share.take()
        except UserError as problem:
            await abort(context, grpc.StatusCode.RESOURCE_EXHAUSTED, problem)
        pause = 1.0 / request.rate if request.rate else 0.0
        self._watchers += 1
        try:
            with self._broadcaster.watch(request.rig or None, late_figures=request.late_figures) as pairs:
                while (waiting := await _next(pairs)) is not None:
                    async with self._room.held(0 if request.without_pictures else waiting.nbytes):
                        if pairs.peek() is not None:  # perhaps a newer one by now
                            await self._write(await anext(pairs), request, context)
                    if pause:
                        await self._pause(pause)
        finally:
            self._watchers -= 1
            give_back()
            if not self._watchers:
                self._made.clear()

    async def _write(self, pair: DecodedPair, request: pair_pb2.WatchPairsRequest, context: Any) -> None:
        """Lasts until it is read: nothing that a server could do takes an unread message back, nor ends its call."""
        if request.without_pictures:
            response = to_response(pair, None)
        else:
            response = await self._made.response(pair, request.format)
        await context.write(response)


class _Made:
    """Messages of the newest pairs, each made once however many watch, and one at a time: PNG files for a hundred
    watchers would take the cores that the decoder needs."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[int, int], tuple[DecodedPair, pair_pb2.WatchPairsResponse]] = OrderedDict()
        self._lock = asyncio.Lock()

    async def response(
        self, pair: DecodedPair, picture_format: "types_pb2.PictureFormat.ValueType"
    ) -> pair_pb2.WatchPairsResponse:
        """Not to be changed: it is others' too."""
        key = (id(pair), picture_format)  # the pair is kept beside it, so its id is nobody else's
        async with self._lock:
            if key not in self._kept:
                self._kept[key] = pair, await asyncio.to_thread(to_response, pair, picture_format)
                while len(self._kept) > _KEPT:
                    self._kept.popitem(last=False)
            return self._kept[key][1]

    def clear(self) -> None:
        """Forget all: nobody watches."""
        self._kept.clear()


async def _next(pairs: Watcher) -> DecodedPair | None:
    """What comes next, left where it is; None once there is nothing more."""
    await pairs.wait()
    return pairs.peek()


class ReferenceServicer(reference_grpc.ReferenceServiceServicer):
    """Takes untouched pictures, past the channel, of cameras that are connected."""

    def __init__(self, monitor: QualityMonitor, rigs: Rigs, clock: SteadyClock) -> None:
        self._monitor, self._rigs, self._clock = monitor, rigs, clock

    async def SubmitReference(  # noqa: N802
        self, request: reference_pb2.SubmitReferenceRequest, context: Any
    ) -> reference_pb2.SubmitReferenceResponse:
        try:
            check_rig(request.rig)
            picture = unpack_picture(request.picture)
            key = FrameKey(request.rig, View.from_proto(request.view), request.boot_id, request.sequence)
        except UserError as problem:
            await abort(context, grpc.StatusCode.INVALID_ARGUMENT, problem)
        try:
            check_sender(key.rig, key.view)
        except TokenRefused as refusal:
            await abort(context, grpc.StatusCode.PERMISSION_DENIED, refusal)
        rig = self._rigs.get(key.rig)
        session = None if rig is None else rig.cameras[key.view].session
        if session is None:
            line = f"rig '{key.rig}' has no {key.view} camera here; send references while its stream is open"
            await abort(context, grpc.StatusCode.NOT_FOUND, UserError(line))
        size, (rows, columns, _) = session.size, picture.shape
        if (rows, columns) != (size.rows, size.columns):
            line = f"the picture is {rows}x{columns} (rows x columns), but this camera's stream has {size}; send that"
            await abort(context, grpc.StatusCode.INVALID_ARGUMENT, UserError(line))
        self._monitor.reference(key, picture, self._clock.now())
        return reference_pb2.SubmitReferenceResponse()


def to_response(
    pair: DecodedPair, picture_format: "types_pb2.PictureFormat.ValueType | None"
) -> pair_pb2.WatchPairsResponse:
    """A decoded pair as a message; with files some milliseconds, so not for the event loop.

    picture_format  None is no pictures, unspecified is RGB8
    """
    return pair_pb2.WatchPairsResponse(
        rig=pair.rig,
        pairing=pair_pb2.PAIRING_SINGLE if pair.single else pair_pb2.PAIRING_PAIRED,
        captured_at_ns=pair.captured_at_ns,
        decoded_at_ns=pair.decoded_at_ns,
        views=[_reconstruction(result, picture_format) for result in pair.views],
    )


def _reconstruction(
    result: ViewResult, picture_format: "types_pb2.PictureFormat.ValueType | None"
) -> pair_pb2.Reconstruction:
    message = pair_pb2.Reconstruction(
        view=result.view.to_proto(),
        sequence=result.sequence,
        snr_db=result.snr_db,
        psnr_db=result.psnr_db,
        ms_ssim=result.ms_ssim,
        latency_ms=result.latency * 1e3,
    )
    if picture_format is not None:
        message.picture.CopyFrom(pack(result.picture, picture_format))
        if result.reference is not None:
            message.reference.CopyFrom(pack(result.reference, picture_format))
    return message
