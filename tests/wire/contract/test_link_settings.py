"""Everybody who spells the settings of a link spells those of the table."""

import dataclasses
import math
import re
from pathlib import Path

import pytest

from center.web.links import LinkChange
from channel_emulator.channel.settings import Settings
from channel_emulator.config import SettingsSection
from wire.contract.link_settings import LIVE, RANGED, SETTINGS, check_range, from_proto, to_proto
from wire.runtime.errors import UserError
from wire.v1 import channel_control_service_pb2 as control_pb2

ROOT = Path(__file__).resolve().parents[3]
PANEL = (ROOT / "center/web/page/link_panel.js").read_text(encoding="utf-8")
PYTHON = {"number": float, "count": int, "switch": bool}
PROTO = {"number": "double", "count": "uint32", "switch": "bool"}


def test_the_emulators_settings_are_those_of_the_table() -> None:
    fields = {field.name for field in dataclasses.fields(Settings)} - {"snr", "power_tolerance"}
    assert fields | {"snr_db"} == set(SETTINGS)
    made = Settings()
    assert {name: getattr(made, name) for name in fields} == {name: SETTINGS[name].default for name in fields}
    assert made.snr.at(0.0) == SETTINGS["snr_db"].default


def test_the_configurations_keys_are_those_of_the_table() -> None:
    fields = SettingsSection.model_fields
    assert fields.keys() - {"schedule", "walk", "power_tolerance"} == SETTINGS.keys()
    for name, setting in SETTINGS.items():
        assert fields[name].annotation is (setting.words or PYTHON[setting.kind]), name
        assert fields[name].default == setting.default, name


def test_the_messages_fields_are_those_that_can_be_changed_live() -> None:
    fields = control_pb2.LinkSettings.DESCRIPTOR.fields_by_name
    assert set(fields) == set(LIVE)
    text = (ROOT / "proto/vergence/v1/channel_control_service.proto").read_text(encoding="utf-8")
    for name in LIVE:
        setting, enum = SETTINGS[name], fields[name].enum_type
        assert fields[name].has_presence, name
        kind = enum.name if enum else PROTO[setting.kind]
        assert re.search(rf"optional {kind} {name} = \d+;", text), name
        if setting.words:
            assert enum is not None, name
            words = {value.name.removeprefix(enum.values[0].name.removesuffix("UNSPECIFIED")) for value in enum.values}
            assert words == {word.name for word in setting.words} | {"UNSPECIFIED"}, name


@pytest.mark.parametrize("name", sorted(set(RANGED) & set(LIVE)))
def test_the_messages_comments_say_the_range(name: str) -> None:
    text = (ROOT / "proto/vergence/v1/channel_control_service.proto").read_text(encoding="utf-8")
    (comment,) = re.findall(rf"((?: *//[^\n]*\n)+) *optional \w+ {name} = ", text)
    assert f"{SETTINGS[name].low:g} to {SETTINGS[name].high:g}" in comment


def test_what_the_page_may_change_is_what_can_be_changed_live() -> None:
    assert set(LinkChange.model_fields) == set(LIVE)
    for name in LIVE:
        setting = SETTINGS[name]
        assert LinkChange.model_fields[name].annotation is (setting.words or PYTHON[setting.kind]), name


def test_the_pages_controls_know_the_table() -> None:
    (models,) = re.findall(r"const MODELS = \{(.*?)\n\};", PANEL, re.DOTALL)
    assert set(re.findall(r'model: "(\w+)"', models)) == {word.value for word in SETTINGS["model"].words or ()}
    assert set(re.findall(r"(\w+):", " ".join(re.findall(r"settings: \{(.*?)\}", models)))) <= set(LIVE)
    assert set(re.findall(r"settings\.(\w+)", PANEL)) <= set(LIVE)
    (loudest,) = re.findall(r"const LOUDEST = (\d+)", PANEL)
    check_range("snr_db", float(loudest))
    assert int(re.findall(r"this\.symbols = (\d+)", PANEL)[0]) == SETTINGS["coherence"].default


def test_the_way_over_the_wire_keeps_every_setting() -> None:
    values = {name: SETTINGS[name].default for name in LIVE}
    back = from_proto(to_proto(values))
    assert back == values
    assert {name: type(value) for name, value in back.items()} == {name: type(value) for name, value in values.items()}
    assert from_proto(to_proto({})) == {}


def test_a_word_without_meaning_is_refused() -> None:
    with pytest.raises(UserError, match="model 99 is unknown; set one of CHANNEL_MODEL_CLEAN"):
        from_proto(control_pb2.LinkSettings(model=99))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", RANGED)
def test_ranges_hold_the_default_and_both_ends_and_nothing_else(name: str) -> None:
    setting = SETTINGS[name]
    for value in (setting.default, setting.low, setting.high):
        check_range(name, value)
    for value in (math.nextafter(setting.low, -math.inf), math.nextafter(setting.high, math.inf), math.nan, -math.inf):
        with pytest.raises(UserError, match=f"{name} must lie between"):
            check_range(name, value)
    if setting.infinite:
        check_range(name, math.inf)
    else:
        assert setting.refusal(math.inf)
