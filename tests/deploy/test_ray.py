"""Two real replicas under load, one of them killed. Needs the ray extra; Ray runs in a process of its own."""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import yaml

from center.decode.engines import Batch
from center.decode.engines.ray_engine import APPLICATION
from center.decode.failures import IN_A_ROW
from tests.center.conftest import FakeEngine

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


@needs_ray
@pytest.mark.filterwarnings("ignore")
async def test_a_replica_whose_decoder_is_broken_for_good_is_not_well(monkeypatch: pytest.MonkeyPatch) -> None:
    from deploy.ray import application

    engine = FakeEngine()
    monkeypatch.setattr("center.decode.engines.load", lambda *_: engine)
    monkeypatch.setattr("center.decode.failures.LONG_ENOUGH", 0.0)
    replica = application.Decoder.func_or_class(application.Options())  # type: ignore[attr-defined]
    batch = Batch.noise(2)
    for _ in range(IN_A_ROW - 1):
        engine.fails = True
        with pytest.raises(RuntimeError, match="on purpose"):
            await replica.decode(batch)
    await replica.check_health()
    engine.fails = False
    assert (await replica.decode(batch)).dtype == np.float16
    engine.fails = True
    for _ in range(IN_A_ROW):
        with pytest.raises(RuntimeError, match="on purpose"):
            await replica.decode(batch)
    with pytest.raises(RuntimeError, match="the decoder fails on every batch"):
        await replica.check_health()


def test_the_file_names_the_application_that_a_center_asks_for() -> None:
    (application,) = yaml.safe_load((ROOT / "deploy" / "ray" / "serve.yaml").read_text())["applications"]
    assert application["name"] == APPLICATION
    module, _, function = application["import_path"].partition(":")
    source = (ROOT / f"{module.replace('.', '/')}.py").read_text()
    assert f"def {function}(" in source
    assert all(f"    {key}: " in source for key in application["args"])
