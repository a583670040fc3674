"""Train a codec: `python -m jscc.train --preset small --pairs DIR... --mono DIR... --val DIR --out runs/x`.

One step: cut pairs at random, draw the links, send, decode, descend. Patches first (they learn faster per second),
whole pictures for the last part (power is normalised per picture, so patches and pictures spend it differently).
Everything random is a function of (seed, step), so `--resume` continues exactly. SIGTERM and Ctrl-C save and stop.
Several processes: `torchrun --nproc-per-node 2 -m jscc.train ...`, with `--out` in a folder that all of them see.
"""

import argparse
import contextlib
import dataclasses
import math
import os
import shlex
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import cv2
import torch
from torch import Tensor

from jscc.data.picture_store import PictureStore
from jscc.model.codec import count
from jscc.model.config import preset
from jscc.train.arguments import parser, settings_of
from jscc.train.device_steps import DeviceSteps
from jscc.train.distributed import ProcessGroup, processes
from jscc.train.host_steps import HostSteps, Steps
from jscc.train.loop import Cadence, run
from jscc.train.overrides import changed
from jscc.train.pictures import TrainingPictures, read_pictures
from jscc.train.run_folder import RunFolder, described
from jscc.train.settings import TrainSettings
from jscc.train.start import start
from jscc.train.state import TrainState
from jscc.train.step import Diverged
from jscc.train.timetable import Timetable, plan
from wire.runtime.errors import UserError, not_installed

SAVING_SECONDS = 5.0
"""Of --minutes, kept for the last save."""
STOPPED = "stopped before this call's first step; what was saved stays"


def read_device(name: str | None) -> torch.device:
    """The device called `name`, made the current one; by default CUDA if it is there, else the CPU. ValueError.

    Of several GPUs, each of torchrun's processes has its own where no number is given.
    """
    if name is None:
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda":
        name = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
    try:
        device = torch.empty(0, device=name).device
        if device.type == "cuda":
            torch.cuda.set_device(device)  # graphs are captured, and NCCL sends, on the current one
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"--device {name} cannot be used: {str(error).splitlines()[0]}") from error
    return device


def check_team(processes: int, settings: TrainSettings) -> None:
    """ValueError if a process would have nothing to do in some step."""
    if processes > settings.fewest_pairs():
        raise ValueError(
            f"{processes} processes cannot share {settings.fewest_pairs()} pairs:"
            " give --pictures (and --patches) at least as many as processes"
        )


def check_together(args: argparse.Namespace) -> None:
    """ValueError for options that exclude each other or that do nothing alone."""
    if args.pictures_on == "device" and processes() > 1:
        raise ValueError("--pictures-on device is for one process; leave it out, or leave torchrun out")
    if args.minutes is not None and not 0 < args.minutes < math.inf:
        raise ValueError(f"--minutes is {args.minutes}; it must be above 0, and finite")
    for name in ("ship_seconds", "threads"):
        if not 0 <= getattr(args, name) < math.inf:
            raise ValueError(f"--{name.replace('_', '-')} is {getattr(args, name)}; it must be at least 0, and finite")
    if args.minutes is not None and processes() > 1:
        raise ValueError("--minutes is for one process; give --steps")
    if args.freeze_encoder and args.init is None:
        raise ValueError("--freeze-encoder needs --init: a codec or run whose symbols the decoder is for")


def check_ship(folder: Path) -> None:
    """Whether a codec can be made there in the end: UserError for a missing library, OSError. Leaves nothing there."""
    try:
        for name in ("jscc.release.bundle", "onnxscript"):  # torch's exporter asks for the latter when it is called
            import_module(name)
    except ModuleNotFoundError as error:
        raise not_installed(error.name, "train") from error
    there = folder.absolute()
    while not there.exists():
        there = there.parent
    try:
        tempfile.TemporaryFile(dir=there).close()
    except OSError as error:
        raise OSError(f"--ship {folder} cannot be written: {error.strerror}") from error


def on_device(args: argparse.Namespace, device: torch.device) -> bool:
    """Whether windows are cut there: as --pictures-on says; else on CUDA and of packs, by one process."""
    if args.pictures_on != "auto":
        return bool(args.pictures_on == "device")
    return processes() == 1 and (device.type == "cuda" or bool(args.pack))


def check_speed(args: argparse.Namespace, device: torch.device) -> None:
    """ValueError for --graph and --compile where steps of this kind are not made: they would be slower unnoticed."""
    if args.graph == "on" and device.type != "cuda":
        raise ValueError(f"--graph on needs a CUDA device, not {device}; leave it out, or give --device cuda")
    for option in ("graph", "compile"):
        if getattr(args, option) == "on" and not on_device(args, device):
            remedy = "leave torchrun out" if processes() > 1 else "give --pictures-on device"
            raise ValueError(f"--{option} on is for pictures that lie on the device; {remedy}, or leave it out")


def make_steps(
    args: argparse.Namespace,
    state: TrainState,
    settings: TrainSettings,
    pictures: TrainingPictures,
    device: torch.device,
    team: ProcessGroup,
) -> Steps:
    """Steps on the device or with pictures from the host, as the options say or as the device suggests."""
    if not on_device(args, device):
        return HostSteps(state, settings, pictures.sources, device, settings.steps, team)
    graph = device.type == "cuda" and args.graph != "off"
    compiled = args.compile == "on"
    steps = DeviceSteps(state, settings, PictureStore(pictures.sources, device), graph=graph, compiled=compiled)
    print(
        f"pictures on {device.type}{', steps as CUDA graphs' if steps.graph else ''}{', compiled' if compiled else ''}",
        flush=True,
    )
    return steps


class Job(NamedTuple):
    """A training that can begin."""

    state: TrainState
    settings: TrainSettings
    cadence: Cadence
    pictures: TrainingPictures
    folder: RunFolder
    device: torch.device


def prepare(args: argparse.Namespace) -> Job:
    """Check what was asked for, and read what is needed for it. OSError, ValueError or UserError say what is wrong."""
    check_together(args)
    device = read_device(args.device)
    check_speed(args, device)
    if args.ship is not None:
        check_ship(args.ship)
    settings = settings_of(args, device)
    check_team(processes(), settings)
    config = changed(preset(args.preset, joint=not args.baseline), args.set, "codec")
    cadence = Cadence(args.log_every, args.val_every, args.save_minutes, args.stop_after)
    pictures = read_pictures(args.pairs, args.mono, args.val, args.pack, settings.sizes)
    folder = RunFolder(args.out)
    settings = keep_timetable(args, settings, folder)
    return Job(start(args, config, settings, folder, pictures, device), settings, cadence, pictures, folder, device)


def main(arguments: Sequence[str] | None = None) -> TrainState:
    """Entry point. What the user can mend ends it with one line."""
    began = time.monotonic()
    args = parser().parse_args(arguments)
    if args.threads > 0:
        torch.set_num_threads(args.threads)
    cv2.setNumThreads(
        0
    )  # cutting batches has a thread of its own; OpenCV's would take the cores that torch computes on
    try:
        job = prepare(args)
    except (OSError, ValueError, UserError) as error:
        sys.exit(f"{parser().prog}: {error}")
    except KeyboardInterrupt:
        sys.exit(f"{parser().prog}: {STOPPED}")

    state, settings, cadence, pictures, folder, device = job
    team = ProcessGroup.gather(device)
    if not team.agrees(state.step, device):
        team.shutdown()
        sys.exit(f"{parser().prog}: process {team.rank} is at step {state.step}, others are not: share --out with all")
    team.start_alike(state.model, state.ema)
    held = f"{folder.state} holds what was saved, if anything"
    try:
        if team.rank == 0:
            tell_start(state, pictures, team, device)
        steps = make_steps(args, state, settings, pictures, device, team) if state.step < settings.steps else None
        reserve = SAVING_SECONDS + (args.ship_seconds if args.ship else 0.0)
        timetable = Timetable(began + 60 * args.minutes, reserve) if args.minutes is not None else None
        if timetable is not None and state.step > 0:
            cadence = dataclasses.replace(cadence, deadline=timetable.ends - timetable.reserve)
        elif timetable is not None and steps is not None:
            settings, cadence = plan(timetable, state, settings, cadence, steps, pictures.val, device)
            folder.describe({**described(folder.path), "settings": dataclasses.asdict(settings)})
        whole = run(state, settings, cadence, folder, pictures.sources, pictures.val, device, team, steps)
    except BrokenPipeError:
        drop_output()
        sys.exit(f"{parser().prog}: nobody reads what is printed any more; {held}; --resume goes on")
    except KeyboardInterrupt:  # while --minutes measures: a training takes it as a wish to stop
        sys.exit(f"{parser().prog}: {STOPPED}")
    except (Diverged, OSError, ValueError, UserError) as error:
        sys.exit(f"{parser().prog}: {error}; {held}")
    finally:
        team.shutdown()
    if team.rank == 0:
        finish(args, folder, pictures.val, device, whole=whole and state.step >= settings.steps)
    return state


def tell_start(state: TrainState, pictures: TrainingPictures, team: ProcessGroup, device: torch.device) -> None:
    """What is trained on what."""
    sources = pictures.sources
    print(f"pictures: {len(sources.colour)} colour pairs, {len(sources.grey)} grey pairs, {len(sources.mono)} single")
    print(f"training {count(state.model) / 1e6:.2f} M parameters on {device.type}, processes: {team.size}", flush=True)
    if state.step:
        print(f"resumed at step {state.step}", flush=True)


def drop_output() -> None:
    """After a broken pipe: else Python would stumble over it once more at its end, in words that help nobody."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def keep_timetable(args: argparse.Namespace, settings: TrainSettings, folder: RunFolder) -> TrainSettings:
    """With --minutes, a run that goes on keeps the number of steps that its first call chose."""
    if args.minutes is None or not (args.resume and folder.state.exists()):
        return settings
    return dataclasses.replace(settings, steps=int(described(folder.path)["settings"]["steps"]))


def finish(
    args: argparse.Namespace, folder: RunFolder, val: Tensor | None, device: torch.device, *, whole: bool
) -> None:
    """Ship if that was asked for, or say how; a run that the time has cut short is shipped too."""
    asks = args.ship is not None and (whole or args.minutes is not None)
    words = ["python", "-m", "jscc.ship", "--run", str(args.out), "--out", str(args.ship) if asks else "my-codec"]
    words += ["--val", str(args.val)] if args.val else []
    command = shlex.join([*words, "--data", args.data if asks and args.data else "PICTURES (LICENCE)"])
    if asks:
        from jscc.release.bundle import ship

        began = time.monotonic()
        try:
            codec_hash = ship(folder.path, args.ship, val, args.ship_snrs, args.data, device)
        except (OSError, ValueError, UserError) as error:
            sys.exit(f"{parser().prog}: no codec was made: {error}; {folder.state} is saved: {command}")
        except KeyboardInterrupt:
            sys.exit(f"{parser().prog}: no codec was made: stopped; {folder.state} is saved: {command}")
        said = f"{args.ship}: codec hash {codec_hash}, shipped in {time.monotonic() - began:.0f} s"
    elif whole:
        said = f"finished: {command}"
    else:
        return
    try:
        print(said, flush=True)
    except BrokenPipeError:  # and all is done
        drop_output()


if __name__ == "__main__":
    main()
