from importlib.resources import files
from pathlib import Path

import pytest
from pydantic import ValidationError

from edge.config import EdgeConfig
from wire.geometry import DEFAULT_SIZE, PictureSize
from wire.runtime.yaml_config import ConfigError, load
from wire.views import View

DEPLOYED = Path(str(files("deploy"))) / "config"


def test_the_shipped_file_holds_the_defaults() -> None:
    assert load(EdgeConfig, DEPLOYED / "edge.yaml", "VERGENCE_EDGE", {}) == EdgeConfig()


@pytest.mark.parametrize("view", list(View))
def test_one_file_serves_both_views(view: View) -> None:
    config = load(EdgeConfig, DEPLOYED / "edge.yaml", "VERGENCE_EDGE", {"VERGENCE_EDGE__VIEW": view})
    assert config == EdgeConfig(view=view)


def test_the_age_budget_is_three_frame_periods_unless_set() -> None:
    def budget(link: dict[str, object]) -> int:
        return EdgeConfig.model_validate({"camera": {"kind": "synthetic", "fps": 30}, "link": link}).age_budget_ms(
            DEFAULT_SIZE
        )

    assert budget({}) == 100
    assert budget({"age_budget_ms": 0}) == 0
    assert budget({"age_budget_ms": 250}) == 250


@pytest.mark.parametrize(
    ("size", "fps", "budget"),
    [
        ("128x256", 10, 300),
        ("128x272", 10, 319),
        ("256x512", 10, 1_200),
        ("512x1024", 10, 3_000),
        ("512x1024", 100, 480),
        ("512x1024", 0.5, 6_000),
    ],
)
def test_larger_pictures_may_become_older(size: str, fps: float, budget: int) -> None:
    """On a CPU they are decoded later than pictures of 128x256 are worthless."""
    for configured in (size, "auto"):
        config = EdgeConfig.model_validate({"size": configured, "camera": {"kind": "synthetic", "fps": fps}})
        assert config.age_budget_ms(PictureSize.parse(size)) == budget


def test_the_size_is_checked_before_anything_runs() -> None:
    environment = {"VERGENCE_EDGE__SIZE": "250x500"}
    with pytest.raises(ConfigError, match=r"VERGENCE_EDGE__SIZE: size: the size 250x500 .* multiples of 16"):
        load(EdgeConfig, DEPLOYED / "edge.yaml", "VERGENCE_EDGE", environment)


def test_the_age_budget_does_not_count_the_camera_s_own_delay() -> None:
    """Else a camera of 350 ms at 10 a second would have each of its pictures dropped before it is sent."""
    camera = {"kind": "synthetic", "fps": 10}
    assert EdgeConfig.model_validate({"camera": {**camera, "delay_ms": 350}}).age_budget_ms(DEFAULT_SIZE) == 650
    slow = {"camera": {**camera, "delay_ms": 350}, "link": {"age_budget_ms": 300}}
    with pytest.raises(
        ValidationError, match=r"link\.age_budget_ms 300 is used up by camera\.delay_ms 350, .* raise it"
    ):
        EdgeConfig.model_validate(slow)


def test_two_cameras_of_one_host_serve_their_metrics_side_by_side() -> None:
    def port(**overrides: str) -> int:
        environment = {f"VERGENCE_EDGE__{key}": value for key, value in overrides.items()}
        return load(EdgeConfig, DEPLOYED / "edge.yaml", "VERGENCE_EDGE", environment).metrics_port

    assert (port(VIEW="left"), port(VIEW="right")) == (9103, 9104)
    assert (port(METRICS__PORT="0"), port(VIEW="right", METRICS__PORT="9200")) == (0, 9200)


def test_a_whole_section_can_be_overridden_by_environment() -> None:
    environment = {"VERGENCE_EDGE__CAMERA": "{kind: synthetic, fps: 10}"}
    config = load(EdgeConfig, DEPLOYED / "edge.yaml", "VERGENCE_EDGE", environment)
    assert config.camera.kind == "synthetic"
    assert config.camera.path is None


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("camrea: {}", "edge.yaml:1: camrea: unknown key; did you mean 'camera'?"),
        ("link:\n  adress: a:1", "edge.yaml:2: link.adress: unknown key; did you mean 'address'?"),
        ("link:\n  address: localhost", "edge.yaml:2: link.address: write host:port"),
        ("view: middle", "edge.yaml:1: view: input should be 'left' or 'right' (got 'middle')"),
        ("rig: a b", "edge.yaml:1: rig: rig 'a b' is not a name; use 1 to 63 letters"),
        ("camera:\n  kind: film", "edge.yaml:2: camera.kind: input should be 'folder', 'video', 'webcam', 'rtsp' or"),
        ("camera:\n  kind: rtsp", "edge.yaml:1: camera: kind 'rtsp' needs 'url'; set it"),
        ("camera:\n  kind: folder", "edge.yaml:1: camera: kind 'folder' needs 'path'; set it"),
        (
            "camera:\n  kind: webcam\n  url: rtsp://x",
            "edge.yaml:1: camera: 'url' does nothing with kind 'webcam'; remove it or set it to null",
        ),
        ("camera:\n  kind: synthetic\n  fps: 0", "edge.yaml:3: camera.fps: input should be greater than or equal to"),
        ("link:\n  sample_type: f64", "edge.yaml:2: link.sample_type: input should be 'f32', 'f16' or 'i8'"),
        ("link:\n  assumed_snr_db: .nan", "edge.yaml:2: link.assumed_snr_db: not an SNR; give dB, or .inf"),
        ("link:\n  backoff_cap_s: 60", "edge.yaml:2: link.backoff_cap_s: input should be less than or equal to 1"),
    ],
)
def test_errors_point_at_the_line(tmp_path: Path, text: str, line: str) -> None:
    file = tmp_path / "edge.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as problem:
        load(EdgeConfig, file, "VERGENCE_EDGE", {})
    assert str(problem.value).removeprefix(f"{tmp_path}/").startswith(line)


def test_a_configuration_cannot_be_changed_behind_our_back() -> None:
    with pytest.raises(ValidationError):
        EdgeConfig().link.credit = 9  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            "kind: rtsp\n  url: 'rtsp://admin:hush@[cam'",
            "edge.yaml:3: camera.url: not an address of a camera; write it as",
        ),
        ("kind: rtsp\n  url: admin:hush@cam/s", "edge.yaml:3: camera.url: not an address of a camera; begin it with"),
        ("kind: rtsp\n  url: hush", "edge.yaml:3: camera.url: not an address of a camera; begin it with"),
        ("kind: rtsp\n  url: [rtsp://admin:hush@cam]", "edge.yaml:3: camera.url: input should be a valid string"),
        ("kind: video\n  path: rtsp://admin:hush@cam/s", "edge.yaml:3: camera.path: this is the address of a network"),
        ("kind: webcam\n  device: rtsp://u:hush@cam/s", "edge.yaml:3: camera.device: this is the address of a network"),
        ("kind: rtsp://admin:hush@cam/s", "edge.yaml:2: camera.kind: input should be 'folder'"),
        ("url: rtsp://admin:hush@cam/s", "edge.yaml:1: camera: kind 'folder' needs 'path'; set it"),
    ],
)
def test_an_address_that_is_refused_is_not_shown(tmp_path: Path, text: str, line: str) -> None:
    file = tmp_path / "edge.yaml"
    file.write_text(f"camera:\n  {text}\n")
    with pytest.raises(ConfigError) as problem:
        load(EdgeConfig, file, "VERGENCE_EDGE", {})
    assert line in str(problem.value)
    assert "hush" not in str(problem.value)


@pytest.mark.parametrize("value", ["[rtsp://admin:hush@cam", "@hush", "rtsp://[hush", "'hush"])
def test_an_address_from_the_environment_that_is_refused_is_not_shown(value: str) -> None:
    given = {"VERGENCE_EDGE__CAMERA__KIND": "rtsp", "VERGENCE_EDGE__CAMERA__URL": value}
    with pytest.raises(ConfigError, match="VERGENCE_EDGE__CAMERA__URL: ") as problem:
        load(EdgeConfig, None, "VERGENCE_EDGE", given)
    assert "hush" not in str(problem.value)


def test_a_camera_counts_as_down_stall_s_after_a_picture_was_due() -> None:
    camera = EdgeConfig.model_validate({"camera": {"kind": "synthetic", "fps": 10}}).camera
    assert camera.silence_s == pytest.approx(3.1)
    slow = EdgeConfig.model_validate({"camera": {"kind": "synthetic", "fps": 0.1, "stall_s": 1}}).camera
    assert slow.silence_s == pytest.approx(11)
