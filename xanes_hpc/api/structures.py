"""Make structures: build complexes, exchange elements, and sample thermal motion."""

from collections.abc import Sequence
from typing import Any, Literal

from xanes_hpc.api.arguments import check_arguments
from xanes_hpc.api.inputs import PathLike, opened_structures, output_path
from xanes_hpc.calculations.sample import SampleOptions, sample
from xanes_hpc.generation.build import build
from xanes_hpc.generation.complexes import GEOMETRIES, LIGANDS, ComplexOptions
from xanes_hpc.generation.substitute import SubstituteOptions, substitute
from xanes_hpc.importing.selection import parse_elements
from xanes_hpc.stores.structures import StructureStore
from xanes_hpc.structures.absorbers import named_element


def build_complexes(
    n: int = 100,
    *,
    metals: str = "Cr-Cu",
    geometries: Sequence[str] = tuple(GEOMETRIES),
    ligands: Sequence[str] = tuple(LIGANDS),
    oxidation: Sequence[int] = (2,),
    even: bool = False,
    prefix: str = "complex",
    edge: str = "K",
    seed: int = 0,
    output: PathLike | None = None,
    overwrite: bool = False,
) -> StructureStore:
    """Build complexes of one metal with four to six ligands, distorted at random.

    Bond lengths are typical ones, whatever the metal: relax the structures before you calculate spectra.

    Parameters
    ----------
    n
        Number of complexes.
    metals
        Symbols and ranges of symbols, such as ``"Ti-Zn,Mo"``.
    geometries
        Some of ``octahedral``, ``tetrahedral``, ``square_planar``, ``trigonal_bipyramidal`` and ``square_pyramidal``.
    ligands
        Some of ``CO``, ``CN``, ``NH3``, ``OH2``, ``F``, ``Cl``, ``Br``, ``PH3``, ``NCS`` and ``py``.
    oxidation
        Oxidation states of the metal to draw from; they set the property ``charge``.
    even
        Change the oxidation state by 1 where the number of electrons is odd.
    prefix
        How names begin.
    edge
        ``K``, ``L3``, …
    seed
        Seed of all that is drawn.
    output
        Structure store to write. By default the store stays in memory.
    overwrite
        Replace an existing output.

    Raises
    ------
    ConfigError
        If an option is invalid.
    SpectrumError
        If a metal has no such edge.
    StoreError
        If the output exists, or cannot be written.

    Examples
    --------
    >>> import xanes_hpc as xh
    >>> xh.build_complexes(20, metals="Fe", ligands=["CN", "NH3"], even=True)
    <StructureStore in memory: 20 structures, 20 sites (Fe K), no spectra>
    """
    check_arguments(build_complexes, locals())
    elements = tuple(sorted(parse_elements(metals, "metals")))
    options = ComplexOptions(elements, tuple(geometries), tuple(ligands), tuple(oxidation), even, prefix)
    return build(None if output is None else output_path(output), n, seed, options, edge.upper(), overwrite)


def substitute_element(
    structures: Any,
    old: str,
    new: str,
    *,
    scale_bonds: bool = False,
    even: bool = False,
    donors_of: str | None = None,
    sites: Any = None,
    edge: str | None = None,
    disorder: str | None = None,
    seed: int = 0,
    output: PathLike | None = None,
    overwrite: bool = False,
) -> StructureStore:
    """Exchange an element in structures.

    The new structures keep sites and charge; a spin that the new number of electrons cannot have is dropped.

    Parameters
    ----------
    structures
        A structure store or its path, structure files and folders, or one or more ``ase.Atoms``.
    old
        Symbol of the element to replace.
    new
        Symbols of elements to take its place, such as ``"Co,Ni"``: each makes a structure of its own.
    scale_bonds
        Scale its bond lengths with the sums of covalent radii; for molecules only.
    even
        Change the charge by 1 where the number of electrons is odd: towards 0, or from 0 to 1.
    donors_of
        Replace only atoms bonded to this element.
    sites, edge, disorder, seed
        The absorbers, their edge, and what to do with partial occupancies as for ``import_structures``, unless
        ``structures`` is a store.
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
        If there is no such element.
    StoreError
        If no structure has the element, or the output exists or cannot be written.

    Examples
    --------
    >>> import xanes_hpc as xh
    >>> cyanides = xh.build_complexes(5, metals="Fe", ligands=["CN"])
    >>> xh.substitute_element(cyanides, "Fe", "Co,Ni", scale_bonds=True, even=True)
    <StructureStore in memory: 10 structures, 10 sites (Co K, Ni K), no spectra>
    """
    check_arguments(substitute_element, locals())
    elements = tuple(sorted(parse_elements(new, "new")))
    donors = None if donors_of is None else named_element(donors_of, "donors_of")
    options = SubstituteOptions(named_element(old, "old"), elements, scale_bonds, even, donors)
    source = opened_structures(structures, sites, edge, disorder, seed)
    return substitute(source, None if output is None else output_path(output), options, overwrite)


def sample_frames(
    structures: Any,
    *,
    temperature: float = 300.0,
    frames: int = 20,
    seed: int = 0,
    equilibration: int = 500,
    interval: int = 50,
    timestep: float = 1.0,
    friction: float = 0.02,
    method: Literal["gfn2", "gfn1"] = "gfn2",
    sites: Any = None,
    edge: str | None = None,
    disorder: str | None = None,
    workers: int | None = None,
    output: PathLike | None = None,
    overwrite: bool = False,
) -> StructureStore:
    """Sample the thermal motion of structures by molecular dynamics with xTB and a Langevin thermostat.

    Relax the structures first. It runs in processes of its own: in a script, call it below
    ``if __name__ == "__main__":``.

    Parameters
    ----------
    structures
        A structure store or its path, structure files and folders, or one or more ``ase.Atoms``. Charge and total spin
        come from the properties ``charge`` and ``spin``; by default they are 0 and the lowest spin.
    temperature
        Temperature in K.
    frames
        Number of frames of each structure, which are named ``NAME@0``, ``NAME@1``, …
    seed
        Seed of velocities and thermostat; also of the configurations of ``disorder``.
    equilibration, interval
        Numbers of steps before the first frame, and from one frame to the next.
    timestep
        Length of a step, in fs.
    friction
        Friction of the thermostat, in 1/fs.
    method
        ``gfn2`` or ``gfn1``.
    sites, edge, disorder
        The absorbers, their edge, and what to do with partial occupancies as for ``import_structures``, unless
        ``structures`` is a store.
    workers
        Number of processes. Default: one per core.
    output
        Structure store to write; a stopped run continues from the journal beside it. By default the store stays in
        memory.
    overwrite
        Replace an existing output, and a journal of a run with other options.

    Returns
    -------
    StructureStore
        The store. Its ``summary`` lists what failed, and why.

    Raises
    ------
    ConfigError
        If tblite is not installed, or an option is invalid.
    StoreError
        If no structure could be sampled, or the output exists or cannot be written.

    Examples
    --------
    >>> import xanes_hpc as xh
    >>> from ase.build import molecule
    >>> xh.sample_frames(molecule("H2O"), sites="O", frames=3, equilibration=10, interval=5, workers=1)
    <StructureStore in memory: 3 structures, 3 sites (O K), no spectra>
    """
    check_arguments(sample_frames, locals())
    options = SampleOptions(temperature, frames, seed, equilibration, interval, timestep, friction, method)
    source = opened_structures(structures, sites, edge, disorder, seed)
    return sample(source, None if output is None else output_path(output), options, overwrite, workers)
