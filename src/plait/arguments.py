"""Arguments of plug-ins from text and from files, checked against the annotations of their class.

Times are annotated as `Nanos` and given in milliseconds, under their name with `_ms`.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import is_dataclass
from importlib.machinery import EXTENSION_SUFFIXES, SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

from plait.addresses import IpAddress
from plait.errors import UsageError
from plait.units import MILLISECOND, Nanos

_TYPES: Final = {"bool": bool, "str": str, "int": int, "Octets": int, "float": float}
_COMPILED: Final = tuple(EXTENSION_SUFFIXES)
_WORDS: Final = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


def known_arguments(kind: Callable[..., object]) -> dict[str, str]:
    """Return the annotations of the arguments of a class, as text."""
    return {
        name: str(one.annotation).removesuffix(" | None")
        for name, one in signature(kind).parameters.items()
    }


def signature(kind: Callable[..., object]) -> inspect.Signature:
    """Return the arguments of a class, with annotations and defaults as its source has them."""
    if not isinstance(kind, type):
        return inspect.signature(kind)
    (maker, *_) = (one for one in kind.__mro__ if "__init__" in vars(one))
    found = inspect.signature(kind if maker is object else as_written(maker))
    if not is_dataclass(kind):
        return found
    fields: dict[str, object] = {}
    for one in reversed(kind.__mro__[:-1]):
        fields |= as_written(one).__annotations__
    told = [
        one.replace(annotation=fields.get(name, one.annotation))
        for name, one in found.parameters.items()
    ]
    return found.replace(parameters=told)


def as_written(kind: type) -> type:
    """Return a class with its docstring, its annotations and its defaults.

    Compiled ones have lost them; they are made once more, of the source that is beside them.
    """
    library = getattr(sys.modules[kind.__module__], "__file__", None) or ""
    return _of_source(kind, Path(library)) if library.endswith(_COMPILED) else kind


def _of_source(kind: type, library: Path) -> type:
    name = kind.__module__
    source = library.with_name(f"{name.rpartition('.')[2]}.py")
    loader = SourceFileLoader(name, str(source))
    spec = spec_from_loader(name, loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    twin: type = getattr(module, kind.__name__)
    return twin


def arguments(values: Mapping[str, Any], known: Mapping[str, str]) -> dict[str, Any]:
    """Return keyword arguments from values of a file.

    Raises UsageError that begins with the key at fault.
    """
    chosen: dict[str, Any] = {}
    for key, value in values.items():
        name, kind = _named(key, known)
        chosen[name] = checked(key, kind, value)
    return chosen


def parse_arguments(text: str, known: Mapping[str, str]) -> dict[str, Any]:
    """Return keyword arguments from `KEY=VALUE,...`.

    Raises UsageError that begins with the key at fault.
    """
    chosen: dict[str, Any] = {}
    for part in filter(None, text.split(",")):
        key, separator, value = part.strip().partition("=")
        name, kind = _named(key, known)
        if not separator:
            raise UsageError(f"{key}: needs a value: {key}=...")
        chosen[name] = checked(key, kind, _read(key, kind, value))
    return chosen


def _named(key: str, known: Mapping[str, str]) -> tuple[str, str]:
    """Return the name and the annotation of the argument that a key stands for."""
    keys = {f"{name}_ms" if kind == "Nanos" else name: name for name, kind in known.items()}
    if key not in keys:
        raise UsageError(f"{key}: unknown key; known are {', '.join(keys) or 'none'}")
    return keys[key], known[keys[key]]


def _read(key: str, kind: str, text: str) -> Any:
    """Return what a text says where a value of this kind is wanted."""
    try:
        if kind == "bool":
            return _WORDS[text.lower()]
        if kind in {"float", "Nanos"}:
            return float(text)
        return int(text) if kind in {"int", "Octets"} else text
    except (KeyError, ValueError) as error:
        wanted = {"bool": "yes or no", "Nanos": "milliseconds"}.get(kind, "a number")
        raise UsageError(f"{key}: {text!r} is not {wanted}") from error


def checked(key: str, kind: str, value: Any) -> Any:
    """Return a value as its annotation wants it.  Raises UsageError that begins with `key`."""
    if kind == "Nanos":
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
            raise UsageError(f"{key}: must be a number of milliseconds, not {value!r}")
        return nanos(value)
    if kind == "IpAddress":
        return parse_address(key, value)
    if kind == "float" and type(value) is int:
        value = float(value)
    wanted = _TYPES.get(kind)
    if wanted is not None and type(value) is not wanted:
        raise UsageError(f"{key}: must be {wanted.__name__}, not {value!r}")
    if wanted is int and value < 0:
        raise UsageError(f"{key}: must not be negative: {value}")
    return value


def nanos(milliseconds: float) -> Nanos:
    """Return milliseconds as nanoseconds."""
    return round(milliseconds * MILLISECOND)


def parse_address(key: str, text: Any) -> IpAddress:
    """Return an address.  Raises UsageError that begins with `key`."""
    try:
        return ip_address(str(text))
    except ValueError as error:
        raise UsageError(f"{key}: {text!r} is no IP address") from error
