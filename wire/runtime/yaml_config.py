"""Configuration files: one YAML, every key overridable by environment, errors that point at the line."""

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError, ValidationInfo, field_validator
from pydantic_core import ErrorDetails

from wire.runtime.env_config import Location, Override, override
from wire.runtime.errors import one_line
from wire.runtime.yaml_loader import MOST_BYTES, MOST_ERRORS, ConfigError, check_size, given_twice, parse, value_of

__all__ = ["SECRET", "Address", "ConfigError", "Section", "load"]


class Section(BaseModel):
    """Base of every configuration section: immutable, unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @field_validator("*", mode="before")
    @classmethod
    def _truth_is_no_number(cls, value: Any, info: ValidationInfo) -> Any:
        """`port: true` would otherwise be taken for port 1."""
        kinds = _kinds(cls.model_fields[str(info.field_name)].annotation) if isinstance(value, bool) else []
        if bool not in kinds and (int in kinds or float in kinds):
            raise ValueError("input should be a number")
        return value


def _address(text: str) -> str:
    host, _, port = text.rpartition(":")
    is_port = re.fullmatch("[0-9]{1,5}", port) is not None and int(port) <= 65535
    if not host or not is_port or len(text.split()) != 1 or re.search(r"[@/]", text.removeprefix("dns:///")):
        raise ValueError("write host:port, such as 127.0.0.1:50051")
    return text


SECRET: Final = "secret"
"""Marks a field whose value errors never show: `url: Annotated[str, SECRET]`."""

Address = Annotated[str, AfterValidator(_address)]
"""host:port"""

Config = TypeVar("Config", bound=Section)


def load(model: type[Config], path: Path | str | None, prefix: str, environment: Mapping[str, str]) -> Config:
    """Read, override, check.

    path         YAML file; None starts from the defaults
    prefix       of the environment variables, without the two underscores, such as "VERGENCE_EDGE"
    environment  usually os.environ
    raises       ConfigError with a line for every error: file, line, dotted path, what is allowed
    """
    source = _Source.read(path)
    values = source.values
    overrides = override(values, prefix, environment)
    try:
        return model.model_validate(values)
    except ValidationError as error:
        details = error.errors()
        lines = [_describe(detail, model, source, overrides) for detail in details[:MOST_ERRORS]]
        raise ConfigError(lines, left_out=max(0, len(details) - MOST_ERRORS)) from None


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
        name = str(path)
        try:
            with Path(path).open("rb") as file:
                data = file.read(MOST_BYTES + 1)
            check_size(len(data), name)  # before it is text: what is cut off here must not go unread
            text = data.decode("utf-8-sig")
        except OSError as error:
            raise ConfigError(f"{path}: cannot be read ({error.strerror}); give --config an existing file") from None
        except UnicodeDecodeError as error:
            line = error.object[: error.start].count(b"\n") + 1
            raise ConfigError(f"{path}:{line}: not UTF-8; save the file as UTF-8") from None
        node = parse(text, name)
        values = value_of(node, name)
        twice = list(given_twice(node))
        if twice:
            lines = [f"{name}:{key.start_mark.line + 1}: {key.value}: given twice; keep one" for key in twice]
            raise ConfigError(lines[:MOST_ERRORS], left_out=max(0, len(lines) - MOST_ERRORS))
        if values is None:
            values = {}
        if not isinstance(values, dict):
            raise ConfigError(f"{name}:1: the file must hold keys and values")
        return _Source(name, values, node)

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
        return str(node.value) if isinstance(node, yaml.ScalarNode) and node.style in (None, "") else None

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


def _describe(
    detail: ErrorDetails,
    model: type[BaseModel],
    source: _Source,
    overrides: Sequence[Override],
) -> str:
    location: Location = detail["loc"]
    dotted = ".".join(one_line(str(part), 80) for part in location)
    where = _blamed(detail, model, overrides)
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
    if detail["type"] == "string_type" and isinstance(given, int | float):
        variable = next((each.text for each in overrides if each.location == location), None)
        text = variable or source.text(location)
        if text and not _is_secret(model, location, text):
            quoted = f"'{text}'" if variable is None else f"\"'{text}'\""  # a shell takes one pair of quotes away
            return f"{where}: {dotted}: YAML reads {text} as {_spoken(given)}; quote it: {quoted}"
    is_shown = isinstance(given, str | int | float | bool | None) and not _is_secret(model, location, str(given))
    shown = f" (got {one_line(repr(given), 80)})" if is_shown else ""
    return f"{where}: {dotted}: {message}{shown}" if dotted else f"{where}: {message}"


def _blamed(detail: ErrorDetails, model: type[BaseModel], overrides: Sequence[Override]) -> str | None:
    """The variable that an error comes from; None is the file.

    That is one of the value itself, or of the section that holds it; of an error of a whole section, one that it no
    longer fits: of several, one whose key the message names.
    """
    location: Location = detail["loc"]
    near = [each for each in overrides if location and _agree(each.location, location)]
    if above := [each for each in near if len(each.location) <= len(location)]:
        return above[0].name
    words = set(re.findall(r"\w+", detail["msg"]))
    named = [each for each in near if str(each.location[-1]) in words]
    if named or words.intersection(_keys(model, location)):
        return named[0].name if named else None
    return near[0].name if near else None


def _spoken(value: object) -> str:
    if isinstance(value, bool):
        return "a truth value"
    return f"the number {value}"


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
    kinds = _kinds(model.model_fields[key].annotation)
    return [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)]


def _kinds(annotation: Any) -> list[Any]:
    """Everything that an annotation is made of."""
    pending, found = [annotation], []
    while pending:
        kind = pending.pop()
        found.append(kind)
        pending.extend(getattr(kind, "__args__", ()))
    return found
