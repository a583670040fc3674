"""Generate the Python side of the contract: `python proto/generate.py` (or `make proto`).

The stubs land in `wire/v1/`. protoc names imports after the proto package (`vergence.v1`); they are
rewritten to `wire.v1`, where the files live. `--check` writes nothing and fails when a stub is stale.
Needs the `dev` extra (grpcio-tools, mypy-protobuf).
"""

import argparse
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "wire" / "v1"
PACKAGE_NOTE = '"""Generated from proto/vergence/v1 by `make proto`. Do not edit."""\n'


def generate(into: Path) -> dict[str, str]:
    """Run protoc over the contract; returns file name -> text, imports rewritten to `wire.v1`."""
    from grpc_tools import protoc

    protos = sorted(str(path) for path in (ROOT / "proto" / "vergence" / "v1").glob("*.proto"))
    well_known = Path(protoc.__file__).parent / "_proto"
    outputs = [f"--{kind}_out={into}" for kind in ("python", "grpc_python", "mypy", "mypy_grpc")]
    beside = Path(sys.executable).parent  # the plugins of this environment, whether or not it is activated
    plugins = [f"--plugin={name}={beside / name}" for name in ("protoc-gen-mypy", "protoc-gen-mypy_grpc")]
    if protoc.main(["protoc", f"-I{ROOT / 'proto'}", f"-I{well_known}", *plugins, *outputs, *protos]) != 0:
        raise SystemExit("protoc failed; its message is above")
    stubs = {"__init__.py": PACKAGE_NOTE}
    for path in sorted((into / "vergence" / "v1").iterdir()):
        if path.stem.endswith("_pb2_grpc") and "_service" not in path.stem:
            continue  # types.proto has no service: its gRPC file would be empty
        text = path.read_text(encoding="utf-8")
        text = text.replace("from vergence.v1 import", "from wire.v1 import")
        stubs[path.name] = text
    return stubs


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python proto/generate.py", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a stub is stale")
    check = parser.parse_args(arguments).check
    with tempfile.TemporaryDirectory() as folder:
        stubs = generate(Path(folder))
    present = {path.name: path.read_text(encoding="utf-8") for path in TARGET.glob("*.py*") if path.is_file()}
    stale = sorted(name for name in stubs.keys() | present.keys() if stubs.get(name) != present.get(name))
    if check:
        if stale:
            print(f"stale stubs in {TARGET.name}/: {', '.join(stale)}; run `make proto`", file=sys.stderr)
        return 1 if stale else 0
    TARGET.mkdir(exist_ok=True)
    for name in present.keys() - stubs.keys():
        (TARGET / name).unlink()
    for name, text in stubs.items():
        (TARGET / name).write_text(text, encoding="utf-8")
    print(f"wrote {len(stubs)} files, {len(stale)} changed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
