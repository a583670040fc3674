"""The daemon: camera thread, encoder thread, and one event loop between them."""

import asyncio
import secrets

import cv2

from edge.camera import sources
from edge.camera.capture import Camera
from edge.config import EdgeConfig
from edge.encode.encoder import Encoder
from edge.encode.frames import FrameEncoder
from edge.encode.references import References
from edge.metrics import Metrics
from edge.uplink.uplink import Uplink
from wire.runtime import notify
from wire.runtime.metrics import expose, follow_expiry
from wire.security.keyring import Keyring


async def run(config: EdgeConfig, stop: asyncio.Event) -> None:
    """Stream one camera until `stop` is set, then drain.

    raises  UserError if the codec, the camera or the metrics port cannot be had at the start; nothing later
    """
    cv2.setNumThreads(1)
    _silence_opencv()
    loop = asyncio.get_running_loop()
    keys = Keyring(config.security)
    metrics = Metrics(config.rig, config.view)
    encoder = Encoder(config.codec.name, config.codec.threads)
    boot_id = secrets.randbits(64)
    references = References(config, boot_id, metrics, keys)
    maker = FrameEncoder(config, encoder, references, metrics)
    source = sources.make(config.camera, config.view, config.rig)
    camera = Camera(
        source,
        metrics,
        on_frame=lambda: loop.call_soon_threadsafe(uplink.wake),
        on_skip=lambda: metrics.dropped(uplink.held_up_by),
        silence_s=config.camera.silence_s,
    )
    uplink = Uplink(config, boot_id, camera, maker, metrics, keys, loop_s=lambda: source.loop_s)
    try:
        if config.metrics_port:
            served = expose(config.metrics, config.metrics_port, metrics.registry)
            follow_expiry(metrics.expiry, keys.expires_at, served.expires_at)
        await asyncio.to_thread(camera.start)
        notify.ready()  # with or without a link: that may come later
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


def _silence_opencv() -> None:
    """Its lines about a camera that is away are many; ours is one. OpenCV 5 has moved the switch."""
    switch = getattr(cv2, "setLogLevel", None) or cv2.utils.logging.setLogLevel
    switch(0)
