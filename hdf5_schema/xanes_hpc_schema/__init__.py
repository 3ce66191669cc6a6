"""The formats of xanes-hpc's HDF5 stores, and a check of a file against them. Prose in ``hdf5_schema/README.md``.

A schema is a JSON file ``KIND-VERSION.json``: attributes and datasets with dtype, shape and meaning. Dimensions
are numbers or names; a name stands for one length throughout a file, and ``n+1`` for one more than ``n``.
"""

import json
import math
from importlib.resources import files
from typing import Any

import h5py
import numpy as np

KINDS = ("structures", "features", "targets", "predictions")
CURRENT = {"structures": 1, "features": 1, "targets": 1, "predictions": 1}
"""The version that is written; every version that has a JSON file here is read."""


MOST_COMPRESSED = 1100
"""What gzip makes of a byte at most; lzf makes less."""


LARGEST_CHUNK = 1 << 28
"""Bytes of a chunk, all of which are in memory where one row of it is read."""


class SchemaError(ValueError):
    """A file that is not what its schema says; the message is one line without the file's name."""


def load(kind: str, version: int | None = None) -> dict[str, Any]:
    """The schema of a kind of store; by default the current version.

    Raises
    ------
    SchemaError
        If there is no such kind or version.
    """
    if kind not in KINDS:
        raise SchemaError(f"no store is of kind {kind!r}; expected {', '.join(KINDS)}")
    number = CURRENT[kind] if version is None else version
    path = files(__name__) / f"{kind}-{number}.json"
    if not path.is_file():
        raise SchemaError(f"{kind} store of schema {number}; this program reads up to schema {CURRENT[kind]}")
    schema: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return schema


def kind_of(file: h5py.File) -> tuple[str, int]:
    """Kind and schema version that a file says it has.

    Raises
    ------
    SchemaError
        If it is none of ours.
    """
    name = file.attrs.get("format")
    name = name.decode("utf-8", "replace") if isinstance(name, bytes) else name
    prefix, _, kind = name.partition("/") if isinstance(name, str) else ("", "", "")
    if prefix != "xanes-hpc" or kind not in KINDS:
        raise SchemaError("an HDF5 file, but not a store of xanes-hpc (it has no such 'format' attribute)")
    version = file.attrs.get("schema_version")
    if not isinstance(version, (int, np.integer)) or version < 1:
        raise SchemaError(f"{kind} store without a valid schema_version")
    return kind, int(version)


def validate(file: h5py.File, kind: str | None = None) -> dict[str, int]:
    """Check a store against its schema, without reading data.

    Parameters
    ----------
    file
        An open file.
    kind
        The kind it must be; by default any.

    Returns
    -------
    dict
        Length of every named dimension.

    Raises
    ------
    SchemaError
        Naming the first attribute or dataset that is missing or differs.
    """
    found, version = kind_of(file)
    if kind is not None and found != kind:
        raise SchemaError(f"expected a {kind} store, received a {found} store")
    if version > CURRENT[found]:
        raise SchemaError(
            f"{found} store of schema {version}, written by {_text(file.attrs.get('creator'))}; "
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
            raise SchemaError(f"{found} store without its dataset {path}")
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
        raise SchemaError(f"{path}: its data lie in another file")
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
    """Refuse a dataset that claims to be larger than what the file has of it can be: HDF5 would make up the rest."""
    if node.is_virtual or not node.shape or node.dtype.hasobject:
        return
    claimed, stored = node.dtype.itemsize * math.prod(node.shape), node.id.get_storage_size()
    chunk = node.dtype.itemsize * math.prod(node.chunks or (0,))
    if chunk > LARGEST_CHUNK:
        raise SchemaError(f"{path}: expected chunks of {LARGEST_CHUNK:,} bytes or fewer, received {chunk:,}")
    if claimed > stored * (MOST_COMPRESSED if node.compression else 1):
        raise SchemaError(f"{path}: claims {claimed:,} bytes, and the file has {stored:,} of it")


def _matches(dtype: np.dtype[Any], wanted: str) -> bool:
    if wanted == "string":
        return h5py.check_string_dtype(dtype) is not None
    if wanted == "float":
        return dtype.kind == "f"
    return dtype == np.dtype(wanted)


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
