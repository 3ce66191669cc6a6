"""Spectra in NeXus files and other HDF5 files with groups of NXdata.

A group is read as a table of titled columns, by the same rules: counts, derivatives and chi(k) are no spectra.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from xanes_hpc.errors import FormatError
from xanes_hpc.formats.absorber import absorber
from xanes_hpc.formats.channel_titles import CHANNELS_OF, I0, channels_of
from xanes_hpc.formats.channels import COMPUTED, absorption, rises
from xanes_hpc.formats.column_titles import PLAIN_SPECTRA, parts, plain, why_no_spectrum
from xanes_hpc.formats.columns import WITH_SIGMA, Columns, energy_and_intensity, is_sigma
from xanes_hpc.formats.nexus_entries import SUFFIXES, parts_of, root_of
from xanes_hpc.formats.nexus_groups import (
    ABSORBED,
    MOST_LINKS,
    MOST_LISTED,
    DataGroup,
    data_group,
    dataset,
    is_data,
    node_here,
    text_in,
    text_of,
    values_of,
)
from xanes_hpc.formats.read_options import AS_FOUND, FLUORESCENCE, REFERENCE, TRANSMISSION, ReadOptions
from xanes_hpc.formats.spectrum_columns import TAKEN
from xanes_hpc.runtime.hdf5_files import open_hdf5
from xanes_hpc.spectra.spectrum import Choices, Spectrum, unit_from

OURS = "xanes-hpc/"
"""How the format of this program's own stores begins."""
LOST = "the default group of NeXus files has no spectrum"
NOT_READ = "groups of NeXus files hold no spectrum and were not read"
SIGNAL_NO_SPECTRUM = "the signal of NeXus files is no spectrum, and another column was read"
NEUTRAL = frozenset(("", "data", "signal", "values", "value", "y", "spectrum"))
"""Names of signals and groups that say nothing about what they hold."""
INCOMING = ("instrument/incoming_beam/data", "monitor/data")
"""Where the counts of the incoming beam are in an entry of NXxas."""


def recognises(path: Path) -> bool:
    """Return True if a file's name is that of a NeXus or another HDF5 file, or of an entry: ``NAME.nxs:ENTRY``."""
    return parts_of(path)[0].suffix.lower() in SUFFIXES


def read(path: Path, options: ReadOptions = AS_FOUND) -> Spectrum:
    """Read the spectrum that ``default`` leads to, or else that of the first NXdata group that has one.

    A group's spectrum is its signal over its energies. A signal of counts is divided by, or divides, those of the
    incoming beam in the same group or, in NXxas files, beside it.

    Parameters
    ----------
    path
        The file, or one of its entries: ``NAME.nxs:ENTRY``.
    options
        ``columns`` names the datasets of a group to read; ``mu`` is what counts give, ``transmission`` or
        ``fluorescence``. By default the file's mode or the names of the counts say so, or else the one that rises.

    Raises
    ------
    FormatError
        If the file cannot be read, has no such group, or its raw counts rise either way.
    """
    if options.mu == REFERENCE:
        raise FormatError(f"{path}: `mu` {options.mu} does not apply to NeXus")
    found: dict[str, Spectrum] = {}
    wrong: dict[str, FormatError] = {}
    without: list[str] = []
    parts_of(path)[0].stat()  # says that it is missing in fewer words than HDF5
    try:
        with open_hdf5(parts_of(path)[0]) as file:
            if (own := text_of(file.attrs.get("format"))).startswith(OURS):
                raise FormatError(f"{path}: expected a spectrum, received a store of {own.removeprefix(OURS)}")
            root = root_of(path, file)

            def look(name: str, node: h5py.HLObject) -> None:
                name = f"{root.name}/{name}".strip("/")
                if not is_data(node):
                    return
                group = data_group(path, name, node, bool(options.columns))
                if not group.has_energies and not options.columns:
                    without.append(f"{name}: {', '.join(group.listed) or 'nothing'}")
                    return
                try:
                    found[name] = _spectrum_of(path, group, options)
                except FormatError as error:
                    wrong[name] = error

            root.visititems(look)
            default = _default(root)
    except FormatError:
        raise
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:  # raised by HDF5 for damaged files
        reason = " ".join(str(error).split()) or type(error).__name__
        raise FormatError(f"{path}: cannot be read as NeXus: {reason[:200]}") from None
    if not found:
        received = "; ".join(without[:MOST_LISTED]) or "none"
        reason = f"{path}: expected an NXdata group with a signal over energies, received {received}"
        raise wrong.get(default or "", next(iter(wrong.values()), FormatError(reason)))
    if default in found:
        return found[default]
    first = next(iter(found))
    told: Choices = tuple((NOT_READ, str(error).removeprefix(f"{path.parent}/")) for error in wrong.values())
    below = [name for name in found if default is not None and name.startswith(f"{default}/")]
    if default is not None and not below:
        told += ((LOST, f"{path.name}: {default or '/'}"),)
    first = (below or [first])[0]
    if len(found) > 1:
        told += (("files have several spectra", f"{path.name}: {', '.join(found)}; read {first}, the first"),)
    return replace(found[first], choices=(*found[first].choices, *told))


def _default(root: h5py.Group) -> str | None:
    """Return the path to which the attributes ``default`` lead, whether it exists or not; None if there are none."""
    node: Any = root
    for _ in range(MOST_LINKS):
        name = text_of(node.attrs.get("default"))
        if not name:
            break
        found = node_here(node, name)
        if found is None:
            return f"{node.name}/{name}".strip("/")
        node = found
    return str(node.name).strip("/") or None


def _spectrum_of(path: Path, group: DataGroup, options: ReadOptions) -> Spectrum:
    """Return the spectrum of a group.

    Raises
    ------
    FormatError
        If it has none.
    """
    sigma, own_unit = None, False
    beams = (dataset(path, group.node.parent, name) for name in INCOMING)
    beam = next((one for one in beams if isinstance(one, h5py.Dataset)), None)
    if not options.columns and _is_raw(group, beam is not None):
        found = _without_beam(path, group, beam, options.mu)
    else:
        found = _of_columns(path, group, options)
        own_unit = found.title == parts(group.signal)[0] and not _is_computed(found)
        values = values_of(group.node, group.sigma) if own_unit and group.sigma is not None else None
        if values is not None and is_sigma(values, found.intensities):
            sigma = values
            found = replace(found, choices=(*found.choices, (WITH_SIGMA, f"{path.name}: {group.sigma}")))
    e0 = _e0_of_export(group.node)
    texts = (text_in(group.node.parent, name) or text_in(group.node, name) for name in ("element", "edge"))
    absorbing, told = absorber(path.name, *texts)
    return Spectrum(
        found.energies,
        found.intensities,
        unit=unit_from(found.title, group.unit if own_unit else ""),
        e_edge=e0,
        absolute=None if e0 is None else True,
        source=path.name,
        element=absorbing[0],
        edge=absorbing[1],
        choices=found.choices + told,
        sigma=sigma,
        reference=found.reference,
        mode=found.mode,
    )


def _is_raw(group: DataGroup, with_beam: bool) -> bool:
    """Return True if a group's signal is the counts of an NXxas file."""
    definition = plain(text_in(group.node.parent, "definition"))
    if group.signal == ABSORBED:
        return True
    if not definition.startswith("nxxas") or "proc" in definition:
        return False
    name = parts(group.signal)[0]
    return name not in PLAIN_SPECTRA or (name == "intensity" and with_beam)


def _of_columns(path: Path, group: DataGroup, options: ReadOptions) -> Columns:
    """Return what a group's columns hold: its signal, or what its counts give.

    Raises
    ------
    FormatError
        If its signal is neither.
    """
    where, titles, name = f"{path}: {group.name}", group.table.titles, parts(group.signal)[0]
    if options.columns:
        return energy_and_intensity(path, group.table, options, group.units)
    if (mode := options.mu) is not None and not all(channels_of(titles, role) for role in CHANNELS_OF[mode]):
        expected = f"expected the raw counts of NXxas, or columns {' and '.join(CHANNELS_OF[mode])}"
        raise FormatError(f"{path}: `mu` {mode}: {expected}, received {', '.join(titles)}")
    wrong = why_no_spectrum(group.signal)
    if name in NEUTRAL and (group_name := group.name.rpartition("/")[2]).lower() not in NEUTRAL:
        wrong = why_no_spectrum(group_name)
    counted = bool(channels_of(titles, I0))
    known = name in PLAIN_SPECTRA or plain(text_in(group.node.parent, "definition")) == "nxxasproc"
    if not wrong and not known and counted and mode is None:
        wrong = f"{group.signal} beside the counts of i0"
    if not wrong and mode is None:
        found = energy_and_intensity(path, group.table, options, group.units, ((name,),))
        told: Choices = () if known or name in NEUTRAL else ((TAKEN, f"{path.name}: {group.signal}"),)
        return replace(found, choices=(*found.choices, *told))
    try:
        found = energy_and_intensity(path, group.table, options, group.units)
        taken = not _is_computed(found) and found.title == name
    except FormatError:
        if not wrong:
            raise
        taken = True
    if wrong and taken:
        raise FormatError(f"{where}: expected a spectrum, received {wrong}; `columns` chooses")
    if wrong and not _is_computed(found):
        told = ((SIGNAL_NO_SPECTRUM, f"{path.name}: {group.signal}; read {found.title}"),)
        return replace(found, choices=(*found.choices, *told))
    return found


def _is_computed(found: Columns) -> bool:
    return any(what == COMPUTED for what, _ in found.choices)


def _without_beam(path: Path, group: DataGroup, beam: Any, mode: str | None) -> Columns:
    """Return the absorption that raw counts of NXxas give with those of the incoming beam, and how.

    Raises
    ------
    FormatError
        If the counts of the beam are missing, or neither way of computing it rises.
    """
    table = group.table
    counts = table.values[:, table.titles.index(group.signal)]
    if beam is None or beam.size != counts.size:
        raise FormatError(f"{path}: expected counts of the incoming beam beside the raw counts of NXxas")
    channels = [("incoming", np.asarray(beam[()], np.float64).ravel()), ("absorbed", counts)]
    only_energies = replace(table, titles=["energy", "mu"], values=table.values[:, :2])
    scale = energy_and_intensity(path, only_energies, units=group.units)
    own, why = (text_in(group.node, "mode") or text_in(group.node.parent, "mode")).lower(), ""
    if mode is None and own:
        mode = TRANSMISSION if "trans" in own else FLUORESCENCE
    if mode is None:
        every = {name: absorption(path, name, channels) for name in (TRANSMISSION, FLUORESCENCE)}
        rising = [name for name, (mu, counted, _) in every.items() if rises(scale.energies[counted], mu[counted])]
        if len(rising) != 1:
            raise FormatError(f"{path}: the raw counts have no mode; give `mu`, {TRANSMISSION} or {FLUORESCENCE}")
        mode, why = rising[0], "; the file has no mode, and this rises"
    mu, counted, told = absorption(path, mode, channels)
    told = tuple((what, detail + why if what == COMPUTED else detail) for what, detail in told)
    return Columns(scale.energies[counted], mu[counted], mode, (*told, *scale.choices), mode=mode)


def _e0_of_export(data: h5py.Group) -> float | None:
    """Return the edge energy in eV that our exported files record beside their data, or None."""
    try:
        recorded = data.parent["XAS_data_reduction/parameters/e0"][()]
    except (KeyError, ValueError, TypeError, OSError):
        return None
    words = text_of(recorded).split()
    try:
        return float(words[0]) if len(words) == 2 and words[1] == "eV" else None
    except ValueError:
        return None
