"""YAML as configurations need it: the plain part of YAML 1.2, bounded, with a line for every error.

PyYAML reads YAML 1.1, where `off` and `no` are truth values, `0123` is 83 and `12:30` is 750. Here only `true` and
`false` are truth values and only decimal (and `0x`) numbers without leading zeros are numbers; the rest is text.
Aliases and tags are refused: no configuration needs them, and a few bytes of aliases can stand for gigabytes.
"""

import math
import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

import yaml

from wire.runtime.errors import UserError, one_line

MOST_BYTES: Final = 2**20
"""Of a file; the longest useful configuration (1,024 links) has a tenth of that."""
MOST_VALUES: Final = 2**16
"""Keys, values and brackets."""
DEEPEST: Final = 32
"""Sections in sections."""
MOST_ERRORS: Final = 20
"""That are told; further ones are counted."""

_TEXT_TAG: Final = "tag:yaml.org,2002:str"


class ConfigError(UserError):
    """Every error of a configuration, one line each."""

    def __init__(self, lines: Sequence[str] | str, left_out: int = 0) -> None:
        """left_out: how many errors are not told."""
        given = [lines] if isinstance(lines, str) else dict.fromkeys(lines)
        more = [f"and {left_out} errors more"] if left_out else []
        super().__init__("\n".join([*(one_line(line) for line in given), *more]))


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # which one the wheel decides
    """Scalars by the rules above. In C where it is there: ten times faster."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012  # PyYAML's own way


_SCALARS: Final = {
    "null": (r"~|null|Null|NULL|", "~nN\0"),
    "bool": (r"true|True|TRUE|false|False|FALSE", "tTfF"),
    "int": (r"[-+]?(?:0|[1-9][0-9]{0,99})|0x[0-9a-fA-F]{1,99}", "-+0123456789"),
    "float": (
        r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?(?:[eE][-+]?[0-9]+)?|\.(?:inf|Inf|INF))|\.(?:nan|NaN|NAN)",
        "-+0123456789.",
    ),
}
for _name, (_pattern, _first) in _SCALARS.items():
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_name}", re.compile(rf"^(?:{_pattern})\Z"), [letter.strip("\0") for letter in _first]
    )


def check_size(size: int, name: str) -> None:
    """raises ConfigError if so many bytes are too many for a configuration"""
    if size > MOST_BYTES:
        raise ConfigError(f"{name}: longer than {MOST_BYTES >> 20} MB; a configuration has a few kB")


def parse(text: str, name: str) -> yaml.Node | None:
    """The nodes of one document; None if it is empty.

    name    of the file, for errors
    raises  ConfigError with file and line if it is not YAML, or more of it than a configuration needs
    """
    text = str(text)  # the parser in C takes no subclass
    try:
        check_size(len(text.encode()), name)
        _check_events(text, name)
        return yaml.compose(text, Loader=_Loader)
    except UnicodeEncodeError:  # an environment variable may hold any bytes
        raise ConfigError(f"{name}: not UTF-8; write it as UTF-8") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{name}:{line}: not YAML: {error.problem}") from None
    except yaml.reader.ReaderError as error:
        line = text.encode()[: error.position].count(b"\n") + 1
        raise ConfigError(f"{name}:{line}: not YAML: {error.reason}") from None


def value_of(node: yaml.Node | None, name: str) -> Any:
    """What a node stands for: None, bool, int, float, str, list or dict with keys as they are written.

    raises  ConfigError if a key is no text, or a number is too large
    """
    if isinstance(node, yaml.MappingNode):
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise ConfigError(f"{name}:{key.start_mark.line + 1}: a key must be a word; write KEY: VALUE")
        return {key.value: value_of(value, name) for key, value in node.value}
    if isinstance(node, yaml.SequenceNode):
        return [value_of(value, name) for value in node.value]
    return None if node is None else _scalar(node, name)


def given_twice(node: yaml.Node | None) -> Iterator[yaml.Node]:
    """Keys that stand in their mapping for the second time: YAML would quietly let the last one count."""
    if isinstance(node, yaml.MappingNode):
        seen = set[str]()
        for key, value in node.value:
            if key.value in seen:
                yield key
            seen.add(key.value)
            yield from given_twice(value)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield from given_twice(value)


def _check_events(text: str, name: str) -> None:
    """Refuse what could be large, deep or strange before anything is built of it. raises ConfigError"""
    depth = 0
    for number, event in enumerate(yaml.parse(text, Loader=_Loader)):
        where = f"{name}:{event.start_mark.line + 1 if event.start_mark else 1}"
        if number > MOST_VALUES:
            raise ConfigError(f"{where}: more than {MOST_VALUES} keys and values; a configuration has some hundred")
        if isinstance(event, yaml.AliasEvent):
            raise ConfigError(f"{where}: an alias (*{event.anchor}) is not taken here; write the value out")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > DEEPEST:
                raise ConfigError(f"{where}: more than {DEEPEST} levels deep; close the brackets")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent) and event.tag not in (None, "!", _TEXT_TAG):
            raise ConfigError(f"{where}: a tag ({event.tag}) is not taken here; write the value, or quote it as text")


def _scalar(node: yaml.Node, name: str) -> Any:
    text = str(node.value)
    match node.tag.rpartition(":")[2]:
        case "null":
            return None
        case "bool":
            return text.lower() == "true"
        case "int":
            return int(text, 16 if text.startswith("0x") else 10)
        case "float":
            number = float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
            if math.isinf(number) and "inf" not in text.lower():
                raise ConfigError(
                    f"{name}:{node.start_mark.line + 1}: {one_line(text, 40)} is too large for a number; write .inf"
                )
            return number
        case _:
            return text
