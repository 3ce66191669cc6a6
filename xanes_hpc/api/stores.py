"""Import structures and their spectra, and compute features."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from xanes_hpc import descriptors
from xanes_hpc.api.arguments import check_arguments
from xanes_hpc.api.inputs import (
    PathLike,
    is_paths,
    listed,
    opened_structures,
    output_path,
    paths_of,
    rule_of,
    site_choice,
)
from xanes_hpc.descriptors import Descriptor
from xanes_hpc.errors import ConfigError, StoreError
from xanes_hpc.features import featurise as features
from xanes_hpc.features.pairing import beside
from xanes_hpc.formats.read_options import ReadOptions, parse_columns
from xanes_hpc.importing import from_files
from xanes_hpc.importing.from_atoms import import_atoms
from xanes_hpc.importing.options import ImportOptions
from xanes_hpc.importing.selection import Selection, parse_charges, parse_elements
from xanes_hpc.runtime import threads as kernel_threads
from xanes_hpc.spectra.spectrum import parse_treatment
from xanes_hpc.stores.features import FeatureStore
from xanes_hpc.stores.structures import StructureStore
from xanes_hpc.structures.graphs import GraphSettings
from xanes_hpc.structures.ordering import parse_disorder
from xanes_hpc.structures.rattling import Rattling
from xanes_hpc.structures.symmetry import SYMPREC


def import_structures(
    source: Any,
    *,
    spectra: PathLike | Sequence[PathLike] | None = None,
    sites: Any = None,
    edge: str = "K",
    e0: float | None = None,
    shift: float | None = None,
    treatment: str | None = None,
    keep_unpaired: bool = False,
    only_paired: bool = False,
    spectra_suffix: str | Sequence[str] = (),
    properties: PathLike | Sequence[PathLike] | None = None,
    elements: str | None = None,
    charge: str | int | None = None,
    max_atoms: int | None = None,
    sample: int | None = None,
    seed: int = 0,
    unique: bool = False,
    symprec: float = SYMPREC,
    disorder: str | None = None,
    layout: Literal["lightshow"] | None = None,
    calculation: Literal["feff", "vasp", "ocean", "exciting", "xspectra"] | None = None,
    columns: str | Sequence[str | int] | None = None,
    mu: Literal["transmission", "fluorescence", "reference"] | None = None,
    d_spacing: float | None = None,
    feff_mu: Literal["absolute", "normalised"] = "absolute",
    strict: bool = False,
    output: PathLike | None = None,
    overwrite: bool = False,
) -> StructureStore:
    """Read structures, and spectra of the same name, into a structure store.

    Parameters
    ----------
    source
        Structure files and folders, or one or more ``ase.Atoms``; for these, only ``sites``, ``edge``, ``output`` and
        ``overwrite`` apply.
    spectra
        Folders with spectra, whose files are named after their sites.
    sites
        The absorbers: a rule such as ``"Fe"``, ``"all"`` or ``"first"``, or an index (0-based); for ``ase.Atoms`` also
        a list of indices; or a table of sites (``"chosen.csv"``, with a column ``site``, or columns ``structure`` and
        ``atom``); for files also a list of names. Default: the structure's only transition metal.
    edge
        ``K``, ``L3``, …
    e0, shift
        Edge energy of all spectra, or a shift to add to their energies, in eV. By default e0 comes from the file, or
        else from XrayDB.
    treatment
        How the spectra were broadened and normalised, if their files do not say: ``none``, a name, or JSON with a
        name.
    keep_unpaired
        Keep structures without a spectrum.
    only_paired
        Keep only the sites that have a spectrum.
    spectra_suffix
        What may follow a structure's name in the name of its spectrum file, such as ``_mine.dat``; one or several.
    properties
        Tables with more properties of the structures.
    elements, charge, max_atoms, sample, seed
        Keep only structures whose absorber is one of these elements (``"Ti-Zn"``), with one of these charges and at
        most this number of atoms; then draw a random sample of this size.
    unique, symprec
        Keep one of each set of symmetry-equivalent sites of a crystal, with their number as its weight; and the
        tolerance of the symmetry, in Å.
    disorder
        For files with partial occupancies or disorder groups: ``majority`` takes the most likely atoms, ``sample N``
        draws N configurations with ``seed``. Default: refuse them.
    layout
        ``lightshow`` for folders of materials, ``ID/POSCAR`` with ``ID/FEFF-XANES/NNN_El/xmu.dat``: the sites are the
        atoms that have a spectrum.
    calculation
        With a layout: the program whose spectra to take. Default: ``feff``, or the only one that is there.
    columns, mu, d_spacing
        Which columns of spectrum files to read, and how, as for ``read_spectrum``.
    feff_mu
        Take FEFF's absorption in Å² (``absolute``), or as FEFF normalised it.
    strict
        Raise an error at the first structure or spectrum that cannot be used, instead of skipping it.
    output
        Structure store to write. By default the store stays in memory.
    overwrite
        Replace an existing output.

    Returns
    -------
    StructureStore
        The store. Its ``summary`` lists what was skipped, and why.

    Raises
    ------
    ConfigError
        If an option is for structure files, and ``source`` is not.
    FormatError
        If no structure can be used; with ``strict``, if one cannot.
    SpectrumError
        If there is no such edge.
    StoreError
        If the output exists, or cannot be written.

    Examples
    --------
    >>> import xanes_hpc as xh
    >>> from ase.build import molecule
    >>> xh.import_structures(molecule("H2O"), sites="O")
    <StructureStore in memory: 1 structure, 1 site (O K), no spectra>
    """
    check_arguments(import_structures, locals())
    source = listed(source)
    if not is_paths(source):
        _refuse_options_of_files(
            spectra=spectra, e0=e0, shift=shift, treatment=treatment, keep_unpaired=keep_unpaired,
            only_paired=only_paired, spectra_suffix=spectra_suffix or None, properties=properties, elements=elements,
            charge=charge, max_atoms=max_atoms, sample=sample, unique=unique, layout=layout,
            calculation=calculation, columns=columns, mu=mu,
            d_spacing=d_spacing, disorder=disorder,
        )  # fmt: skip
        of_atoms = choice if isinstance(choice := site_choice(sites), Path) else sites
        return import_atoms(source, of_atoms, edge.upper(), None if output is None else output_path(output), overwrite)
    selection = Selection(
        elements=None if elements is None else parse_elements(elements),
        charges=None if charge is None else parse_charges(str(charge)),
        max_atoms=max_atoms, sample=sample, seed=seed,
    )  # fmt: skip
    options = ImportOptions(
        absorber=rule_of(sites), sites=site_choice(sites), edge=edge.upper(), spectra=tuple(paths_of(spectra)), e0=e0,
        shift=shift, treatment=parse_treatment(treatment), keep_unpaired=keep_unpaired, only_paired=only_paired,
        strict=strict,
        spectra_suffix=(spectra_suffix,) if isinstance(spectra_suffix, str) else tuple(spectra_suffix),
        selection=selection, disorder=parse_disorder(disorder, seed),
        unique=unique, symprec=symprec, properties=tuple(paths_of(properties)), layout=layout,
        calculation=calculation, reading=ReadOptions(parse_columns(columns), mu, d_spacing, feff_mu),
    )  # fmt: skip
    if output is None:
        store, summary = from_files.import_in_memory(paths_of(source), options)
    else:
        summary = from_files.import_structures(paths_of(source), output_path(output), options, overwrite)
        store = StructureStore(Path(output))
    store.summary = summary
    return store


def _refuse_options_of_files(**options: Any) -> None:
    given = [name for name, value in options.items() if value is not None and value is not False]
    if given:
        names = ", ".join(f"`{name}`" for name in given)
        raise ConfigError(f"{names}: expected structure files, received structures in memory")


def load_descriptor(
    which: str | PathLike | Mapping[str, Any] = "default",
    *,
    sites: Any = None,
    properties: str | Sequence[str] = (),
    dtype: str | None = None,
) -> Descriptor:
    """Return a descriptor, which turns a site's surroundings into features.

    Parameters
    ----------
    which
        A preset (``default``, ``xanesnet-2022``, ``xanesnet-49``, ``rdc``, …), the path of a TOML file, or a
        description as ``Descriptor.describe`` returns it.
    sites
        Default sites of ``transform``: a rule such as ``"Fe"`` or ``"all"``.
    properties
        Properties of structures or sites to append, ``name`` or ``name=default``.
    dtype
        ``float32`` or ``float64``, instead of the preset's.

    Raises
    ------
    DescriptorError
        If there is no such preset, or the description is invalid.

    Examples
    --------
    >>> import xanes_hpc as xh
    >>> from ase.build import molecule
    >>> descriptor = xh.load_descriptor("xanesnet-2022")
    >>> descriptor.n_features
    97
    >>> descriptor.transform(molecule("H2O"), sites="O").shape
    (1, 97)

    In a scikit-learn pipeline:

    >>> from sklearn.linear_model import Ridge
    >>> from sklearn.pipeline import make_pipeline
    >>> pipeline = make_pipeline(xh.load_descriptor("xanesnet-49", sites="O"), Ridge())
    >>> pipeline.fit([molecule("H2O"), molecule("CH3OH")], [0.1, 0.2]).predict([molecule("H2O")]).shape
    (1,)
    """
    check_arguments(load_descriptor, locals())
    if isinstance(which, Mapping):
        found = descriptors.from_description(which)
    elif isinstance(which, str) and not which.endswith(".toml"):
        found = descriptors.choose(which, None)
    elif not isinstance(which, (str, os.PathLike)):
        raise ConfigError(f"`which`: expected a preset, a TOML file or a description, received {which!r}")
    else:
        found = descriptors.read_toml(Path(which))
    if dtype is not None:
        found = descriptors.from_description(found.describe() | {"dtype": dtype})
    found = descriptors.with_properties(found, properties) if properties else found
    found.sites = sites
    return found


def featurise(
    structures: Any,
    *,
    preset: str | None = None,
    descriptor: Descriptor | PathLike | Mapping[str, Any] | None = None,
    properties: str | Sequence[str] = (),
    foreign: PathLike | None = None,
    graph: bool = False,
    rattle: float | None = None,
    seed: int = 0,
    sites: Any = None,
    edge: str | None = None,
    disorder: str | None = None,
    compression: str = "none",
    threads: int | None = None,
    output: PathLike | None = None,
    overwrite: bool = False,
) -> FeatureStore:
    """Compute the features of every site.

    Parameters
    ----------
    structures
        A structure store or its path, structure files and folders, or one or more ``ase.Atoms``.
    preset, descriptor
        The name of a preset; or a descriptor, its TOML file or its description. Default: the preset ``default``.
    properties
        Properties of structures or sites to append, ``name`` or ``name=default``.
    foreign
        File with features that another program made, to append: an ``.npz`` as for ``import_features`` or a store of
        it, with the names of the sites.
    graph
        Also compute the graph of every site, for ``train(…, model="graph")``.
    rattle, seed
        Displace every atom at random first, with this standard deviation along each axis, in Å; the seed is also that
        of the configurations of ``disorder``.
    sites, edge, disorder
        The absorbers, their edge, and what to do with partial occupancies as for ``import_structures``, unless
        ``structures`` is a store.
    compression
        Compression of the output: ``none``, ``gzip`` or ``lzf``.
    threads
        Number of threads. Default: all cores.
    output
        Feature store to write. By default the store stays in memory.
    overwrite
        Replace an existing output.

    Raises
    ------
    FormatError
        If a structure cannot be featurised.
    StoreError
        If a store has no sites, or the output exists or cannot be written.
    DescriptorError
        If there is no such preset, or the description is invalid.

    Examples
    --------
    >>> import xanes_hpc as xh
    >>> from ase.build import molecule
    >>> features = xh.featurise([molecule("H2O"), molecule("CH3OH")], sites="O", preset="xanesnet-49")
    >>> features
    <FeatureStore in memory: 2 sites (O K), 49 features (wacsf)>
    >>> features.read(0, 2).shape
    (2, 49)
    """
    check_arguments(featurise, locals())
    chosen = _chosen_descriptor(preset, descriptor, properties)
    kernel_threads.use(threads)
    source = opened_structures(structures, sites, edge, disorder, seed)
    rattling, paired = None if rattle is None else Rattling(rattle, seed), None
    settings = GraphSettings() if graph else None
    if foreign is not None:
        chosen, paired = beside(Path(foreign), chosen, source)
    if output is None:
        return features.featurise_in_memory(source, chosen, rattling, paired, settings)
    if source.in_memory:
        raise StoreError(
            f'{output}: its structures are only in memory; save them first with import_structures(…, output="NAME.h5")'
        )
    features.featurise(
        source, chosen, output_path(output), overwrite, compression=compression, rattling=rattling, foreign=paired,
        graph=settings,
    )  # fmt: skip
    return FeatureStore(Path(output))


def _chosen_descriptor(
    preset: str | None, descriptor: Descriptor | PathLike | Mapping[str, Any] | None, properties: str | Sequence[str]
) -> Descriptor:
    if preset is not None and descriptor is not None:
        raise ConfigError("expected `preset` or `descriptor`, received both")
    if isinstance(descriptor, Descriptor):
        return descriptors.with_properties(descriptor, properties) if properties else descriptor
    return load_descriptor(descriptor if descriptor is not None else preset or "default", properties=properties)
