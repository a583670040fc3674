"""Overrides of a configuration by environment variables.

`VERGENCE_EDGE__LINK__ADDRESS=host:50052` overrides `link.address` of an edge: the prefix names the service, two
underscores go one level down, a number picks from a list. Values are read as YAML.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wire.runtime.yaml_loader import ConfigError, parse, value_of

Location = tuple[int | str, ...]


@dataclass(frozen=True, slots=True)
class Override:
    """One variable. location: the key that it overrides; text: its value as it is written."""

    name: str
    location: Location
    text: str


def override(values: dict[str, Any], prefix: str, environment: Mapping[str, str]) -> list[Override]:
    """Write the variables with a prefix into the values of a file.

    values       changed in place
    prefix       without the two underscores, such as "VERGENCE_EDGE"
    environment  usually os.environ
    returns      what was overridden, for errors
    raises       ConfigError that names the variable
    """
    made = []
    for name in sorted(environment):
        if name.startswith(prefix + "__"):
            location = tuple(_key(part) for part in name[len(prefix) + 2 :].lower().split("__"))
            _set(values, location, _value(name, environment[name]), name)
            made.append(Override(name, location, environment[name]))
    return made


def _key(part: str) -> int | str:
    return int(part) if part.isascii() and part.isdigit() and len(part) < 10 else part


def _value(name: str, text: str) -> Any:
    try:
        return value_of(parse(text, name), name)
    except ConfigError:
        raise ConfigError(f"{name}: its value is not YAML; quote it") from None


def _set(values: Any, location: Location, value: Any, name: str) -> None:
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
