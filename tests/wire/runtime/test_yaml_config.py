import time
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field, model_validator

from wire.runtime.yaml_config import SECRET, ConfigError, Section, load


class Link(Section):
    address: str = "127.0.0.1:50052"
    snr_db: float = Field(default=10.0, ge=-50, le=100)
    noiseless: bool = False

    @model_validator(mode="after")
    def _fits(self) -> "Link":
        if self.noiseless and self.address.startswith("radio"):
            raise ValueError("a radio is never noiseless; set noiseless to false")
        return self


class Settings(Section):
    rig: str
    view: Literal["left", "right"] = "left"
    link: Link = Link()
    links: tuple[Link, ...] = ()


def read(tmp_path: Path, text: str, **environment: str) -> Settings:
    path = tmp_path / "edge.yaml"
    path.write_text(text, encoding="utf-8")
    return load(Settings, path, "VERGENCE_EDGE", environment)


def problem(tmp_path: Path, text: str, **environment: str) -> str:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text, **environment)
    return str(caught.value).replace(str(tmp_path) + "/", "")


def test_defaults_fill_what_the_file_leaves_out(tmp_path: Path) -> None:
    assert read(tmp_path, "rig: a\n").link.snr_db == 10.0


def test_the_environment_overrides_any_depth_and_lists_by_number(tmp_path: Path) -> None:
    settings = read(
        tmp_path,
        "rig: a\nlinks: [{address: 'x:1'}, {address: 'y:2'}]\n",
        VERGENCE_EDGE__LINK__SNR_DB="3.5",
        VERGENCE_EDGE__LINKS__1__ADDRESS="z:3",
        VERGENCE_CENTER__RIG="ignored",
    )
    assert settings.link.snr_db == 3.5
    assert [link.address for link in settings.links] == ["x:1", "z:3"]


def test_an_unknown_key_names_file_line_path_and_the_nearest_key(tmp_path: Path) -> None:
    assert problem(tmp_path, "rig: a\nlink:\n  adress: x\n") == (
        "edge.yaml:3: link.adress: unknown key; did you mean 'address'?"
    )


def test_an_unknown_key_without_a_near_one_lists_what_is_allowed(tmp_path: Path) -> None:
    assert problem(tmp_path, "rig: a\nzzz: 1\n").endswith("zzz: unknown key; allowed: link, links, rig, view")


def test_a_wrong_value_shows_what_is_allowed_and_what_came(tmp_path: Path) -> None:
    assert problem(tmp_path, "rig: a\nview: middle\n") == (
        "edge.yaml:2: view: input should be 'left' or 'right' (got 'middle')"
    )


def test_a_value_in_a_list_is_found_by_its_line(tmp_path: Path) -> None:
    text = "rig: a\nlinks:\n  - address: x\n  - snr_db: 500\n"
    assert problem(tmp_path, text).startswith("edge.yaml:4: links.1.snr_db: input should be less than or equal to 100")


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    assert problem(tmp_path, "view: left\n") == "edge.yaml: rig: missing; set it"


def test_an_error_from_the_environment_names_the_variable(tmp_path: Path) -> None:
    line = problem(tmp_path, "rig: a\n", VERGENCE_EDGE__LINK__SNR_DB="loud")
    assert line.startswith("VERGENCE_EDGE__LINK__SNR_DB: link.snr_db: input should be a valid number")


def test_an_override_that_a_section_does_not_fit_any_more_names_the_variable(tmp_path: Path) -> None:
    line = problem(tmp_path, "rig: a\nlink: {address: 'radio:1'}\n", VERGENCE_EDGE__LINK__NOISELESS="true")
    assert line == "VERGENCE_EDGE__LINK__NOISELESS: link: a radio is never noiseless; set noiseless to false"


def test_of_several_overrides_in_a_section_the_one_is_named_that_the_message_names(tmp_path: Path) -> None:
    further = {"VERGENCE_EDGE__LINK__ADDRESS": "lab:1", "VERGENCE_EDGE__LINK__SNR_DB": "3"}
    assert read(tmp_path, "rig: a\n", VERGENCE_EDGE__LINK__NOISELESS="true", **further).link.noiseless
    further["VERGENCE_EDGE__LINK__ADDRESS"] = "radio:1"
    line = problem(tmp_path, "rig: a\n", VERGENCE_EDGE__LINK__NOISELESS="true", **further)
    assert line.startswith("VERGENCE_EDGE__LINK__NOISELESS: link: a radio is never noiseless")


def test_an_override_beside_an_error_of_the_file_is_not_to_blame(tmp_path: Path) -> None:
    text = "rig: a\nlink: {address: 'radio:1', noiseless: true}\n"
    line = problem(tmp_path, text, VERGENCE_EDGE__LINK__SNR_DB="3")
    assert line == "edge.yaml:2: link: a radio is never noiseless; set noiseless to false"


def test_every_error_gets_its_line(tmp_path: Path) -> None:
    assert len(problem(tmp_path, "view: middle\nzzz: 1\n").splitlines()) == 3


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("rig: [a\n", "edge.yaml:2: not YAML"),
        ("rig: a\nview: \x01\n", "edge.yaml:2: not YAML"),
        ("- a\n", "edge.yaml:1: the file must hold keys and values"),
    ],
)
def test_a_file_that_is_not_a_mapping_is_refused(tmp_path: Path, text: str, line: str) -> None:
    assert problem(tmp_path, text).startswith(line)


def test_a_key_that_is_given_twice_is_refused(tmp_path: Path) -> None:
    text = "rig: a\nlink:\n  snr_db: 1\n  snr_db: 2\nrig: b\n"
    assert problem(tmp_path, text).splitlines() == [
        "edge.yaml:4: snr_db: given twice; keep one",
        "edge.yaml:5: rig: given twice; keep one",
    ]


def test_a_file_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "edge.yaml"
    path.write_bytes(b"view: left\nrig: caf\xe9\n")
    with pytest.raises(ConfigError, match=r"edge.yaml:2: not UTF-8"):
        load(Settings, path, "VERGENCE_EDGE", {})


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot be read \(No such file or directory\); give --config"):
        load(Settings, tmp_path / "none.yaml", "VERGENCE_EDGE", {})


@pytest.mark.parametrize("text", ["007", "no", "off", "on", "12:30", "2024-05-06", "2001-99-99", "0x_", "1_000", "="])
def test_text_that_yaml_1_1_takes_for_something_else_is_text(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, f"rig: {text}\n").rig == text
    assert read(tmp_path, "rig: a\n", VERGENCE_EDGE__RIG=text).rig == text


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("7", "YAML reads 7 as the number 7; quote it: "),
        ("1e5", "YAML reads 1e5 as the number 100000.0; quote it: "),
        ("true", "YAML reads true as a truth value; quote it: "),
    ],
)
def test_text_that_is_a_number_is_to_be_quoted(tmp_path: Path, text: str, line: str) -> None:
    assert problem(tmp_path, f"rig: {text}\n") == f"edge.yaml:1: rig: {line}'{text}'"
    assert problem(tmp_path, "rig: a\n", VERGENCE_EDGE__RIG=text) == f"VERGENCE_EDGE__RIG: rig: {line}\"'{text}'\""
    assert read(tmp_path, "rig: a\n", VERGENCE_EDGE__RIG=f"'{text}'").rig == text


@pytest.mark.parametrize(
    ("text", "value"),
    [("7", 7.0), ("-3", -3.0), ("+.5", 0.5), ("1.", 1.0), ("2e1", 20.0), ("0x10", 16.0)],
)
def test_numbers(tmp_path: Path, text: str, value: float) -> None:
    assert read(tmp_path, f"rig: a\nlink: {{snr_db: {text}}}\n").link.snr_db == value


@pytest.mark.parametrize(("text", "value"), [("true", True), ("False", False), ("yes", True), ("off", False)])
def test_truth_values_where_one_is_wanted(tmp_path: Path, text: str, value: bool) -> None:
    assert read(tmp_path, f"rig: a\nlink: {{noiseless: {text}}}\n").link.noiseless is value


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    assert read(tmp_path, "\ufeffrig: a\n").rig == "a"


DEEP = "rig: " + "[" * 500 + "]" * 500
BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
HOSTILE = [
    ("rig: !!int abc\n", "edge.yaml:1: a tag (tag:yaml.org,2002:int) is not taken here"),
    ("rig: !!python/name:os.system\n", "edge.yaml:1: a tag"),
    ("rig: &x [*x]\n", "edge.yaml:1: an alias (*x) is not taken here; write the value out"),
    (BOMB, "edge.yaml:2: an alias (*a) is not taken here"),
    (DEEP, "edge.yaml:1: more than 32 levels deep"),
    ("rig: " + "[" * 100_000, "edge.yaml:1: "),  # the parser in C gives up before us
    ("rig: " + "{a: " * 3000, "edge.yaml:1: more than 32 levels deep"),
    ("? [a, b]\n: c\n", "edge.yaml:1: a key must be a word; write KEY: VALUE"),
    ("? {a: b}\n: c\n", "edge.yaml:1: a key must be a word"),
    ("1: a\nrig: b\n", "edge.yaml:1: 1: unknown key"),
    ("<<: {rig: a}\nrig: b\n", "edge.yaml:1: <<: unknown key"),
    ("rig: a\nlink: {snr_db: 1e999}\n", "edge.yaml:2: 1e999 is too large for a number; write .inf"),
    ("rig: a\nlink: {snr_db: " + "9" * 5000 + "}\n", f"edge.yaml:2: {'9' * 40}... is too large for a number"),
    ("rig: a\nlink: {snr_db: true}\n", "edge.yaml:2: link.snr_db: input should be a number (got True)"),
    ("rig: a\n---\nrig: b\n", "edge.yaml:2: not YAML"),
    ("rig: a\n" + "#" * 2**20, "edge.yaml: longer than 1 MB"),
    ("ü" * 2**20, "edge.yaml: longer than 1 MB"),
    # Fewer letters than the limit has bytes, and a letter ends where the limit is: the last line must not go unread.
    ("rig: a\n# " + "ü" * (2**19 - 4) + "\nlink: 7\n", "edge.yaml: longer than 1 MB"),
    ("rig: a\n" + "\n".join(f"k{number}: 1" for number in range(20_000)), "edge.yaml:2: k0: unknown key"),
    ("rig: a\n" + "k: 1\n" * 10_000, "edge.yaml:3: k: given twice"),
    ("rig: a\n" + "k: 1\n" * 100_000, "edge.yaml:32768: more than 65536 keys and values"),
    ('rig: a\n"x\\ny": 1\n', "edge.yaml:2: x\\ny: unknown key"),
]


@pytest.mark.parametrize(("text", "line"), HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_files_end_in_short_lines_soon(tmp_path: Path, text: str, line: str) -> None:
    began = time.process_time()
    told = problem(tmp_path, text)
    assert time.process_time() - began < 5.0, "the alias bomb took 20 s, a long comment 83 s"
    assert told.startswith(line)
    assert len(told.splitlines()) <= 22
    assert all(len(each) < 500 for each in told.splitlines())


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        ("LINKS__\u00b2__RIG", "x", "VERGENCE_EDGE__LINKS__\u00b2__RIG: there is nothing at '\u00b2' to override"),
        ("LINKS__" + "9" * 5000, "x", "VERGENCE_EDGE__LINKS__999"),
        ("RIG", "!!int abc", "VERGENCE_EDGE__RIG: its value is not YAML; quote it"),
        ("RIG", "[" * 10_000, "VERGENCE_EDGE__RIG: its value is not YAML; quote it"),
        ("RIG", "&x [*x]", "VERGENCE_EDGE__RIG: its value is not YAML; quote it"),
        ("RIG", "\udcff", "VERGENCE_EDGE__RIG: its value is not YAML; quote it"),
        ("", "x", "VERGENCE_EDGE__: : unknown key"),
    ],
    ids=range(7),
)
def test_hostile_variables_end_in_a_short_line(tmp_path: Path, name: str, value: str, line: str) -> None:
    told = problem(tmp_path, "rig: a\nlinks: [{}]\n", **{f"VERGENCE_EDGE__{name}": value})
    assert told.startswith(line)
    assert len(told) < 500


def test_what_may_hold_a_password_is_never_shown(tmp_path: Path) -> None:
    class Door(Section):
        key: Annotated[Literal["open", "shut"], SECRET] = "open"
        count: int = 0

    def lines(**environment: str) -> str:
        with pytest.raises(ConfigError) as caught:
            load(Door, None, "V", environment)
        return str(caught.value)

    assert lines(V__KEY="hush") == "V__KEY: key: input should be 'open' or 'shut'"
    assert "hush" not in lines(V__COUNT="rtsp://hush@host")
    assert "(got 'many')" in lines(V__COUNT="many")


@pytest.mark.parametrize("word", ["off", "on", "no", "yes", "Off", "n"])
def test_words_that_old_yaml_took_for_truth_values_are_words(tmp_path: Path, word: str) -> None:
    assert read(tmp_path, f"rig: {word}\n").rig == word
    assert read(tmp_path, "rig: a\n", VERGENCE_EDGE__RIG=word).rig == word


@pytest.mark.parametrize("text", ["true", "false"])
def test_a_truth_value_is_no_number(tmp_path: Path, text: str) -> None:
    class Door(Section):
        port: int = 1
        wait: float | None = None
        open: bool = False

    for key in ("port", "wait"):
        with pytest.raises(ConfigError, match=f"{key}: input should be a number"):
            load(Door, None, "V", {f"V__{key.upper()}": text})
    assert load(Door, None, "V", {"V__OPEN": text}).open is (text == "true")


@pytest.mark.parametrize(
    "text",
    [
        "rig: !!int abc\n",
        "rig: " + "[" * 3_000 + "]" * 3_000 + "\n",
        "a: &x [*x]\n",
        "a: &a [b, b]\nc: &c [*a, *a]\nd: [*c, *c]\n",
        "rig: !!python/object/apply:os.system [true]\n",
        "? [a]\n: b\n",
        "#" * 2_000_000 + "\n",
    ],
)
def test_a_hostile_file_ends_in_lines_and_at_once(tmp_path: Path, text: str) -> None:
    began = time.process_time()
    for line in problem(tmp_path, text).splitlines():
        assert line.startswith("edge.yaml")
        assert len(line) < 400
    assert time.process_time() - began < 5.0


@pytest.mark.parametrize("value", ["!!int abc", "[" * 3_000, "&x [*x]"])
def test_a_hostile_environment_ends_in_a_line(tmp_path: Path, value: str) -> None:
    assert problem(tmp_path, "rig: a\n", VERGENCE_EDGE__RIG=value).startswith("VERGENCE_EDGE__RIG: ")


def test_a_digit_that_is_no_number_is_a_key(tmp_path: Path) -> None:
    assert "\u00b2" in problem(tmp_path, "rig: a\n", **{"VERGENCE_EDGE__\u00b2": "1"})
