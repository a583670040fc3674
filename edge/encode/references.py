"""Untouched pictures to the center, past the channel, so that quality can be measured there."""

import asyncio
import logging
from typing import Final

import grpc
from grpc import aio

from edge.camera.frame_clock import FrameClock
from edge.camera.sources import Picture
from edge.config import EdgeConfig
from edge.metrics import Metrics
from wire.contract import arrays
from wire.runtime import grpc_kit
from wire.runtime.log_throttle import Throttle
from wire.security.keyring import NO_KEYS, Keyring
from wire.v1 import reference_service_pb2 as reference_pb2
from wire.v1.reference_service_pb2_grpc import ReferenceServiceStub

TIMEOUT_SECONDS: Final = 2.0
MOST_AT_ONCE: Final = 4
_PLACES: Final = 32
"""Keys of the ring that are tried to find the center that has our stream: of four centers, one is missed by all of them
in one case of ten thousand."""


class References:
    """Sends one picture in N on the side. Whatever goes wrong is counted, and never holds up the stream.

    Several centers behind one name: the ring leads to where the rig's streams would begin now. Those that began before
    a center came or went stay where they are, and only there a reference is of use. A center that has not got our
    stream says so; then the next reference looks at another place of the ring, by another key.
    """

    def __init__(self, config: EdgeConfig, boot_id: int, metrics: Metrics, keys: Keyring = NO_KEYS) -> None:
        """boot_id: as in the Hello. Nothing connects before the first reference."""
        self._every = config.reference.every
        self._ticks = FrameClock(config.camera.fps)
        self._address = config.reference.address
        self._rig, self._view, self._boot_id = config.rig, config.view, boot_id
        self._metrics, self._throttle = metrics, Throttle(logging.getLogger("edge"))
        self._connection = grpc_kit.Connection(self._address, keys)
        self._tasks: set[asyncio.Task[None]] = set()
        self._several, self._place = grpc_kit.stands_for_several(self._address), 0

    def wanted(self, captured_at_ns: int) -> bool:
        """Whether the picture of this instant is one in N: by tick, so that both views of an instant agree."""
        return self._every > 0 and self._ticks.nearest(captured_at_ns) % self._every == 0

    def submit(self, sequence: int, picture: Picture) -> bool:
        """Send a picture in the background; returns False if too many are on their way already."""
        if not self._every or len(self._tasks) >= MOST_AT_ONCE:
            self._metrics.reference("skipped")
            return False
        task = asyncio.create_task(self._send(sequence, picture))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return True

    async def close(self) -> None:
        """Give up what is on its way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._connection.close()

    async def _send(self, sequence: int, picture: Picture) -> None:
        request = reference_pb2.SubmitReferenceRequest(
            rig=self._rig,
            view=self._view.to_proto(),
            boot_id=self._boot_id,
            sequence=sequence,
            picture=arrays.pack_picture(picture),
        )
        channel = self._connection.channel()  # held until the call is over
        place = self._place
        key = f"{self._rig}~{place}" if place else self._rig
        stub, metadata = ReferenceServiceStub(channel), self._connection.keys.metadata(("x-rig-id", key))
        try:
            await stub.SubmitReference(request, timeout=TIMEOUT_SECONDS, metadata=metadata)
        except aio.AioRpcError as error:
            self._metrics.reference("failed")
            if self._several and error.code() is grpc.StatusCode.NOT_FOUND:
                if self._place == place:  # and no other reference has moved on meanwhile
                    self._place = (place + 1) % _PLACES
                if place + 1 < _PLACES:
                    return
            line = error.details() or error.code().name
            self._throttle.warn(error.code().name, f"reference not taken by {self._address}: {line}")
        else:
            self._metrics.reference("sent")
