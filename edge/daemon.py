"""The daemon: camera thread, encoder thread, and one event loop between them."""

import asyncio
import logging
import secrets

import cv2

from edge.camera import sources
from edge.camera.capture import Camera
from edge.camera.framing import Framing
from edge.config import EdgeConfig
from edge.encode.encoder import Encoder
from edge.encode.frames import FrameEncoder
from edge.encode.references import References
from edge.metrics import Metrics
from edge.uplink.uplink import Uplink
from wire.geometry import DEFAULT_SIZE
from wire.runtime import notify
from wire.runtime.metrics import expose, follow_expiry
from wire.security.keyring import Keyring

_log = logging.getLogger("edge")


async def run(config: EdgeConfig, stop: asyncio.Event) -> None:
    """Stream one camera until `stop` is set, then drain.

    raises  UserError if the codec, the camera or the metrics port cannot be had at the start; nothing later
    """
    cv2.setNumThreads(1)
    _silence_opencv()
    loop = asyncio.get_running_loop()
    keys = Keyring(config.security)
    metrics = Metrics(config.rig, config.view)
    framing = Framing(config.size, config.largest_size)
    encoder = Encoder(config.codec.name, config.codec.threads, framing.size or DEFAULT_SIZE)
    boot_id = secrets.randbits(64)
    references = References(config, boot_id, metrics, keys)
    maker = FrameEncoder(config, encoder, references, metrics)

    def wanted(captured_at_ns: int) -> bool:
        if maker.thinning.wanted(captured_at_ns):
            return True
        camera.passed_over(captured_at_ns)
        return False

    source = sources.make(config.camera, config.view, config.rig, framing, wanted)
    has_picture = asyncio.Event()

    def on_frame() -> None:
        has_picture.set()
        uplink.wake()

    camera = Camera(
        source,
        metrics,
        on_frame=lambda: loop.call_soon_threadsafe(on_frame),
        on_skip=lambda: metrics.dropped(uplink.held_up_by),
        silence_s=config.camera.silence_s,
        fit=framing.fit,
    )
    uplink = Uplink(
        config, boot_id, camera, maker, metrics, keys, loop_s=lambda: source.loop_s, size=lambda: framing.size
    )
    try:
        if config.metrics_port:
            served = expose(config.metrics, config.metrics_port, metrics.registry)
            follow_expiry(metrics.expiry, keys.expires_at, served.expires_at)
        await asyncio.to_thread(camera.start)
        notify.ready()  # with or without a link: that may come later
        if framing.size is None:  # `auto`, and a camera that may answer later
            await _either(stop, has_picture)
            if framing.size is None:
                return
        if config.size is None:
            assert framing.size is not None, "the first picture tells it"
            await asyncio.to_thread(encoder.prepare, framing.size)
            _log.info("%s: pictures are sent at %s", source.name, framing.size)
        await _until(stop, uplink)
    finally:
        notify.stopping()
        await asyncio.to_thread(camera.stop)
        await references.close()
        maker.close()


async def _until(stop: asyncio.Event, uplink: Uplink) -> None:
    """Run the uplink until `stop` is set."""
    streaming = asyncio.create_task(uplink.run())
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((streaming, stopping), return_when=asyncio.FIRST_COMPLETED)
        uplink.leave()
        await streaming
    finally:
        streaming.cancel()
        stopping.cancel()
        await asyncio.gather(streaming, stopping, return_exceptions=True)


async def _either(*events: asyncio.Event) -> None:
    """Wait until one of them is set."""
    waiting = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in waiting:
            each.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


def _silence_opencv() -> None:
    """Its lines about a camera that is away are many; ours is one. OpenCV 5 has moved the switch."""
    switch = getattr(cv2, "setLogLevel", None) or cv2.utils.logging.setLogLevel
    switch(0)
