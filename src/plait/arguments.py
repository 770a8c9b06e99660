"""Arguments of plug-ins from text and from files, checked against the annotations of their class.

Times are annotated as `Nanos` and given in milliseconds, under their name with `_ms`.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Mapping
from importlib.resources import files
from ipaddress import ip_address
from typing import Any, Final

from plait.addresses import IpAddress
from plait.errors import UsageError
from plait.units import MILLISECOND, Nanos

_TYPES: Final = {"bool": bool, "str": str, "int": int, "Octets": int, "float": float}
_WORDS: Final = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


def known_arguments(kind: Callable[..., object]) -> dict[str, str]:
    """Return the annotations of the arguments of a class, as text."""
    known = {one.name: one.annotation for one in inspect.signature(kind).parameters.values()}
    if isinstance(kind, type) and not all(isinstance(text, str) for text in known.values()):
        written = _written(kind)
        known = {name: written.get(name, "") for name in known}
    return {name: str(text).removesuffix(" | None") for name, text in known.items()}


def _written(kind: type) -> dict[str, str]:
    """Return the annotations in the source of a class: compiled ones keep none."""
    found: dict[str, str] = {}
    for one in reversed(kind.__mro__[:-1]):
        package, _, module = one.__module__.rpartition(".")
        text = (files(package) / f"{module}.py").read_text(encoding="utf-8")
        (body,) = (
            node.body
            for node in ast.parse(text).body
            if isinstance(node, ast.ClassDef) and node.name == one.__name__
        )
        for node in body:
            if isinstance(node, ast.AnnAssign):
                found[ast.unparse(node.target)] = ast.unparse(node.annotation)
            elif isinstance(node, ast.FunctionDef) and node.name == "__init__":
                arguments_ = (*node.args.args, *node.args.kwonlyargs)
                found |= {a.arg: ast.unparse(a.annotation) for a in arguments_ if a.annotation}
    return found


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
