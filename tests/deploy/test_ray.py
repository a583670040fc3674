"""Two real replicas under load, one of them killed. Needs the ray extra; Ray runs in a process of its own."""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

from center.decode.engines.ray_engine import APPLICATION

ROOT = Path(__file__).resolve().parents[2]
needs_ray = pytest.mark.skipif(
    find_spec("ray") is None, reason="Ray is not installed; pip install '.[edge,ray]' has it"
)


@needs_ray
@pytest.mark.timeout(400)
def test_a_replica_that_is_killed_takes_one_batch_along_at_most(tmp_path: Path) -> None:
    out = tmp_path / "drill.json"
    words = ["--replicas", "2", "--rigs", "4", "--rate", "2", "--seconds", "16", "--json", str(out)]
    command = [sys.executable, "-m", "deploy.ray.drill", *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=380, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(out.read_text())
    assert found["outcomes"]["paired"] > 0, found
    assert found["lost_instants"] <= found["largest_batch"]
    assert found["drops"].get("decoder", 0.0) == 0.0, "a replica that dies is counted as that"
    assert found["pairs_after_the_kill"] > 0, found
    assert found["replica_back_s"] > 0.0, f"Ray starts another one: {found}"


@needs_ray
@pytest.mark.filterwarnings("ignore")  # importing Ray warns of what Ray itself does
def test_the_application_takes_what_its_file_says() -> None:
    from deploy.ray.application import Options, build

    (application,) = yaml.safe_load((ROOT / "deploy" / "ray" / "serve.yaml").read_text())["applications"]
    assert Options(**application["args"]) == Options()
    assert application["import_path"] == f"{build.__module__}:{build.__qualname__}"


def test_the_file_names_the_application_that_a_center_asks_for() -> None:
    (application,) = yaml.safe_load((ROOT / "deploy" / "ray" / "serve.yaml").read_text())["applications"]
    assert application["name"] == APPLICATION
    module, _, function = application["import_path"].partition(":")
    source = (ROOT / f"{module.replace('.', '/')}.py").read_text()
    assert f"def {function}(" in source
    assert all(f"    {key}: " in source for key in application["args"])
