"""Configuration files: one YAML, every key overridable by environment, errors that point at the line.

`VERGENCE_EDGE__LINK__ADDRESS=host:50052` overrides `link.address` of an edge: the prefix names the
service, two underscores go one level down, a number picks from a list. Values are read as YAML.
"""

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar, get_args

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError, ValidationInfo, field_validator
from pydantic_core import ErrorDetails

from wire.runtime.errors import UserError
from wire.runtime.yaml_loader import parse


class Section(BaseModel):
    """Base of every configuration section: immutable, unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @field_validator("*", mode="before")
    @classmethod
    def _a_number_is_no_truth_value(cls, value: Any, info: ValidationInfo) -> Any:
        """To Python True is 1, so that `port: true` would mean port 1."""
        if isinstance(value, bool):
            annotation = cls.model_fields[info.field_name or ""].annotation
            taken = {annotation, *get_args(annotation)}
            if taken & {int, float} and bool not in taken:
                raise ValueError("input should be a number")
        return value


def _address(text: str) -> str:
    host, _, port = text.rpartition(":")
    if not host or len(text.split()) != 1 or re.search(r"[@/]", text) or not port.isdecimal() or int(port) > 65535:
        raise ValueError("write host:port, such as 127.0.0.1:50051")
    return text


SECRET: Final = "secret"
"""Marks a field whose value errors never show: `url: Annotated[str, SECRET]`."""

Address = Annotated[str, AfterValidator(_address)]
"""host:port"""

LARGEST_FILE: Final = 2**20
"""Bytes. Ours have 5,000; a parser in Python takes seconds for each megabyte."""

Config = TypeVar("Config", bound=Section)
Location = tuple[int | str, ...]


class ConfigError(UserError):
    """Every error of a configuration, one line each."""


def load(model: type[Config], path: Path | str | None, prefix: str, environment: Mapping[str, str]) -> Config:
    """Read, override, check.

    path         YAML file; None starts from the defaults
    prefix       of the environment variables, without the two underscores, such as "VERGENCE_EDGE"
    environment  usually os.environ
    raises       ConfigError with a line for every error: file, line, dotted path, what is allowed
    """
    source = _Source.read(path)
    values = source.values
    overridden: dict[Location, str] = {}
    written: dict[Location, str] = {}
    for name in sorted(environment):
        if name.startswith(prefix + "__"):
            location = tuple(_key(part) for part in name[len(prefix) + 2 :].lower().split("__"))
            _override(values, location, _scalar(name, environment[name]), name)
            overridden[location], written[location] = name, environment[name]
    try:
        return model.model_validate(values)
    except ValidationError as error:
        lines = [_describe(detail, model, source, overridden, written) for detail in error.errors()]
        raise ConfigError("\n".join(dict.fromkeys(lines))) from None


@dataclass(frozen=True)
class _Source:
    """A parsed file: its values, and the node tree that knows the lines."""

    name: str
    values: dict[str, Any]
    node: yaml.Node | None

    @staticmethod
    def read(path: Path | str | None) -> "_Source":
        if path is None:
            return _Source("defaults", {}, None)
        try:
            if (size := Path(path).stat().st_size) > LARGEST_FILE:
                raise ConfigError(f"{path}: has {size} bytes; a configuration has at most {LARGEST_FILE}")
            text = Path(path).read_text(encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"{path}: cannot be read ({error.strerror}); give --config an existing file") from None
        except UnicodeDecodeError as error:
            line = error.object[: error.start].count(b"\n") + 1
            raise ConfigError(f"{path}:{line}: not UTF-8; save the file as UTF-8") from None
        try:
            node, values = parse(text)
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            raise ConfigError(f"{path}:{line}: not YAML: {error.problem}") from None
        except yaml.reader.ReaderError as error:
            line = text[: error.position].count("\n") + 1
            raise ConfigError(f"{path}:{line}: not YAML: {error.reason}") from None
        except (ValueError, OverflowError, RecursionError) as error:
            raise ConfigError(f"{path}: not YAML that is taken here: {_reason(error)}") from None
        twice = list(_given_twice(node))
        if twice:
            lines = [f"{path}:{key.start_mark.line + 1}: {key.value}: given twice; keep one" for key in twice]
            raise ConfigError("\n".join(lines))
        if values is None:
            values = {}
        if not isinstance(values, dict):
            raise ConfigError(f"{path}:1: the file must hold keys and values")
        return _Source(str(path), values, node)

    def text(self, location: Location) -> str | None:
        """How the value at `location` is written, if it is a single one without quotes."""
        node = self.node
        for part in location:
            if isinstance(node, yaml.MappingNode):
                node = next((value for key, value in node.value if key.value == str(part)), None)
            elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
                node = node.value[part]
            else:
                return None
        return str(node.value) if isinstance(node, yaml.ScalarNode) and node.style is None else None

    def line(self, location: Location) -> int | None:
        """Line of the deepest key on the way to `location` that the file has."""
        node, line = self.node, None
        for part in location:
            if isinstance(node, yaml.MappingNode):
                for key, value in node.value:
                    if key.value == str(part):
                        node, line = value, key.start_mark.line + 1
                        break
            elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
                node = node.value[part]
                line = node.start_mark.line + 1
        return line


def _reason(error: Exception) -> str:
    return "it is nested too deeply" if isinstance(error, RecursionError) else (str(error).splitlines() or ["?"])[0]


def _given_twice(node: yaml.Node | None) -> Iterator[yaml.Node]:
    """Keys that stand in their mapping for the second time: YAML would quietly let the last one count."""
    if isinstance(node, yaml.MappingNode):
        seen = set[str]()
        for key, value in node.value:
            if key.value in seen:
                yield key
            seen.add(key.value)
            yield from _given_twice(value)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield from _given_twice(value)


def _key(part: str) -> int | str:
    return int(part) if part.isascii() and part.isdecimal() else part


def _scalar(name: str, text: str) -> Any:
    try:
        return parse(text)[1]
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError):
        raise ConfigError(f"{name}: its value is not YAML; quote it") from None


def _override(values: Any, location: Location, value: Any, name: str) -> None:
    for part in location[:-1]:
        if isinstance(values, dict):
            if values.get(str(part)) is None:
                values[str(part)] = {}
            values = values[str(part)]
        elif isinstance(values, list) and isinstance(part, int) and part < len(values):
            values = values[part]
        else:
            raise ConfigError(f"{name}: there is nothing at '{part}' to override")
    last = location[-1]
    if isinstance(values, list) and isinstance(last, int) and last < len(values):
        values[last] = value
    elif isinstance(values, dict):
        values[str(last)] = value
    else:
        raise ConfigError(f"{name}: there is nothing at '{last}' to override")


def _describe(
    detail: ErrorDetails,
    model: type[BaseModel],
    source: _Source,
    overridden: Mapping[Location, str],
    written: Mapping[Location, str],
) -> str:
    location: Location = detail["loc"]
    dotted = ".".join(str(part) for part in location)
    # An override is to blame for an error in itself and in the section that it no longer fits.
    where = next((name for key, name in overridden.items() if location and _agree(key, location)), None)
    if where is None:
        line = source.line(location)
        where = f"{source.name}:{line}" if line else source.name
    if detail["type"] == "extra_forbidden":
        allowed = _keys(model, location[:-1])
        near = difflib.get_close_matches(str(location[-1]), allowed, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"allowed: {', '.join(allowed)}"
        return f"{where}: {dotted}: unknown key; {hint}"
    if detail["type"] == "missing":
        return f"{where}: {dotted}: missing; set it"
    message = detail["msg"].removeprefix("Value error, ")
    message = message[0].lower() + message[1:] if message[:2].istitle() else message
    given = detail["input"]
    if detail["type"] == "string_type" and isinstance(given, int | float | date):
        text = written.get(location) or source.text(location)
        if text and not _is_secret(model, location, text):
            quoted = f"\"'{text}'\"" if location in written else f"'{text}'"  # a shell takes one pair of quotes away
            return f"{where}: {dotted}: YAML reads {text} as {_spoken(given)}; quote it: {quoted}"
    is_shown = isinstance(given, str | int | float | bool | None) and not _is_secret(model, location, str(given))
    shown = f" (got {given!r})" if is_shown else ""
    return f"{where}: {dotted}: {message}{shown}" if dotted else f"{where}: {message}"


def _spoken(value: object) -> str:
    if isinstance(value, bool):
        return "yes or no"
    return "a date" if isinstance(value, date) else f"the number {value}"


def _is_secret(model: type[BaseModel], location: Location, text: str) -> bool:
    """Whether a value must not be shown: its field is marked, or it looks like an address that may hold a password."""
    models: list[type[BaseModel]] = [model]
    for part in location:
        fields = [each.model_fields[str(part)] for each in models if str(part) in each.model_fields]
        if any(SECRET in field.metadata for field in fields):
            return True
        models = [
            found for each in models if str(part) in each.model_fields for found in _models(each, str(part))
        ] or models
    return "://" in text or "@" in text


def _agree(one: Location, other: Location) -> bool:
    """Whether one is the other, or leads to it."""
    return all(a == b for a, b in zip(one, other, strict=False))


def _keys(model: type[BaseModel], location: Location) -> list[str]:
    """Keys allowed at a location, as far as the models tell."""
    models: list[type[BaseModel]] = [model]
    for part in location:
        inner = [found for each in models if str(part) in each.model_fields for found in _models(each, str(part))]
        models = inner or models
    return sorted({key for each in models for key in each.model_fields})


def _models(model: type[BaseModel], key: str) -> list[type[BaseModel]]:
    """Section types in the annotation of one field, through unions, lists and mappings."""
    pending, found = [model.model_fields[key].annotation], []
    while pending:
        kind = pending.pop()
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            found.append(kind)
        pending.extend(getattr(kind, "__args__", ()))
    return found
