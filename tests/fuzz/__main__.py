"""The long run: `python -m tests.fuzz TARGET... --runs 1000000`; without targets, all of them.

With atheris, where it is installed, coverage guides it, in a process for each target; `--blind` does without. What
it finds new goes into --keep. A crash is written beside, and the exit code is 1.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
import zlib
from importlib.util import find_spec
from pathlib import Path

TRACED = ("wire", "center", "channel_emulator", "edge", "jscc.model", "yaml", "mcap", "PIL", "prometheus_client")


def one(name: str, runs: int, seconds: int, keep: Path, blind: bool) -> None:
    """Fuzz one target in this process; prints a line of JSON."""
    if not blind:
        import atheris

        with atheris.instrument_imports(include=list(TRACED)):
            from tests.fuzz import targets
    else:
        from tests.fuzz import targets
    from tests.fuzz.mutate import mutations

    target, seeds, began, done = targets.TARGETS[name], targets.seeds(name), time.monotonic(), 0
    for seed in seeds:
        target.run(seed)
    early = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    def tell() -> None:
        now = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        took = time.monotonic() - began
        line = {
            "target": name,
            "guided": not blind,
            "seeds": len(seeds),
            "inputs": done,
            "a second": round(done / took),
        }
        print(json.dumps({**line, "seconds": round(took), "MB at first": round(early), "MB more": round(now - early)}))
        sys.stdout.flush()

    if blind:
        until = began + seconds
        for data in mutations(seeds, targets.dictionary(name), target.limit, seed=1):
            if done >= runs or time.monotonic() > until:
                break
            try:
                target.run(data)
            except BaseException:
                (keep / f"crash-{name}").write_bytes(data)
                raise
            done += 1
        tell()
        return

    def counted(data: bytes) -> None:
        nonlocal done
        done += 1
        target.run(data)
        if done == runs or (done % 256 == 0 and time.monotonic() - began > seconds):
            tell()
            sys.stdout.flush()
            os._exit(0)  # libFuzzer knows no other end

    corpus = keep / name
    corpus.mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        (corpus / f"seed-{zlib.crc32(seed):08x}").write_bytes(seed)
    options = [
        f"-max_len={target.limit}",
        "-timeout=20",
        "-rss_limit_mb=4096",
        f"-artifact_prefix={keep}/crash-{name}-",
    ]
    atheris.Setup([sys.argv[0], str(corpus), *options, "-print_final_stats=0", "-verbosity=0"], counted)
    atheris.Fuzz()


def main() -> int:
    """All targets one after the other, each in a process of its own."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("targets", nargs="*", metavar="TARGET")
    parser.add_argument("--runs", type=int, default=1_000_000, help="inputs of a target")
    parser.add_argument("--seconds", type=int, default=3_600, help="at most, of a target")
    parser.add_argument("--keep", type=Path, default=Path("runs/fuzz"), help="for what is found")
    parser.add_argument("--blind", action="store_true", help="without atheris")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    asked.blind = asked.blind or find_spec("atheris") is None
    asked.keep.mkdir(parents=True, exist_ok=True)
    if asked.here:
        one(asked.targets[0], asked.runs, asked.seconds, asked.keep, asked.blind)
        return 0
    from tests.fuzz import targets

    failed = []
    for name in asked.targets or targets.TARGETS:
        words = [name, "--here", "--runs", str(asked.runs), "--seconds", str(asked.seconds), "--keep", str(asked.keep)]
        command = [sys.executable, "-m", "tests.fuzz", *words, *(["--blind"] if asked.blind else [])]
        ended = subprocess.run(command, check=False, stderr=subprocess.PIPE, text=True, errors="replace")
        if ended.returncode:
            failed.append(name)
            print(f"{name}: FAILED\n{ended.stderr[-4000:]}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
