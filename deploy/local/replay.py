"""Decode a recording again and compare, show it on the page, or turn its symbols into SigMF files."""

import argparse
import asyncio
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import numpy as np

from center.decode import engines
from wire.runtime.errors import UserError, not_installed, one_line
from wire.runtime.service import until_signalled

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from center.record.replay import Replay
    from wire.v1.recording_pb2 import RecordingSession

EXIT_DIFFERENT = 3
"""Decoded by the same codec and engine, pictures are not those that were recorded."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "recording", type=Path, nargs="?", metavar="FILE|DIR", help="an .mcap file, or a folder of them"
    )
    parser.add_argument("--sigmf", type=Path, metavar="DIR", help="read SigMF recordings instead")
    parser.add_argument(
        "--to-sigmf", type=Path, metavar="DIR", help="write the received symbols as SigMF; decode nothing"
    )
    parser.add_argument("--codec", metavar="NAME", help="another codec than the recorded one, to compare PSNR")
    parser.add_argument("--engine", choices=get_args(engines.Kind), help="default: as recorded")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), help="default: as recorded")
    parser.add_argument(
        "--threads", type=int, metavar="N", help="of the decoder, 0 is every core; default: as recorded"
    )
    parser.add_argument("--show", action="store_true", help="on the center's page, on this machine only, until Ctrl-C")
    parser.add_argument(
        "--speed", type=float, default=1.0, metavar="X", help="of --show; default: %(default)s, as recorded"
    )
    parser.add_argument("--page-port", type=int, default=8080, metavar="PORT", help="of --show; default: %(default)s")


def run(arguments: argparse.Namespace) -> int:
    """raises UserError, also if the extra is not installed"""
    if (arguments.recording is None) == (arguments.sigmf is None):
        raise UserError("give one recording: a file or folder of .mcap, or --sigmf DIR")
    if not (math.isfinite(arguments.speed) and arguments.speed > 0.0):
        raise UserError(f"--speed is {arguments.speed}; give a number above 0")
    try:
        from center.record import replay
    except ModuleNotFoundError as error:
        raise not_installed(error.name, "record") from error
    source = _Source(arguments)
    if arguments.to_sigmf is not None:
        return _to_sigmf(source, arguments.to_sigmf)
    again = replay.Replay(_Loader(arguments), with_ms_ssim=arguments.show)
    if arguments.show:
        asyncio.run(until_signalled(lambda stop: _show(again, source, arguments, stop)))
        return 0
    for _ in again.events(source.messages()):
        pass
    return _report(again, source, arguments.codec)


class _Source:
    """What is to be replayed, and what could not be read of it."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._sigmf: Path | None = arguments.sigmf
        self.path: Path = arguments.sigmf or arguments.recording
        self.damage: list[str] = []

    def messages(self) -> Iterator["Message"]:
        """raises UserError if there is nothing to read"""
        if self._sigmf is not None:
            from center.record import sigmf

            yield from sigmf.messages(self._sigmf)
            return
        from center.record import reader

        for path in reader.files(self.path):
            recording = reader.Recording(path)
            yield from recording.messages()
            self.damage += recording.damage


class _Loader:
    """Loads what decodes a session: as recorded, but for what the command line says otherwise."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._arguments = arguments

    def __call__(self, session: "RecordingSession") -> engines.Engine:
        from center.record import messages

        asked = self._arguments
        known: dict[str, engines.Kind] = {kind: kind for kind in get_args(engines.Kind)}
        kind: engines.Kind = asked.engine or known.get(session.engine, "torch")
        device: engines.Device = asked.device or ("cuda" if session.device == "cuda" else "cpu")
        threads = session.threads if asked.threads is None else asked.threads
        engine = engines.load(asked.codec or session.codec, kind, device, min(threads, 256))
        if asked.codec is None and engine.codec_hash != session.codec_hash:
            raise UserError(
                f"the recording was decoded by codec {session.codec_hash[:64]}, but '{session.codec[:64]}' is"
                f" {engine.codec_hash} here; give the folder of the other by --codec, or this one to compare"
            )
        _say(f"codec {asked.codec or session.codec} ({engine.codec_hash}), {engine.name}, {threads or 'all'} threads")
        here = messages.machine(session.engine)
        if session.machine != here:
            _say(f"recorded on {session.machine[:200]}; here is {here}: the last bits may differ")
        return engine


def _report(again: "Replay", source: _Source, codec: str | None) -> int:
    tally = again.tally
    for line in (*source.damage, *tally.faults):
        print(f"vergence replay: {one_line(line)}", file=sys.stderr)
    if not tally.pairs:
        raise UserError(f"{source.path} holds no pair that can be decoded; was anything recorded?")
    _say(
        f"{tally.pairs} pairs, {tally.equal + tally.different} views decoded again: {tally.equal} equal bit for bit,"
        f" {tally.different} different, {tally.unreadable} unreadable"
    )
    finite = np.array([both for both in tally.psnr if np.isfinite(both).all()])
    if len(finite):
        before, now = finite.mean(axis=0)
        gain = np.round(finite[:, 1] - finite[:, 0], 2) + 0.0  # no -0.00
        _say(
            f"mean PSNR of {len(finite)} views with a reference: {before:.2f} dB recorded, {now:.2f} dB now,"
            f" {np.round(now - before, 2) + 0.0:+.2f} dB ({gain.min():+.2f} to {gain.max():+.2f})"
        )
    return EXIT_DIFFERENT if codec is None and tally.different else 0


async def _show(again: "Replay", source: _Source, arguments: argparse.Namespace, stop: asyncio.Event) -> None:
    from center.record.show import Show

    show = Show(again, arguments.page_port, arguments.speed, source.path.name)
    await show.page.start()
    _say(f"open http://{show.page.host}:{show.page.port}; Ctrl-C ends it")
    playing = asyncio.create_task(show.play(again.events(source.messages())))
    stopped = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((playing, stopped), return_when=asyncio.FIRST_COMPLETED)
        if playing.done():
            await playing  # raises what went wrong
            _report(again, source, arguments.codec)
            _say("that was the end; Ctrl-C closes the page")
            await stopped
    finally:
        playing.cancel()
        stopped.cancel()
        show.broadcaster.close()
        await show.page.stop()


def _to_sigmf(source: _Source, folder: Path) -> int:
    from center.record import sigmf

    written = sigmf.write(source.messages(), folder)
    for line in source.damage:
        print(f"vergence replay: {one_line(line)}", file=sys.stderr)
    for name, frames in written.items():
        _say(f"{folder / name}.sigmf-meta: {frames} frames")
    return 0


def _say(line: str) -> None:
    print(f"vergence replay: {one_line(line)}", flush=True)  # a file's words may be anything
