import os
import subprocess
import sys
from pathlib import Path

import pytest

from center.__main__ import main
from center.config import CenterConfig
from wire.runtime.yaml_config import ConfigError, load

SHIPPED = Path(__file__).parents[2] / "deploy" / "config" / "center.yaml"


def test_the_shipped_file_says_every_key_and_its_default() -> None:
    loaded = load(CenterConfig, SHIPPED, "VERGENCE_CENTER", {})
    assert loaded == CenterConfig()
    assert loaded.model_fields_set == set(CenterConfig.model_fields)
    for name in CenterConfig.model_fields:
        section = getattr(loaded, name)
        if hasattr(section, "model_fields_set"):
            assert section.model_fields_set == set(type(section).model_fields), name


def test_check_config_says_ok(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check-config", "--config", str(SHIPPED)]) == 0
    assert capsys.readouterr().out.endswith("center.yaml: ok\n")


@pytest.mark.parametrize(
    ("key", "value", "line"),
    [
        (
            "ENGINE__KIND",
            "cuda",
            "engine.kind: input should be 'auto', 'onnxruntime', 'onnxruntime-i8', 'openvino', 'torch' or 'ray'"
            " (got 'cuda')",
        ),
        ("LISTEN", "here", "listen: write host:port, such as 127.0.0.1:50051"),
        ("PAGE__PROT", "1", "page.prot: unknown key; did you mean 'port'?"),
        ("PAGE__HOSTS", "[a.example:8080]", "page.hosts.0: write a name or an IPv4 address without a port"),
        ("BATCHING__MAX_SIZE", "0", "batching.max_size: input should be greater than or equal to 1"),
        (
            "RECORD__FILE_BYTES",
            "2147483648",
            "record: file_bytes is 2147483648, more than a quarter of max_bytes 2147483648; lower it",
        ),
        ("PAIRING__TOLERANCE_MS", "-1", "pairing.tolerance_ms: input should be greater than or equal to 0"),
    ],
)
def test_errors_name_the_key_and_what_is_allowed(key: str, value: str, line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(CenterConfig, SHIPPED, "VERGENCE_CENTER", {f"VERGENCE_CENTER__{key}": value})
    assert line in str(caught.value)


@pytest.mark.parametrize("address", ["10.0.0.7:6379", "ray://head.example:10001"])
def test_a_cluster_beyond_this_host_is_no_door_that_is_open_by_mistake(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_USE_TLS", raising=False)
    environment = {"VERGENCE_CENTER__ENGINE__KIND": "ray", "VERGENCE_CENTER__ENGINE__ADDRESS": address}
    with pytest.raises(ConfigError, match="is called by Ray in plain text") as caught:
        load(CenterConfig, SHIPPED, "VERGENCE_CENTER", environment)
    assert str(caught.value).endswith("or security.allow_insecure: true")
    meant = {**environment, "VERGENCE_CENTER__SECURITY__ALLOW_INSECURE": "true"}
    assert load(CenterConfig, SHIPPED, "VERGENCE_CENTER", meant).open_doors()
    here = {"VERGENCE_CENTER__ENGINE__KIND": "ray"}
    for unused in ({"VERGENCE_CENTER__ENGINE__ADDRESS": address}, here):
        assert not load(CenterConfig, SHIPPED, "VERGENCE_CENTER", unused).open_doors()
    monkeypatch.setenv("RAY_USE_TLS", "1")
    assert not load(CenterConfig, SHIPPED, "VERGENCE_CENTER", environment).open_doors()


@pytest.mark.skipif(sys.platform != "linux", reason="counts threads in /proc")
def test_numpy_leaves_the_cores_to_the_decoder_unless_the_operator_says_otherwise() -> None:
    look = """
import os
from center.__main__ import main
main(["check-config"])
import numpy
print(len(os.listdir("/proc/self/task")))
"""

    def threads(**own: str) -> int:
        environment = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")} | own
        return int(subprocess.check_output([sys.executable, "-c", look], env=environment).split()[-1])

    assert threads() == 1
    if (os.cpu_count() or 1) >= 2:  # numpy starts no more threads than there are processors
        assert threads(OPENBLAS_NUM_THREADS="2") == 2


def test_no_emulator_is_a_choice() -> None:
    assert load(CenterConfig, None, "VERGENCE_CENTER", {"VERGENCE_CENTER__EMULATOR": "''"}).emulator == ""


def test_every_problem_at_the_start_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VERGENCE_CENTER__CODEC", "nowhere")
    monkeypatch.setenv("VERGENCE_CENTER__LISTEN", "127.0.0.1:0")
    monkeypatch.setenv("VERGENCE_CENTER__PAGE__PORT", "0")
    assert main(["run"]) == 1
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("vergence-center: error: codec 'nowhere' is neither a folder nor shipped; shipped:")
