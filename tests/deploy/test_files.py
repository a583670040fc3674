"""The files that start vergence elsewhere, judged by the tools that will read them. A missing tool is a skip.

Debian has promtool (prometheus) and systemd-analyze (systemd); hadolint comes with the dev extra.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from center.config import CenterConfig
from channel_emulator.config import EmulatorConfig
from edge.config import EdgeConfig
from wire.runtime.yaml_config import load
from wire.security.section import SecuredConfig

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
OURS = ("edge-left", "edge-right", "channel-emulator", "center")
OVERLAYS = ("gpu", "cameras", "mtls")
MEMORY_OF_CENTER = 2 << 30
"""Bytes. `docs/reliability.md` has what was measured."""
UNITS = ("vergence-edge@left.service", "vergence-emulator.service", "vergence-center.service")
MOST_EXPOSED = 3.0


def run(*command: str) -> str:
    """What a tool prints. Fails with its words if it does, skips where it is missing."""
    beside = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # what came with the dev extra
    if shutil.which(command[0], path=beside) is None:
        pytest.skip(f"{command[0]} is not installed; CI and `make test` check this where it is")
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "PATH": beside}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def compose(*files: str) -> dict[str, Any]:
    """The services as compose understands them."""
    if subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode != 0:
        pytest.skip("docker compose is not installed; CI and `make test` check this where it is")
    options = [part for file in ("compose.yaml", *files) for part in ("--file", file)]
    read: dict[str, Any] = json.loads(run("docker", "compose", *options, "config", "--format", "json"))["services"]
    return read


MODELS: dict[str, type[SecuredConfig]] = {"edge": EdgeConfig, "emulator": EmulatorConfig, "center": CenterConfig}
SERVICES = {"edge-left": "edge", "edge-right": "edge", "channel-emulator": "emulator", "center": "center"}


def as_started(service: str, environment: Mapping[str, str]) -> SecuredConfig:
    """The configuration of a container of ours. raises ConfigError where it would not start"""
    return load(MODELS[service], DEPLOY / "config" / f"{service}.yaml", f"VERGENCE_{service.upper()}", environment)


def test_every_container_starts_and_says_that_its_doors_are_open() -> None:
    services = compose()
    for name, service in SERVICES.items():
        config = as_started(service, services[name]["environment"])
        assert config.open_doors(), "nothing to allow: take security.allow_insecure away"


def test_behind_the_overlay_no_door_is_open() -> None:
    services = compose("deploy/compose.mtls.yaml")
    for name, service in SERVICES.items():
        config = as_started(service, services[name]["environment"])
        assert config.open_doors() == []
        assert not config.security.allow_insecure
        (secrets,) = (each for each in services[name]["volumes"] if each["target"] == "/run/secrets")
        folder = {"edge-left": "demo-left", "edge-right": "demo-right", "channel-emulator": "emulator"}.get(name, name)
        assert Path(secrets["source"]) == DEPLOY / "certs" / folder
        assert secrets["read_only"]
        assert not secrets["bind"].get("create_host_path", False)


def test_a_pod_starts_and_says_that_its_doors_are_open() -> None:
    (container,) = yaml.safe_load((DEPLOY / "kubernetes" / "deployment.yaml").read_text())["spec"]["template"]["spec"][
        "containers"
    ]
    config = as_started("center", {each["name"]: each["value"] for each in container["env"]})
    assert config.open_doors()


def test_behind_the_overlay_a_pod_has_no_open_door() -> None:
    rendered = list(yaml.safe_load_all(run("kubectl", "kustomize", "deploy/kubernetes-mtls")))
    for manifest in rendered:
        kubernetes_validate.validate(manifest, "1.37", strict=True)
    (pod,) = (each["spec"]["template"]["spec"] for each in rendered if each["kind"] == "Deployment")
    (container,) = pod["containers"]
    config = as_started("center", {each["name"]: each["value"] for each in container["env"]})
    assert config.open_doors() == []
    assert not config.security.allow_insecure
    for probe in ("startupProbe", "readinessProbe"):
        assert "--tls" in container[probe]["exec"]["command"], "the kubelet's own speak no TLS"
        assert container[probe]["timeoutSeconds"] > 1, "Python takes longer to start"
    (mount,) = (each for each in container["volumeMounts"] if each["mountPath"] == "/run/secrets")
    (volume,) = (each for each in pod["volumes"] if each["name"] == mount["name"])
    assert volume["secret"]["secretName"] == "center"
    assert mount["readOnly"]


def test_certificates_stay_out_of_git_and_of_images() -> None:
    assert "/deploy/certs/" in (ROOT / ".gitignore").read_text().splitlines()
    assert "deploy/certs" in (ROOT / ".dockerignore").read_text().splitlines()


def test_the_dockerfile_is_clean() -> None:
    run("hadolint", "deploy/docker/Dockerfile")


def test_compose_reads_its_files() -> None:
    assert set(OURS) < set(compose())
    for overlay in OVERLAYS:
        assert set(compose(f"deploy/compose.{overlay}.yaml")) == set(compose())


def test_no_service_has_rights_or_may_fill_the_machine() -> None:
    for name, service in compose().items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert int(service["mem_limit"]) <= (MEMORY_OF_CENTER if name == "center" else 2**30), name
        assert service["logging"]["options"]["max-size"], name
        assert not service.get("privileged"), name


def test_a_center_has_the_same_memory_everywhere_and_enough_for_the_largest_pictures() -> None:
    """What `links.max_rigs` lets in of 512x1024 did not fit into the half of it that two of the three gave."""
    limits = {
        "compose.yaml": r"^  center:\n(?:    .*\n)*    mem_limit: (\d+)g\b",
        "kubernetes/deployment.yaml": r"^ +limits: \{memory: (\d+)Gi\}",
        "systemd/vergence-center.service": r"^MemoryMax=(\d+)G$",
    }
    for file, pattern in limits.items():
        (gigabytes,) = re.findall(pattern, (DEPLOY / file).read_text(), re.MULTILINE)
        assert int(gigabytes) << 30 == MEMORY_OF_CENTER, file


def test_ports_are_published_to_this_machine_only() -> None:
    for name, service in compose().items():
        for port in service.get("ports", []):
            assert port["host_ip"] == "127.0.0.1", name


def test_nothing_waits_for_a_service_that_is_merely_started() -> None:
    for name, service in compose().items():
        for other, wait in service.get("depends_on", {}).items():
            assert wait["condition"] == "service_healthy", f"{name} waits for {other}"


def test_every_version_and_port_stands_in_the_environment_file() -> None:
    text = (DEPLOY / "compose.yaml").read_text()
    set_there = set(re.findall(r"^([A-Z_]+)=", (ROOT / ".env").read_text(), re.MULTILINE))
    overlays = "".join((DEPLOY / f"compose.{overlay}.yaml").read_text() for overlay in OVERLAYS)
    assert set(re.findall(r"\$\{([A-Z_]+)", text + overlays)) == set_there
    for image in re.findall(r"^ *image: (\S+)", text, re.MULTILINE):
        assert "${" in image


def test_a_camera_s_password_may_hold_any_sign(tmp_path: Path) -> None:
    """Between the quotes that stand in .env; without them compose takes $word for a variable and # for a comment."""
    compose()  # skips where compose is missing
    (tmp_path / "deploy").mkdir()
    for path in [ROOT / "compose.yaml", *DEPLOY.glob("compose*.yaml")]:
        shutil.copy(path, tmp_path / path.relative_to(ROOT))
    url = "rtsp://user:pa$$wo$rd#1 2@camera.example/stream"
    shipped = (ROOT / ".env").read_text()
    assert "LEFT_URL=''" in shipped
    (tmp_path / ".env").write_text(shipped.replace("LEFT_URL=''", f"LEFT_URL='{url}'"))
    overlay = ["--file", str(tmp_path / "compose.yaml"), "--file", str(tmp_path / "deploy" / "compose.cameras.yaml")]
    read = json.loads(run("docker", "compose", *overlay, "config", "--format", "json"))["services"]
    given = read["edge-left"]["environment"]["VERGENCE_EDGE__CAMERA__URL"]
    assert given.replace("$$", "$") == url  # compose prints $ as it wants to read it


def test_prometheus_reads_its_files() -> None:
    run("promtool", "check", "config", "deploy/prometheus/prometheus.yml")
    run("promtool", "check", "config", "--syntax-only", "deploy/prometheus/prometheus.mtls.yml")


def test_prometheus_looks_the_same_way_behind_locked_doors_but_with_a_token() -> None:
    plain, locked = (
        yaml.safe_load((DEPLOY / "prometheus" / name).read_text()) for name in ("prometheus.yml", "prometheus.mtls.yml")
    )
    (center,) = (each for each in locked["scrape_configs"] if each["job_name"] == "center")
    files = [center["tls_config"].pop("ca_file"), center["authorization"].pop("credentials_file")]
    assert files == ["/run/secrets/authority.pem", "/run/secrets/token"]
    assert [center.pop(key) for key in ("scheme", "tls_config", "authorization")] == ["https", {}, {"type": "Bearer"}]
    assert locked == plain
    service = compose("deploy/compose.mtls.yaml")["prometheus"]
    assert "--config.file=/etc/prometheus/prometheus.mtls.yml" in service["command"]
    (secrets,) = (each for each in service["volumes"] if each["target"] == "/run/secrets")
    assert Path(secrets["source"]) == DEPLOY / "certs" / "metrics"
    (kept,) = (each for each in service["volumes"] if each["target"] == "/prometheus")
    assert kept["type"] == "tmpfs"


def test_the_rules_are_tested_in_an_order_that_is_given() -> None:
    """Groups that are not named, or named alike, are evaluated in a random order: a test that fails now and then."""
    files = (DEPLOY / "prometheus" / "rules").glob("*.yml")
    groups = sorted(group["name"] for file in files for group in yaml.safe_load(file.read_text())["groups"])
    order = yaml.safe_load((DEPLOY / "prometheus" / "tests" / "alerts.yml").read_text())["group_eval_order"]
    assert groups == sorted(order)


def test_every_alert_fires_and_clears() -> None:
    run("promtool", "test", "rules", "deploy/prometheus/tests/alerts.yml")


def test_no_alert_is_untested() -> None:
    rules = yaml.safe_load((DEPLOY / "prometheus" / "rules" / "alerts.yml").read_text())["groups"]
    tests = yaml.safe_load((DEPLOY / "prometheus" / "tests" / "alerts.yml").read_text())["tests"]
    cases = [case for test in tests for case in test["alert_rule_test"]]
    for alert in (rule["alert"] for group in rules for rule in group["rules"]):
        assert any(case["alertname"] == alert and case["exp_alerts"] for case in cases), f"{alert} never fires"
        assert any(case["alertname"] == alert and not case["exp_alerts"] for case in cases), f"{alert} never clears"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file system with our units and stand-ins for our programs, as systemd-analyze wants to see it."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed; CI and `make test` check the units where it is")
    made = tmp_path_factory.mktemp("root")
    shutil.copytree("/usr/lib/systemd/system", made / "usr" / "lib" / "systemd" / "system", symlinks=True)
    units, programs = made / "etc" / "systemd" / "system", made / "opt" / "vergence" / "bin"
    shutil.copytree(DEPLOY / "systemd" / "vergence-.service.d", units / "vergence-.service.d")
    programs.mkdir(parents=True)
    for unit in (DEPLOY / "systemd").glob("*.service"):
        shutil.copy(unit, units)
        program = programs / unit.name.removesuffix(".service").removesuffix("@")
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
    (units / UNITS[0]).symlink_to("vergence-edge@.service")
    return made


@pytest.mark.parametrize("unit", UNITS)
def test_systemd_takes_the_unit_without_a_word(root: Path, unit: str) -> None:
    done = subprocess.run(
        ["systemd-analyze", "verify", f"--root={root}", str(root / "etc" / "systemd" / "system" / unit)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize("unit", UNITS)
def test_systemd_takes_the_credentials_without_a_word(root: Path, unit: str) -> None:
    added = root / "etc" / "systemd" / "system" / f"{unit}.d"
    added.mkdir()
    try:
        shutil.copy(DEPLOY / "systemd" / "certs.conf", added)
        shown = run("systemd-analyze", "cat-config", f"--root={root}", f"systemd/system/{unit}.d/certs.conf")
        assert shown.count("LoadCredential=") == 5
        test_systemd_takes_the_unit_without_a_word(root, unit)
    finally:
        shutil.rmtree(added)


def test_the_credentials_are_what_a_party_of_vergence_certs_has(certs: Path) -> None:
    text = (DEPLOY / "systemd" / "certs.conf").read_text()
    named = re.findall(r"^LoadCredential=(\S+):/etc/vergence/certs/\1$", text, re.MULTILINE)
    assert sorted(named) == sorted(path.name for path in (certs / "center").iterdir())


@pytest.mark.parametrize("unit", UNITS)
def test_the_unit_exposes_little(root: Path, unit: str) -> None:
    said = run("systemd-analyze", "security", f"--root={root}", "--offline=true", "--no-pager", unit)
    level = re.search(r"exposure level for \S+: ([\d.]+)", said)
    assert level is not None
    assert float(level[1]) <= MOST_EXPOSED


def manifests() -> list[Path]:
    listed = yaml.safe_load((DEPLOY / "kubernetes" / "kustomization.yaml").read_text())["resources"]
    return [DEPLOY / "kubernetes" / name for name in listed]


@pytest.mark.parametrize("path", manifests(), ids=lambda path: path.name)
def test_kubernetes_takes_the_manifest(path: Path) -> None:
    manifest: Mapping[str, Any] = yaml.safe_load(path.read_text())
    kubernetes_validate.validate(manifest, "1.37", strict=True)


def test_the_name_of_the_centers_is_headless() -> None:
    service = yaml.safe_load((DEPLOY / "kubernetes" / "service.yaml").read_text())
    assert service["spec"]["clusterIP"] == "None"  # the string: each center has an address of its own


def test_every_manifest_is_part_of_the_kustomization() -> None:
    files = set((DEPLOY / "kubernetes").glob("*.yaml")) - {DEPLOY / "kubernetes" / "kustomization.yaml"}
    assert files == set(manifests())
