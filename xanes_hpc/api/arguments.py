"""Check the arguments of the functions that ``import xanes_hpc`` offers against their annotations."""

import inspect
import os
import reprlib
import types
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from functools import cache
from numbers import Integral, Real
from typing import Any, Literal, Union, cast, get_args, get_origin

import numpy as np

from xanes_hpc.errors import ConfigError

WORDS = {str: "text", bool: "True or False", int: "a whole number", float: "a number", type(None): "None"}
"""What is expected, by the plain types that are checked."""


def check_arguments(function: Callable[..., Any], values: Mapping[str, Any]) -> None:
    """Check a public function's arguments, as its first statement does with its ``locals()``.

    Annotations of plain types, paths, and sequences of these are checked; stores, structures and measured spectra are
    left to the functions that open them.

    Raises
    ------
    ConfigError
        If an argument has another type; names the parameter, what was expected and what received.

    Examples
    --------
    >>> def function(shift: float | None = None):
    ...     check_arguments(function, locals())
    >>> function(np.float32(2.0))
    >>> function("5")
    Traceback (most recent call last):
    xanes_hpc.errors.ConfigError: `shift`: expected a number, received '5'
    """
    check_values(annotations_of(function), values)


def check_values(annotations: Mapping[str, Any], values: Mapping[str, Any]) -> None:
    """Check values against annotations of the same names, as ``check_arguments`` does."""
    for name, annotation in annotations.items():
        if name in values and not _fits(values[name], annotation):
            raise ConfigError(f"`{name}`: expected {_in_words(annotation)}, received {reprlib.repr(values[name])}")


@cache
def annotations_of(function: Hashable) -> dict[str, Any]:
    """Return the annotations of a function's or class's parameters that can be checked."""
    own = inspect.signature(cast(Any, function)).parameters.values()
    several = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return {one.name: one.annotation for one in own if one.kind not in several and _is_plain(one.annotation)}


def _is_plain(annotation: Any) -> bool:
    """Return True if an annotation consists of types that are checked here."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin in (Literal, os.PathLike):
        return True
    if origin in (Union, types.UnionType, Sequence, tuple, Mapping):
        return all(one is Ellipsis or _is_plain(one) for one in inner)
    return annotation in WORDS


def _fits(value: Any, annotation: Any) -> bool:
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        return any(_fits(value, one) for one in inner)
    if origin is Literal:  # which texts are possible is for their users to say
        return isinstance(value, tuple({type(one) for one in inner}))
    if origin is os.PathLike:
        return isinstance(value, os.PathLike)
    if origin is Mapping:
        return isinstance(value, Mapping) and all(_fits(k, inner[0]) and _fits(v, inner[1]) for k, v in value.items())
    if origin in (Sequence, tuple):
        if origin is Sequence and isinstance(value, Iterator):
            return True
        known = (Sequence, np.ndarray) if origin is Sequence else Sequence
        if isinstance(value, (str, bytes)) or not isinstance(value, known):
            return False
        if origin is Sequence or Ellipsis in inner:
            return all(_fits(one, inner[0]) for one in value)
        return len(value) == len(inner) and all(map(_fits, value, inner))
    if annotation is bool:
        return isinstance(value, (bool, np.bool_)) or (isinstance(value, int) and value in (0, 1))
    if annotation in (int, float):
        return isinstance(value, Integral if annotation is int else Real) and not isinstance(value, bool)
    return isinstance(value, annotation)


def _in_words(annotation: Any) -> str:
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        others = [one for one in inner if one is not type(None)]
        if str in others and any(get_origin(one) is os.PathLike for one in others):  # text is a path here
            others.remove(str)
        return " or ".join(dict.fromkeys(map(_in_words, others)))
    if origin is Literal:
        return f"one of {', '.join(map(str, inner))}"
    if origin is os.PathLike:
        return "a path"
    if origin is Mapping:
        return f"a dictionary with {_in_words(inner[1])} by name"
    if origin in (Sequence, tuple) and (origin is Sequence or Ellipsis in inner):
        return f"a list with {_in_words(inner[0])} each"
    if origin is tuple:
        return f"{len(inner)} values ({', '.join(map(_in_words, inner))})"
    return WORDS[annotation]
