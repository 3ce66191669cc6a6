"""Schemas of xanes-hpc's HDF5 stores, and a check of files against them. See ``hdf5_schema/README.md`` for prose.

A schema is a JSON file ``KIND-VERSION.json`` that lists attributes and datasets with dtype, shape and meaning.
Dimensions are numbers or names. A name has one length throughout a file; ``n+1`` is one more than ``n``.
"""

import json
import math
from importlib.resources import files
from typing import Any

import h5py
import numpy as np

KINDS = ("structures", "features", "targets", "predictions")
CURRENT = {"structures": 1, "features": 1, "targets": 1, "predictions": 1}
"""Versions that are written. Every version with a JSON file can be read."""


MOST_COMPRESSED = 1100
"""Highest compression ratio of gzip; that of lzf is lower."""


LARGEST_CHUNK = 1 << 28
"""Maximum size of a chunk in bytes; reading one row loads its whole chunk into memory."""


class SchemaError(ValueError):
    """A file that does not match its schema; the message is one line without the file's name."""


def store_name(kind: str) -> str:
    """Return what a kind of store is called in text, such as ``structure store``."""
    return f"{kind.removesuffix('s')} store"


def load(kind: str, version: int | None = None) -> dict[str, Any]:
    """Return the schema of a kind of store, by default of the current version.

    Raises
    ------
    SchemaError
        If there is no such kind or version.
    """
    if kind not in KINDS:
        raise SchemaError(f"unknown kind of store {kind!r}; expected {', '.join(KINDS)}")
    number = CURRENT[kind] if version is None else version
    path = files(__name__) / f"{kind}-{number}.json"
    if not path.is_file():
        raise SchemaError(f"{store_name(kind)} of schema {number}; this program reads up to schema {CURRENT[kind]}")
    schema: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return schema


def kind_of(file: h5py.File) -> tuple[str, int]:
    """Return the kind and the schema version recorded in a file.

    Raises
    ------
    SchemaError
        If the file is not a store of xanes-hpc.
    """
    name = file.attrs.get("format")
    name = name.decode("utf-8", "replace") if isinstance(name, bytes) else name
    prefix, _, kind = name.partition("/") if isinstance(name, str) else ("", "", "")
    if prefix != "xanes-hpc" or kind not in KINDS:
        raise SchemaError("an HDF5 file, but not a store of xanes-hpc (no such 'format' attribute)")
    version = file.attrs.get("schema_version")
    if not isinstance(version, (int, np.integer)) or version < 1:
        raise SchemaError(f"{store_name(kind)} without a valid schema_version")
    return kind, int(version)


def validate(file: h5py.File, kind: str | None = None) -> dict[str, int]:
    """Check a store against its schema without reading its data.

    Parameters
    ----------
    file
        An open file.
    kind
        Expected kind; by default any.

    Returns
    -------
    dict
        Length of each named dimension.

    Raises
    ------
    SchemaError
        If the store does not match; the message names the first attribute or dataset that is missing or differs.
    """
    found, version = kind_of(file)
    if kind is not None and found != kind:
        raise SchemaError(f"expected a {store_name(kind)}, received a {store_name(found)}")
    if version > CURRENT[found]:
        raise SchemaError(
            f"{store_name(found)} of schema {version}, written by {_text(file.attrs.get('creator'))}; "
            f"this program reads up to schema {CURRENT[found]}: upgrade it"
        )
    schema = load(found, version)
    lengths: dict[str, int] = {}
    _check_attributes("the file", file, schema["attributes"])
    for path, entry in schema["datasets"].items():
        node = file.get(path)
        if node is None and entry.get("optional"):
            continue
        if not isinstance(node, h5py.Dataset):
            raise SchemaError(f"{store_name(found)} lacks the dataset {path}")
        _check_dataset(file, path, node, entry, lengths)
        _check_attributes(path, node, entry.get("attributes", {}))
    for path, entry in schema["groups"].items():
        group = file.get(path, {})
        if isinstance(group, h5py.Dataset):
            raise SchemaError(f"{path}: expected a group, received a dataset")
        for name in group:
            node = group.get(name)
            if not isinstance(node, h5py.Dataset):
                raise SchemaError(f"{path}/{name}: expected a dataset")
            _check_dataset(file, f"{path}/{name}", node, entry, lengths)
    return lengths


def _check_attributes(where: str, node: h5py.HLObject, expected: dict[str, Any]) -> None:
    types = {"string": (str, bytes), "int": (int, np.integer)}
    for name, entry in expected.items():
        if name not in node.attrs:
            if entry.get("optional"):
                continue
            raise SchemaError(f"{where} lacks the attribute {name}")
        if not isinstance(node.attrs[name], types[entry["dtype"]]):
            raise SchemaError(f"{where}: attribute {name}: expected {entry['dtype']}")


def _check_dataset(
    file: h5py.File, path: str, node: h5py.Dataset, entry: dict[str, Any], lengths: dict[str, int]
) -> None:
    wanted = entry["dtype"] if isinstance(entry["dtype"], list) else [entry["dtype"]]
    if not any(_matches(node.dtype, w) for w in wanted):
        raise SchemaError(f"{path}: expected {' or '.join(wanted)}, received {node.dtype}")
    if (node.is_virtual and not entry.get("virtual")) or node.external or node.file != file:
        raise SchemaError(f"{path}: expected data in this file, received data in another one")
    if node.shape is None:
        raise SchemaError(f"{path}: has no data")
    _check_size(path, node)
    if len(node.shape) != len(entry["shape"]):
        raise SchemaError(f"{path}: expected {len(entry['shape'])} dimensions, received {len(node.shape)}")
    for length, dimension in zip(node.shape, entry["shape"], strict=True):
        if isinstance(dimension, int):
            expected = dimension
        else:
            name, _, more = dimension.partition("+")
            expected = lengths.setdefault(name, length - int(more or 0)) + int(more or 0)
        if length != expected:
            raise SchemaError(f"{path}: expected length {expected} for {dimension}, received {length}")


def _check_size(path: str, node: h5py.Dataset) -> None:
    """Raise an error if a dataset claims more data than the file can hold: HDF5 would invent the rest."""
    if node.is_virtual or not node.shape or node.dtype.hasobject:
        return
    claimed, stored = node.dtype.itemsize * math.prod(node.shape), node.id.get_storage_size()
    chunk = node.dtype.itemsize * math.prod(node.chunks or (0,))
    if chunk > LARGEST_CHUNK:
        raise SchemaError(f"{path}: expected chunks of {LARGEST_CHUNK:,} bytes or fewer, received {chunk:,}")
    if claimed > stored * (MOST_COMPRESSED if node.compression else 1):
        raise SchemaError(f"{path}: claims {claimed:,} bytes, but the file stores {stored:,} bytes of it")


def _matches(dtype: np.dtype[Any], wanted: str) -> bool:
    if wanted == "string":
        return h5py.check_string_dtype(dtype) is not None
    if wanted == "float":
        return dtype.kind == "f"
    return dtype == np.dtype(wanted)


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
