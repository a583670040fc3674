"""Importing a module changes nothing of the process: tried on every module of the project, in a fresh interpreter."""

import json
import subprocess
import sys
from pathlib import Path

import vergence

ROOT = Path(__file__).resolve().parents[1]
CODE = """
import importlib, json, logging, os, pkgutil, signal, sys, threading
import cv2, numpy, onnx, onnxruntime, torch  # what these change by themselves is theirs

def state():
    return {
        "environment": dict(os.environ),
        "threads of OpenCV": cv2.getNumThreads(),
        "threads of torch": torch.get_num_threads(),
        "threads": [each.name for each in threading.enumerate()],
        "handlers": [str(signal.getsignal(number)) for number in (signal.SIGINT, signal.SIGTERM)],
        "log": [str(logging.root.handlers), logging.root.level],
        "numpy": str(numpy.geterr()),
        "folder": os.getcwd(),
    }

packages = json.loads(sys.argv[1])
names, changes = [], []

def modules():
    for package in packages:
        yield package
        for module in pkgutil.walk_packages([package], package + "."):  # imports packages on its way
            yield module.name

before = state()
for name in modules():
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as missing:
        if missing.name != "ray":  # of an extra that not even developers need to have
            raise
    after = state()
    changes += [f"{name}: {key} {before[key]} -> {after[key]}" for key in before if before[key] != after[key]]
    names.append(name)
    before = after
print(json.dumps({"names": names, "changes": changes}))
"""


def test_no_module_changes_the_process_when_it_is_imported() -> None:
    packages = sorted({name.partition(".")[0] for name in vergence.PACKAGES})
    done = subprocess.run(
        [sys.executable, "-c", CODE, json.dumps(packages)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert len(said["names"]) > 200
    assert not said["changes"]
