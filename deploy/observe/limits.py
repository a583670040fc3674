"""Every limit of every door, read off the code, and its table: `python -m deploy.observe.limits`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import PIL.Image
from pydantic import BaseModel

import center.config
import channel_emulator.config
import wire.codec_graph
from center.decode import batch_size, pairer
from center.ingest import frames, link_servicer
from center.output import quality_monitor, room, watch_servicer
from center.record import reader, replay, sigmf
from center.web import app, connections, links, stream
from channel_emulator.channel import snr
from channel_emulator.links import control_servicer, registry
from channel_emulator.relay import bridge
from channel_emulator.relay import link_servicer as relay
from deploy.observe import marks
from edge.encode import references
from edge.uplink import uplink
from wire import codec_manifest
from wire.contract import handshake, link_settings, names, occupancy, pace, sizes
from wire.geometry import DEFAULT_SIZE
from wire.runtime import fields, grpc_kit, log, malformed, prompt, scrapes, yaml_loader

PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "limits.md"
BEGIN: Final = "<!-- tables: made by `make metrics` -->"
END: Final = "<!-- end of the tables -->"
_OPTIONS: Final = dict(grpc_kit.SERVER_OPTIONS)
_HTTP: Final = connections.Limits()


@dataclass(frozen=True, slots=True)
class Limit:
    """One bound. key: of the configuration, with its default there; "" is fixed. over: what happens beyond it."""

    what: str
    value: object
    unit: str = ""
    key: str = ""
    over: str = ""

    @property
    def shown(self) -> str:
        value = self.value
        if self.unit == "bytes" and isinstance(value, int) and value % 1024 == 0:
            return f"{value >> 20:g} MiB" if value % 2**20 == 0 else f"{value >> 10:g} KiB"
        number = f"{value:,}" if isinstance(value, int) else f"{value:g}" if isinstance(value, float) else str(value)
        return f"{number} {self.unit}".strip()


def _set(model: type[BaseModel], key: str, what: str, unit: str = "", over: str = "") -> Limit:
    """A limit that a key sets, at its default."""
    value: Any = model()
    for part in key.split("."):
        value = getattr(value, part)
    return Limit(what, value, unit, key, over)


def _option(name: str, scale: float = 1e-3) -> float:
    return _OPTIONS[name] * scale


def limits() -> dict[str, list[Limit]]:
    """By door, in the order of the page."""
    center_, emulator = center.config.CenterConfig, channel_emulator.config.EmulatorConfig
    return {
        "Every gRPC port": [
            Limit("connections", grpc_kit.MAX_CONNECTIONS, over="closed at once; never more than half of the files"),
            Limit("calls at once on a connection", grpc_kit.MAX_STREAMS, over="wait at the client"),
            Limit("calls at once in all", grpc_kit.MAX_CALLS, over="RESOURCE_EXHAUSTED"),
            Limit(
                "message in",
                grpc_kit.max_request(center_().links.largest_size),
                "bytes",
                key="links.largest_size",
                over=f"RESOURCE_EXHAUSTED, unread; also if it unpacks to more. {grpc_kit.MAX_REQUEST >> 10} KiB at"
                " 128x256",
            ),
            Limit("request without a picture or symbols", malformed.LONGEST_REQUEST, "bytes", over="INVALID_ARGUMENT"),
            Limit("fields of a message longer than that", fields.MOST_FIELDS, over="INVALID_ARGUMENT, not parsed"),
            Limit("time to the request of a call", prompt.REQUEST_SECONDS, "s", over="INVALID_ARGUMENT"),
            Limit(
                "calls without their request, with pictures and without", prompt.MOST_PENDING, over="RESOURCE_EXHAUSTED"
            ),
            Limit("unread on a stream", grpc_kit.WINDOW, "bytes", over="waits at the client"),
            Limit("message out, and what our clients take", grpc_kit.MAX_ANSWER, "bytes"),
            Limit("answer without pictures that ours take", grpc_kit.MAX_SMALL_ANSWER, "bytes", over="ends"),
            Limit("HTTP/2 handshake", _option("grpc.server_handshake_timeout_ms"), "s", over="closed"),
            Limit("connection without a call", _option("grpc.max_connection_idle_ms"), "s", over="closed"),
            Limit(
                "peer that answers no ping",
                _option("grpc.keepalive_time_ms") + _option("grpc.keepalive_timeout_ms"),
                "s",
                over="closed",
            ),
            Limit(
                "pings of a peer sooner than its due",
                _OPTIONS["grpc.http2.max_ping_strikes"],
                over=f"due every {_option('grpc.http2.min_ping_interval_without_data_ms'):g} s without data; then"
                " ENHANCE_YOUR_CALM, and nothing more is read",
            ),
        ],
        "Streams of symbols (emulator and center)": [
            Limit("streams that have not said Hello", handshake.MOST_PENDING, over="RESOURCE_EXHAUSTED"),
            Limit("of one token", handshake.MOST_PENDING_OF_ONE, over="RESOURCE_EXHAUSTED"),
            Limit("time to the Hello", handshake.HELLO_SECONDS, "s", over="INVALID_ARGUMENT"),
            Limit("a Hello", handshake.LONGEST_HELLO, "bytes", over="INVALID_ARGUMENT"),
            Limit(
                "a frame of 128x256, by symbols of its size",
                sizes.longest_frame(DEFAULT_SIZE),
                "bytes",
                over="rejected (shape)",
            ),
            Limit("name of a rig", names.LONGEST_NAME, "letters", over="INVALID_ARGUMENT"),
            Limit("frame rate", " to ".join(f"{rate:g}" for rate in handshake.FRAME_RATES), "/s", over="refused"),
            Limit("silence after which another takes the view", occupancy.SILENCE_SECONDS, "s", "pairing.silence_ms"),
        ],
        "Center: cameras": [
            _set(
                center_,
                "links.max_rigs",
                "rigs, larger pictures counting as several",
                over="RESOURCE_EXHAUSTED; series of metrics follow the rigs",
            ),
            _set(center_, "links.largest_size", "pictures (rows x columns)", over="FAILED_PRECONDITION"),
            _set(center_, "links.credit", "frames on their way", "frames"),
            Limit("frames beyond the credit", link_servicer.MOST_BEYOND_CREDIT, over="the stream is ended"),
            Limit(f"frames of a camera within {pace.LEAST_SECONDS:g} s", pace.MOST_AT_ONCE, over="the stream is ended"),
            Limit("answers unread", link_servicer.MOST_UNREAD, over="the stream is ended"),
            _set(center_, "links.idle_s", "stream without a frame", "s", "the stream is ended"),
            _set(center_, "links.evict_s", "rig without a camera", "s", "forgotten, with its series"),
            _set(center_, "links.age_budget_ms", "age of a frame", "ms", "dropped (late)"),
            Limit("stage times of a frame", frames.MOST_STAGES, over="rejected (shape)"),
            Limit("frames that wait for their partner", pairer.MOST_WAITING, "a rig", over="the oldest goes alone"),
            _set(center_, "pairing.patience_ms", "wait for the partner", "ms", "decoded alone"),
            _set(
                center_,
                "batching.queue",
                "instants that wait for the decoder",
                "",
                "that of the rig served last is dropped",
            ),
            _set(center_, "batching.queue_per_rig", "of one rig", "", "the oldest is dropped: no rig takes more"),
            Limit(
                "batch, larger pictures counting as several; one pair always goes",
                batch_size.MOST,
                "pairs",
                "batching.max_size",
                "by default as many as save time",
            ),
        ],
        "Center: recording": [
            _set(center_, "record.queue", "batches that wait for the disk", over="not recorded, and counted"),
            _set(center_, "record.queue_bytes", "what those hold", "bytes", "the same; one batch always fits"),
        ],
        "Center: references, watchers, page": [
            _set(
                center_,
                "quality.keep",
                "references that wait, and reconstructions",
                "",
                "the oldest goes of the camera that has the most",
            ),
            _set(
                center_,
                "quality.max_bytes",
                "what those of either kind hold",
                "bytes",
                "the oldest goes of the camera that has the most bytes",
            ),
            _set(center_, "quality.max_age_s", "age of those", "s", "forgotten"),
            Limit("measurements that wait", quality_monitor.MOST_PENDING, over="skipped and counted"),
            Limit("calls of WatchPairs", watch_servicer.MOST_WATCHERS, over="RESOURCE_EXHAUSTED"),
            Limit("of one token", watch_servicer.MOST_WATCHERS // 2, over="RESOURCE_EXHAUSTED"),
            Limit("pairs that wait for a watcher", 1, "a rig", over="the newer takes its place"),
            Limit("pictures on their way to all watchers, and to all browsers", room.BYTES, "bytes", over="wait"),
            Limit("those that are not read within", room.SLOW_SECONDS, "s", over="set aside, as many bytes again"),
            _set(
                center_,
                "page.max_connections",
                "connections to the page",
                "",
                "503; never more than a quarter of the files",
            ),
            _set(center_, "page.max_connections_per_client", "of one address", "", "503"),
            Limit("links that the emulator names", links.MOST_LINKS, over="502"),
            Limit("headers of a request, time", _HTTP.header_seconds, "s", over="cut"),
            Limit("headers of a request, size", app._HEADERS_LIMIT, "bytes", over="400"),
            Limit("body of a request", app._BODY_LIMIT, "bytes", over="413"),
            Limit("answer unread, and request at work", _HTTP.request_seconds, "s", over="cut"),
            Limit("pictures on their way to a browser", stream.CREDIT),
            Limit("what a browser sends over its WebSocket", connections.SOCKET_BYTES, "bytes", over="cut"),
            Limit("and on and on", connections.SOCKET_RATE, "bytes/s", over="cut"),
            Limit("browser that acknowledges nothing", stream.UNANSWERED_SECONDS, "s", over="1008"),
        ],
        "Emulator": [
            _set(emulator, "max_links", "links", over="RESOURCE_EXHAUSTED; series of metrics follow the links"),
            _set(emulator, "largest_size", "pictures (rows x columns)", over="FAILED_PRECONDITION"),
            Limit(
                "frames of a link that are held back",
                f"{bridge.QUEUE} to {bridge.LEAST_QUEUE}",
                over="not read; by size",
            ),
            Limit(
                f"frames of a stream that end here within {pace.LEAST_SECONDS:g} s",
                pace.MOST_AT_ONCE,
                over="the stream is ended",
            ),
            Limit("calls of WatchLinks", control_servicer.MOST_WATCHERS, over="RESOURCE_EXHAUSTED"),
            Limit("of one token", control_servicer.MOST_WATCHERS // 2, over="RESOURCE_EXHAUSTED"),
            Limit("link without a camera that no file names", registry.FORGET_SECONDS, "s", over="forgotten"),
            Limit("the center's Welcome", bridge.WELCOME_SECONDS, "s", over="UNAVAILABLE"),
            Limit("former stream of a view, to end", relay.PATIENCE_SECONDS, "s", over="FAILED_PRECONDITION"),
            Limit("delay, jitter included", link_settings.LONGEST_DELAY_MS, "ms", over="refused"),
            Limit("schedule of SNRs", snr.MOST_BYTES, "bytes", over="refused"),
        ],
        "Edge": [
            Limit("link that acknowledges nothing", uplink.PATIENCE_SECONDS, "s", over="connects anew"),
            Limit("wait that a center may ask for", uplink.LONGEST_LEAVE_SECONDS, "s"),
            Limit("references on their way", references.MOST_AT_ONCE, over="not sent, and counted"),
        ],
        "Ports of metrics (emulator, edge)": [
            Limit("connections", scrapes.MOST_SCRAPES, over="closed at once"),
            Limit("of one address", scrapes.MOST_SCRAPES // 2, over="closed at once"),
            Limit("a scrape, from its connection to the end of the answer", scrapes.SCRAPE_SECONDS, "s", over="closed"),
            Limit("request", scrapes.HEADERS_LIMIT, "bytes", over="431"),
        ],
        "Files": [
            Limit("configuration", yaml_loader.MOST_BYTES, "bytes", over="refused"),
            Limit("values in it", yaml_loader.MOST_VALUES, over="refused"),
            Limit("picture", 2 * (PIL.Image.MAX_IMAGE_PIXELS or 0), "pixels", over="refused"),
            Limit("SHA256SUMS of a codec", codec_manifest._LARGEST, "bytes", over="refused"),
            Limit("graphs within graphs of an ONNX file", wire.codec_graph.DEEPEST, over="refused"),
            Limit("record of a recording, unpacked", reader.RECORD_LIMIT, "bytes", over="the file is read up to there"),
            Limit("channels of a recording", reader.MOST_CHANNELS, over="the file is read up to there"),
            Limit("things wrong with a recording that are told", reader.MOST_DAMAGE),
            Limit("views that a replay holds until their references come", replay.MOST_WAITING),
            Limit("what those hold", replay.MOST_BYTES, "bytes", over="the oldest goes, and is not measured"),
            Limit("SigMF metadata", sigmf.META_LIMIT, "bytes", over="refused"),
            Limit("lines of the log that wait", log.MOST_LINES, over="left out and counted"),
            Limit("lines of the log, errors aside", log.LINES_A_SECOND, "/s", over="left out and counted"),
            Limit("line of the log", log.LONGEST, "letters", over="cut"),
        ],
    }


def tables() -> str:
    """What stands between the two marks of docs/limits.md."""
    lines: list[str] = []
    for door, rows in limits().items():
        lines += ["", f"## {door}", "", "| what | limit | key | beyond it |", "|---|---|---|---|"]
        lines += [f"| {row.what} | {row.shown} | {f'`{row.key}`' if row.key else ''} | {row.over} |" for row in rows]
    return "\n".join(lines) + "\n\n"


def page(text: str) -> str:
    """docs/limits.md with the tables as they are now. text: as it stands there"""
    return marks.between(text, BEGIN, END, f"\n{tables()}")


def keys() -> set[str]:
    """Of the configurations, that the tables name."""
    return {row.key for rows in limits().values() for row in rows if row.key}


if __name__ == "__main__":
    marks.write(PAGE, page(PAGE.read_text(encoding="utf-8")))
