"""The rule about plain text: only on this host, or where somebody has said so."""

import pytest

from center.config import CenterConfig
from channel_emulator.config import EmulatorConfig
from edge.config import EdgeConfig
from wire.runtime import yaml_config
from wire.runtime.errors import UserError
from wire.runtime.service import Service
from wire.runtime.yaml_config import Section
from wire.security.section import SecuredConfig, is_loopback

TLS = {"certificate": "c.pem", "key": "k.pem", "authority": "a.pem"}
LOCKED = {"tls": TLS, "tokens": "tokens.yaml"}


@pytest.mark.parametrize(
    ("address", "loopback"),
    [
        ("127.0.0.1:1", True),
        ("127.8.9.1:1", True),
        ("localhost:1", True),
        ("LOCALHOST:1", True),
        ("[::1]:1", True),
        ("::1:1", True),
        ("ipv4:127.0.0.1:1,127.0.0.1:2", True),
        ("ipv6:[::1]:1", True),
        ("dns:localhost:1", True),
        ("dns:///localhost:1", True),
        ("0.0.0.0:1", False),
        ("[::]:1", False),
        ("10.0.0.1:1", False),
        ("center:1", False),
        ("localhost.example:1", False),
        ("127.0.0.1.example:1", False),
        ("dns:///centers:1", False),
        ("dns:centers:1", False),
        ("ipv4:127.0.0.1:1,10.0.0.1:2", False),
    ],
)
def test_what_stays_on_this_host(address: str, loopback: bool) -> None:
    assert is_loopback(address) is loopback


@pytest.mark.parametrize("model", [EdgeConfig, EmulatorConfig, CenterConfig])
def test_every_service_starts_as_it_comes(model: type[SecuredConfig]) -> None:
    assert model().open_doors() == []


@pytest.mark.parametrize(
    ("model", "keys", "line"),
    [
        (
            CenterConfig,
            {"listen": "0.0.0.0:5"},
            "listen 0.0.0.0:5 is open to the network in plain text; set security.tls",
        ),
        (EmulatorConfig, {"listen": "[::]:5"}, "listen [::]:5 is open to the network in plain text; set security.tls"),
        (
            CenterConfig,
            {"listen": "0.0.0.0:5", "security": {"tls": TLS}},
            "listen 0.0.0.0:5 lets everybody do everything; set security.tokens",
        ),
        (
            CenterConfig,
            {"listen": "0.0.0.0:5", "security": {"tokens": "tokens.yaml"}},
            "listen 0.0.0.0:5 is open to the network in plain text; set security.tls",
        ),
        (
            CenterConfig,
            {"emulator": "radio:5"},
            "emulator radio:5 would be called in plain text; set security.tls",
        ),
        (EmulatorConfig, {"upstream": "center:5"}, "upstream center:5 would be called in plain text; set security.tls"),
        (
            EdgeConfig,
            {"link": {"address": "radio:5"}},
            "link.address radio:5 would be called in plain text; set security.tls",
        ),
        (
            EdgeConfig,
            {"reference": {"address": "center:5"}},
            "reference.address center:5 would be called in plain text; set security.tls",
        ),
    ],
)
def test_an_open_door_is_refused_and_the_line_says_what_to_do(
    model: type[SecuredConfig], keys: dict[str, object], line: str
) -> None:
    with pytest.raises(ValueError, match=r"security\.allow_insecure: true") as refused:
        model.model_validate(keys)
    assert line in str(refused.value)
    security = {**keys.get("security", {}), "allow_insecure": True}  # type: ignore[dict-item]
    allowed = model.model_validate({**keys, "security": security})
    assert [told for told in allowed.open_doors() if told.startswith(line)], "it is told at every start"


@pytest.mark.parametrize(
    ("model", "keys"),
    [
        (CenterConfig, {"listen": "0.0.0.0:5", "emulator": "radio:5"}),
        (EmulatorConfig, {"listen": "0.0.0.0:5", "upstream": "center:5"}),
        (EdgeConfig, {"link": {"address": "radio:5"}, "reference": {"address": "center:5"}}),
    ],
)
def test_a_locked_service_may_use_the_network(model: type[SecuredConfig], keys: dict[str, object]) -> None:
    security = LOCKED if model.TAKES_TOKENS else {"tls": TLS}
    assert model.model_validate({**keys, "security": security}).open_doors() == []


def test_what_is_not_used_needs_no_lock() -> None:
    assert EdgeConfig.model_validate({"reference": {"address": "center:5", "every": 0}}).open_doors() == []
    assert CenterConfig.model_validate({"emulator": ""}).open_doors() == []


@pytest.mark.parametrize(("model", "key"), [(EdgeConfig, "tokens"), (EmulatorConfig, "token")])
def test_nothing_is_silently_ignored(model: type[SecuredConfig], key: str) -> None:
    with pytest.raises(ValueError, match=rf"security\.{key} does nothing in this service; remove it"):
        model.model_validate({"security": {key: "file"}})


@pytest.mark.parametrize("left_out", TLS)
def test_the_three_files_of_tls_go_together(left_out: str) -> None:
    tls = {key: value for key, value in TLS.items() if key != left_out}
    with pytest.raises(ValueError, match=f"go together; set {left_out} too"):
        CenterConfig.model_validate({"security": {"tls": tls}})


@pytest.mark.parametrize("secret", ["vgt_abcdef", "-----BEGIN PRIVATE KEY-----"])
def test_a_secret_in_place_of_its_file_is_refused_and_not_shown(secret: str) -> None:
    with pytest.raises(UserError) as refused:
        yaml_config.load(CenterConfig, None, "VERGENCE_CENTER", {"VERGENCE_CENTER__SECURITY__TOKEN": secret})
    assert "put it into a file and write the path of that here" in str(refused.value)
    assert secret not in str(refused.value)


def test_check_config_refuses_an_open_door(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    async def run(_config: Section, _stop: object) -> None: ...

    monkeypatch.setenv("VERGENCE_EMULATOR__LISTEN", "0.0.0.0:50052")
    service = Service("emulator", EmulatorConfig, run)
    for command in ("check-config", "run"):
        assert service.main([command]) == 2
        told = capsys.readouterr().err.splitlines()
        assert len(told) == 1
        assert "listen 0.0.0.0:50052 is open to the network in plain text; set security.tls" in told[0]


def test_an_open_door_is_told_at_every_start(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    async def run(_config: Section, _stop: object) -> None: ...

    monkeypatch.setenv("VERGENCE_EMULATOR__LISTEN", "0.0.0.0:50052")
    monkeypatch.setenv("VERGENCE_EMULATOR__SECURITY__ALLOW_INSECURE", "true")
    assert Service("emulator", EmulatorConfig, run).main(["run"]) == 0
    told = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert len(told) == 2
    assert told[0].startswith(
        "security.allow_insecure is on: listen 0.0.0.0:50052 is open to the network in plain text"
    )
    assert told[1].startswith("security.allow_insecure is on: listen 0.0.0.0:50052 lets everybody do everything")
