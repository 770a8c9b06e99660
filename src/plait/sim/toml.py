"""The TOML format of scenarios: tables are the records of `plait.sim.scenario`, keys their fields.

Two records are written flat.  A link's table has the fields of its `Shape` beside `between`, and a
table `back` for what differs in the other direction; a middlebox's table has its options beside
`kind` and `inside`.  Every error names the file and the key.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from math import isfinite
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Final, Union, get_args, get_origin, get_type_hints

from plait.errors import UsageError
from plait.sim.scenario import LinkSpec, MiddleboxSpec, Scenario, Shape

_NAMES: Final = {bool: "true or false", int: "a whole number", float: "a number", str: "a string"}


def load(path: Path, changes: Iterable[str] = ()) -> Scenario:
    """Read a scenario from a file.  Raises UsageError, and OSError if it cannot be read.

    Args:
        path: The file; traces that it names are looked for beside it.
        changes: Settings of keys, `links.wifi.rate_mbit=20`, that differ from the file.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: {error}") from error
    try:
        for change in changes:
            _apply(table, change)
        return decode(table, path.parent)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error


def decode(table: dict[str, Any], directory: Path = Path()) -> Scenario:
    """Make a scenario of a table.  Raises UsageError, which names the key."""
    scenario: Scenario = _record(Scenario, _with_traces(table, directory), "")
    return scenario


def _apply(table: dict[str, Any], change: str) -> None:
    """Set one key; the value is TOML, or a string if it is not."""
    key, sign, text = change.partition("=")
    if not sign or not key:
        raise UsageError(f"{change!r} is not KEY=VALUE")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    *parents, last = key.split(".")
    place: Any = table
    for name in parents:
        if isinstance(place, list):
            place = place[_index(place, name, key)]
        elif isinstance(place, dict):
            place = place.setdefault(name, {})
    if isinstance(place, list):
        place[_index(place, last, key)] = value
    elif isinstance(place, dict):
        place[last] = value
    else:
        raise UsageError(f"{key}: there is no such key")


def _index(place: list[Any], name: str, key: str) -> int:
    if name.isdecimal() and int(name) < len(place):
        return int(name)
    raise UsageError(f"{key}: {name!r} is not a number below {len(place)}")


def _with_traces(table: dict[str, Any], directory: Path) -> dict[str, Any]:
    """Return the table with the names of traces made relative to the file's directory."""
    links = table.get("links")
    if not isinstance(links, dict):
        return table
    placed: dict[str, Any] = {}
    for name, link in links.items():
        placed[name] = link
        if isinstance(link, dict):
            placed[name] = _placed(link, directory)
            if isinstance(link.get("back"), dict):
                placed[name]["back"] = _placed(link["back"], directory)
    return table | {"links": placed}


def _placed(shape: dict[str, Any], directory: Path) -> dict[str, Any]:
    trace = shape.get("trace")
    return shape | {"trace": str(directory / trace)} if isinstance(trace, str) else dict(shape)


def _record(cls: type[Any], table: Any, where: str) -> Any:
    """Make a record of a table, key by key."""
    if not isinstance(table, dict):
        raise UsageError(f"{where}: must be a table")
    flat = _FLAT.get(cls)
    if flat is not None:
        table = flat(table, where)
    hints = get_type_hints(cls)
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key not in hints:
            raise UsageError(f"{_join(where, key)}: unknown key; known are {', '.join(hints)}")
        values[key] = _value(hints[key], value, _join(where, key))
    for one in fields(cls):
        required = one.default is MISSING and one.default_factory is MISSING
        if required and one.name not in values:
            raise UsageError(f"{_join(where, one.name)}: is missing")
    try:
        return cls(**values)
    except UsageError as error:
        raise UsageError(_join(where, str(error))) from error


def _value(hint: Any, value: Any, where: str) -> Any:
    """Check a value against the type of its field."""
    origin = get_origin(hint)
    if origin in (Union, UnionType):
        (hint,) = (arm for arm in get_args(hint) if arm is not NoneType)
        return _value(hint, value, where)
    if origin is tuple:
        return _items(get_args(hint), value, where)
    if origin is dict:
        if not isinstance(value, dict):
            raise UsageError(f"{where}: must be a table")
        inner = get_args(hint)[1]
        return {key: _value(inner, item, _join(where, key)) for key, item in value.items()}
    if is_dataclass(hint):
        assert isinstance(hint, type)
        return value if isinstance(value, hint) else _record(hint, value, where)
    if hint is Any:
        return value
    return _scalar(hint, value, where)


def _items(arms: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
    """Check a list; one value alone stands for a list of one where any number may be."""
    if arms[-1] is Ellipsis:
        items = value if isinstance(value, list | tuple) else [value]
        return tuple(_value(arms[0], item, _join(where, str(at))) for at, item in enumerate(items))
    if not isinstance(value, list | tuple) or len(value) != len(arms):
        raise UsageError(f"{where}: must be a list of {len(arms)}")
    return tuple(_value(arm, item, where) for arm, item in zip(arms, value, strict=True))


def _scalar(hint: type[Any], value: Any, where: str) -> Any:
    if hint is float and type(value) is int:
        value = float(value)
    if type(value) is not hint or (hint is float and not isfinite(value)):
        raise UsageError(f"{where}: must be {_NAMES[hint]}, not {value!r}")
    return value


def _unflatten_link(table: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return the fields of a link: the way back is the way forth with some differences."""
    forth = {key: value for key, value in table.items() if key not in ("between", "back")}
    back = table.get("back", {})
    if not isinstance(back, dict):
        raise UsageError(f"{_join(where, 'back')}: must be a table")
    if "trace" in back:
        forth_less = {key: value for key, value in forth.items() if key != "rate_mbit"}
    elif "rate_mbit" in back:
        forth_less = {key: value for key, value in forth.items() if key != "trace"}
    else:
        forth_less = forth
    known = {one.name for one in fields(Shape)}
    for key in back:
        if key not in known:
            raise UsageError(f"{_join(where, 'back')}.{key}: unknown key")
    link = {
        "forth": _record(Shape, forth, where),
        "back": _record(Shape, forth_less | back, _join(where, "back") if back else where),
    }
    return link | {"between": table["between"]} if "between" in table else link


def _unflatten_middlebox(table: Mapping[str, Any], _: str) -> dict[str, Any]:
    """Return the fields of a middlebox: what is not its own is an option of its kind."""
    own = {key: table[key] for key in ("kind", "inside") if key in table}
    return own | {"options": {key: table[key] for key in table if key not in own}}


_FLAT: Final[dict[type[Any], Callable[[Mapping[str, Any], str], dict[str, Any]]]] = {
    LinkSpec: _unflatten_link,
    MiddleboxSpec: _unflatten_middlebox,
}


def _join(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key
