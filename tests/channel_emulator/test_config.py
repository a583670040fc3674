from pathlib import Path

import pytest

from channel_emulator.__main__ import main
from channel_emulator.channel.settings import Settings
from channel_emulator.channel.snr import Fixed, RandomWalk, Schedule
from channel_emulator.config import EmulatorConfig
from channel_emulator.links.registry import Links
from wire.contract.link_settings import Csi, Model, PowerPolicy
from wire.runtime.yaml_config import ConfigError, load
from wire.views import View

SHIPPED = Path(__file__).parents[2] / "deploy" / "config" / "emulator.yaml"


def config(tmp_path: Path, text: str, **environment: str) -> EmulatorConfig:
    path = tmp_path / "emulator.yaml"
    path.write_text(text)
    return load(EmulatorConfig, path, "VERGENCE_EMULATOR", environment)


def settings_of(loaded: EmulatorConfig, rig: str = "demo", view: View = View.LEFT) -> Settings:
    return Links(loaded, now=0.0).candidate(rig, view, now=0.0).settings


def test_the_shipped_file_is_the_defaults_with_two_links() -> None:
    shipped = load(EmulatorConfig, SHIPPED, "VERGENCE_EMULATOR", {})
    assert shipped.model_copy(update={"links": ()}) == EmulatorConfig()
    links = [(link.rig, link.view, link.snr_db(0.0)) for link in Links(shipped, now=0.0)]
    assert links == [("demo", View.LEFT, 10.0), ("demo", View.RIGHT, 1.0)]
    assert settings_of(EmulatorConfig()) == Settings()


def test_a_link_inherits_what_it_does_not_say(tmp_path: Path) -> None:
    loaded = config(
        tmp_path,
        "defaults: {model: jakes, doppler: 0.01, csi: noisy, csi_error: 0.2, power: warn,\n"
        "  power_tolerance: {f32: 0.1}}\n"
        "links: [{rig: demo, view: left, doppler: 0.02}]\n",
    )
    own = settings_of(loaded)
    assert (own.model, own.doppler, own.csi, own.csi_error) == (Model.JAKES, 0.02, Csi.NOISY, 0.2)
    assert (own.power, own.power_tolerance.f32) == (PowerPolicy.WARN, 0.1)
    assert settings_of(loaded, rig="stranger").doppler == 0.01


def test_a_link_with_an_snr_of_its_own_leaves_the_walk_of_the_defaults(tmp_path: Path) -> None:
    (tmp_path / "snr.csv").write_text("time_s,snr_db\n0,3\n5,4\n")
    loaded = config(
        tmp_path,
        "defaults: {walk: {start_db: 5}}\n"
        "links:\n"
        "- {rig: demo, view: left, snr_db: 2}\n"
        f"- {{rig: demo, view: right, schedule: {{file: {tmp_path}/snr.csv}}}}\n"
        "- {rig: other, view: left, loss: 0.1}\n",
    )
    assert settings_of(loaded).snr == Fixed(2.0)
    assert isinstance(settings_of(loaded, view=View.RIGHT).snr, Schedule)
    assert isinstance(settings_of(loaded, rig="other").snr, RandomWalk)


def test_the_environment_overrides_a_link(tmp_path: Path) -> None:
    text = "links: [{rig: demo, view: left, snr_db: 2}]\n"
    loaded = config(tmp_path, text, VERGENCE_EMULATOR__LINKS__0__SNR_DB=".inf")
    assert settings_of(loaded).snr == Fixed(float("inf"))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            "links:\n- {rig: demo, view: left, snr_db: .nan}\n",
            r"yaml:2: links.0.snr_db: must lie between -50 and 100 dB",
        ),
        ("links:\n- {rig: demo, view: top}\n", r"yaml:2: links.0.view: input should be 'left' or 'right'"),
        ("links:\n- {rig: demo, view: left}\n- {rig: demo, view: left}\n", r"links names demo/left twice; keep one"),
        ("links:\n- {rig: '', view: left}\n", r"yaml:2: links.0.rig"),
        ("defaults:\n  losss: 1\n", r"yaml:2: defaults.losss: unknown key; did you mean 'loss'\?"),
        ("defaults:\n  loss: 2\n", r"yaml:2: defaults.loss: must lie between 0 and 1 \(got 2\)"),
        ("defaults:\n  coherence: 0\n", r"yaml:2: defaults.coherence: must lie between 1 and 81920 symbols"),
        ("defaults:\n  schedule: {file: nope.csv}\n", r"yaml:2: defaults.schedule: nope.csv: cannot be read"),
        ("defaults:\n  walk: {low_db: 12}\n", r"yaml:2: defaults.walk: start_db 10 must lie between 12 and 20"),
        ("defaults:\n  model: nakagami\n", r"yaml:2: defaults.model: input should be 'clean', 'awgn'"),
    ],
)
def test_an_error_points_at_its_line(tmp_path: Path, text: str, line: str) -> None:
    with pytest.raises(ConfigError, match=line):
        config(tmp_path, text)


def test_schedule_and_walk_exclude_each_other(tmp_path: Path) -> None:
    (tmp_path / "snr.csv").write_text("time_s,snr_db\n0,3\n5,4\n")
    with pytest.raises(ConfigError, match="schedule and walk exclude each other"):
        config(tmp_path, f"defaults: {{walk: {{}}, schedule: {{file: {tmp_path}/snr.csv}}}}\n")


def test_check_config_says_ok(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["vergence-emulator", "check-config", "--config", str(SHIPPED)])
    assert main() == 0
    assert capsys.readouterr().out == f"{SHIPPED}: ok\n"
