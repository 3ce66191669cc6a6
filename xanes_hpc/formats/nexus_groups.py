"""Groups of NXdata in NeXus files as tables of titled columns.

Names come from the group's attributes ``signal``, ``axes`` and ``auxiliary_signals``, from the older ``signal=1`` on a
dataset, or are ``data`` and ``energy``. Numbers stored as integers are corrected as NXdata says,
``(values + NAME_offset) * NAME_scaling_factor``.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from xanes_hpc.errors import FormatError
from xanes_hpc.formats.column_titles import is_energy, is_other_energy, parts, unit_of
from xanes_hpc.formats.text_table import Table

Array = npt.NDArray[np.float64]
MOST_POINTS = 1_000_000
"""Maximum number of points in a spectrum that is read; real spectra have far fewer."""
MOST_VALUES = 16 * MOST_POINTS
"""Maximum number of values in the columns of a group."""
MOST_LINKS = 8
"""Largest number of links, or of attributes ``default``, that are followed one after another."""
CORRECTIONS = {"offset": 0.0, "scaling_factor": 1.0}
"""What corrects stored numbers, as attributes or at the ends of datasets' names, and the values that do nothing."""
ABSORBED = "absorbed_beam"
"""Name of the raw counts of NXxas."""
MOST_LISTED = 12
"""Number of names that a message lists."""


@dataclass(frozen=True)
class DataGroup:
    """A group of data.

    Attributes
    ----------
    name
        Its path in the file.
    node
        The group itself.
    table
        Its energies, its signal, and the other datasets of their size.
    units
        Units of the columns that have one.
    signal
        Name of the signal.
    unit
        Unit of the signal; empty if it has none.
    sigma
        Name of the signal's standard deviations, if there are any.
    has_energies
        Whether the table begins with energies and the signal.
    listed
        Names of its datasets, with their shapes, for messages.
    """

    name: str
    node: h5py.Group
    table: Table
    units: dict[int, str]
    signal: str
    unit: str
    sigma: str | None
    has_energies: bool
    listed: list[str]


def data_group(path: Path, name: str, node: h5py.Group, every: bool = False) -> DataGroup:
    """Return what a group of data holds; of several energies only the axis, unless ``every`` column is wanted.

    Raises
    ------
    FormatError
        If its signal or energies are in another file, or have more points than a spectrum.
    """
    plain = ABSORBED if ABSORBED in node else "data"
    signal = text_of(node.attrs.get("signal")) or next((one for one in node if _is_signal(node, one)), plain)
    listed = [_with_shape(node, one) for one in list(node)[:MOST_LISTED]]
    values = dataset(path, node, signal)
    axis = _axis(path, node, signal) if values is not None else None
    whole = values is not None and axis is not None and _length(dataset(path, node, axis)) == _length(values) > 0
    titles = [str(axis), signal] if whole else []
    sigma = _sigma(path, node, signal, values) if whole else None
    n = _length(values) if whole else 0
    for other in node if whole or every else ():
        if other in titles or _corrects(node, other) or (not every and (other == sigma or _is_any_energy(node, other))):
            continue
        try:
            found = dataset(path, node, other)
        except FormatError:  # in another file, say: only the signal and its energies must be here
            continue
        n = n or (0 if found is None else _length(found))
        if found is not None and 0 < n == _length(found) and n * len(titles) < MOST_VALUES:
            titles.append(other)
    units = {i: unit for i, title in enumerate(titles) if (unit := _unit(node, title))}
    columns = [values_of(node, title) for title in titles]
    table = Table([], titles, np.column_stack(columns) if columns else np.empty((0, 0)))
    return DataGroup(name, node, table, units, signal, units.get(1, ""), sigma, whole, listed)


def values_of(node: h5py.Group, name: str) -> Array:
    """Return the numbers of a dataset, (n_points,), corrected by its offset and scaling factor if it has them."""
    found = node[name]
    values = np.asarray(found[()], np.float64).ravel()
    factors = []
    for what, neutral in CORRECTIONS.items():
        given = found.attrs.get(what)
        own = node.get(f"{name}_{what}")
        if given is None and isinstance(own, h5py.Dataset) and own.size == 1:
            given = own[()]
        given = neutral if given is None else np.asarray(given)
        factors.append(float(np.ravel(given)[0]) if np.ravel(given).dtype.kind in "iuf" else neutral)
    return values if factors == [0.0, 1.0] else (values + factors[0]) * factors[1]


def _corrects(node: h5py.Group, name: str) -> bool:
    """Return True if a dataset corrects another one."""
    return any(name.endswith(f"_{what}") and name.removesuffix(f"_{what}") in node for what in CORRECTIONS)


def _with_shape(node: h5py.Group, name: str) -> str:
    found = None if isinstance(node.get(name, getlink=True), h5py.ExternalLink) else node.get(name)
    return f"{name} ({' × '.join(map(str, found.shape))})" if isinstance(found, h5py.Dataset) and found.ndim else name


def _length(found: h5py.Dataset) -> int:
    """Return the number of points if at most one dimension is longer than 1, as of a single scan; 0 otherwise."""
    return int(found.size) if found.ndim and max(found.shape) == found.size else 0


def _axis(path: Path, node: h5py.Group, signal: str) -> str | None:
    """Return the name of the energies: an axis, or another dataset with such a name; None if there are none."""
    given = [node.attrs.get("axes", [])]
    if isinstance(node.get(signal), h5py.Dataset):
        given.append(node[signal].attrs.get("axes", []))
    texts = [text_of(text) for value in given for text in np.atleast_1d(np.asarray(value)).tolist()]
    axes = [name for text in texts for name in re.split(r"[:,\[\]\s]+", text) if name]
    others = [name for name in ("energy", *node) if name != signal]
    for names, holds in ((axes, is_energy), (axes, is_other_energy), (others, is_energy)):
        for name in names:
            if name in node and holds(*_name_and_unit(node, name)) and dataset(path, node, name) is not None:
                return name
    return None


def _name_and_unit(node: h5py.Group, name: str) -> tuple[str, str]:
    plain_name, unit = parts(name)
    return plain_name, unit_of(_unit(node, name)) or unit


def _is_any_energy(node: h5py.Group, name: str) -> bool:
    name_and_unit = _name_and_unit(node, name)
    return is_energy(*name_and_unit) or is_other_energy(*name_and_unit)


def _unit(node: h5py.Group, name: str) -> str:
    found = node.get(name) if not isinstance(node.get(name, getlink=True), h5py.ExternalLink) else None
    return text_of(found.attrs.get("units")).strip() if isinstance(found, h5py.Dataset) else ""


def _sigma(path: Path, node: h5py.Group, signal: str, values: h5py.Dataset) -> str | None:
    """Return the name of a signal's standard deviations; None if the group has none."""
    for name in (text_of(values.attrs.get("uncertainties")), f"{signal}_errors", f"{signal}_error", "errors"):
        found = dataset(path, node, name) if name and name in list(node) else None
        if isinstance(found, h5py.Dataset) and found.shape == values.shape:
            return name
    return None


def _is_signal(node: h5py.Group, name: str) -> bool:
    found = node_here(node, name)
    return found is not None and text_of(found.attrs.get("signal")) == "1"


def node_here(node: h5py.HLObject, name: str) -> Any:
    """Return a member of a group; None if there is none, or only a link to it, and for a dataset."""
    if not isinstance(node, h5py.Group) or not isinstance(node.get(name, getlink=True), h5py.HardLink):
        return None
    return node.get(name)


def is_data(node: h5py.HLObject) -> bool:
    """Return True for a group of NXdata."""
    return isinstance(node, h5py.Group) and text_of(node.attrs.get("NX_class")) == "NXdata"


def text_in(group: h5py.Group, name: str) -> str:
    """Return a text in a group, or the symbol or name in a group of that name; empty if there is none."""
    node = node_here(group, name)
    if isinstance(node, h5py.Group):
        return text_in(node, "symbol") or text_in(node, "name")
    return text_of(node[()]) if isinstance(node, h5py.Dataset) and node.size == 1 else ""


def dataset(path: Path, group: h5py.Group, name: str, most_links: int = MOST_LINKS) -> Any:
    """Return a numeric dataset of the file, or None if there is none of that name.

    Raises
    ------
    FormatError
        If its data are in another file, or more than a spectrum has.
    """
    node: Any = group
    for part in name.strip("/").split("/"):
        if not isinstance(node, h5py.Group):
            return None
        link = node.get(part, getlink=True)
        if isinstance(link, h5py.ExternalLink):
            raise FormatError(f"{path}: {name}: expected data in this file, received a link to {link.filename}")
        if isinstance(link, h5py.SoftLink):
            start = node.file if link.path.startswith("/") else node
            node = dataset(path, start, link.path, most_links - 1) if most_links else None
        else:
            node = node.get(part)
    if isinstance(node, h5py.Group):
        return node  # a group on the path of a link
    if not isinstance(node, h5py.Dataset) or node.dtype.kind not in "iuf":
        return None
    if node.external or node.is_virtual:
        raise FormatError(f"{path}: {name}: expected data in this file, received data stored in another file")
    if node.size > MOST_POINTS or int(np.prod(node.chunks or (1,))) > MOST_POINTS:
        raise FormatError(
            f"{path}: {name}: expected a spectrum of {MOST_POINTS:,} points or fewer, received {node.size:,}"
        )
    return node


def text_of(value: object) -> str:
    """Return a text that HDF5 holds as such, as bytes, or as an array of one; empty for anything else."""
    if isinstance(value, np.ndarray):
        value = value.item() if value.size == 1 else None
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value) if value is not None else ""
