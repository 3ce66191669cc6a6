"""FDMNES: its inputs, whether a run is good, and its spectra.

The exit code of FDMNES carries no information, and its error file survives a later good run. A run is therefore good if
its log NAME_bav.txt ends with the closing line of FDMNES and NAME.txt has as many rows as its energy range. Where the
input does not list all atoms, as with ``Cif_file``, the run is held to its site by the absorber that NAME.txt names.
"""

import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from ase.data import chemical_symbols

from xanes_hpc.calculations.program import LONGEST_REASON, Run, State, hashable, without_folder
from xanes_hpc.errors import ConfigError, FormatError, SpectrumError
from xanes_hpc.formats import fdmnes, fdmnes_input, unreadable
from xanes_hpc.formats.fdmnes_input import Input, Settings
from xanes_hpc.spectra import edges
from xanes_hpc.spectra.spectrum import NO_TREATMENT, PlacedSpectrum
from xanes_hpc.structures.structure import Structure

ENDS_WELL = "Have a beautiful day !"
TAIL_BYTES = 4096
FINISHED = f"tail -c {TAIL_BYTES} \"$folder/${{folder}}_bav.txt\" 2>/dev/null | grep -q '{ENDS_WELL}'"
CLOSE = 1e-6
"""Largest difference of distances and cell lengths from the store's, Å."""


@dataclass(frozen=True)
class Calculation:
    """The input of a run, and the atomic number of its absorber if that is known."""

    input: Input
    element: int | None


@dataclass(frozen=True)
class Fdmnes:
    """FDMNES with its settings; ``program`` is its name or path."""

    asked: Settings = field(default_factory=Settings)
    program: str = "fdmnes"
    name: ClassVar[str] = "fdmnes"
    title: ClassVar[str] = "FDMNES"
    starter: ClassVar[str] = "fdmfile.txt"
    variable: ClassVar[str] = "FDMNES"
    finished: ClassVar[str] = FINISHED
    stale: ClassVar[tuple[str, ...]] = ("fdmnes_error.txt",)

    @property
    def command(self) -> Sequence[str]:
        """Words that run FDMNES in the folder of a run."""
        found = shutil.which(self.program)
        return (str(Path(found).absolute()) if found else self.program,)

    @property
    def settings(self) -> dict[str, Any]:
        """Everything that its results depend on."""
        return asdict(self.asked)

    @classmethod
    def with_settings(cls, settings: dict[str, Any], program: str) -> Self:
        """Return FDMNES with settings that were written as JSON."""
        return cls(Settings(**{name: hashable(value) for name, value in settings.items()}), program)

    def check_installed(self) -> None:
        """Check that FDMNES is there."""
        if shutil.which(self.program) is None:
            raise ConfigError(f"`program` {self.program!r}: no such program; expected the name or path of FDMNES")

    def check(self) -> None:
        """Check the settings."""
        fdmnes_input.check_settings(self.asked)
        if not self.program.strip() or not self.program.isprintable():
            raise FormatError(f"`program`: expected the name or path of a program, received {self.program!r}")

    def files(self, structure: Structure, atom: int, edge: str, name: str) -> dict[str, str]:
        """Return the starter and the input of a site."""
        text = fdmnes_input.write(Input(structure, atom, edge, name, self.asked))
        return {self.starter: f" 1\n{name}_in.txt\n", f"{name}_in.txt": text}

    def is_input(self, name: str) -> bool:
        """Whether a file is an input."""
        return name == self.starter or name.endswith("_in.txt")

    def is_output(self, name: str) -> bool:
        """Whether a file is a result worth keeping."""
        return name.endswith(".txt")

    def look_at(self, folder: Path, site: str) -> Run:
        """Return the state of a run."""
        try:
            calculation = fdmnes_input.read(self._input_of(folder))
        except FormatError as error:
            return Run(folder, site, State.FAILED, without_folder(error, folder))
        output = calculation.output
        run = Run(folder, site, State.FAILED, calculation=Calculation(calculation, None))
        log, raw = folder / f"{output}_bav.txt", folder / f"{output}.txt"
        message = _error_text(folder)
        if not log.exists() and not raw.exists():
            return replace(run, state=State.FAILED if message else State.NOT_STARTED, reason=message)
        if not _ends_well(log):
            reason = message or f"{log.name} does not end with {ENDS_WELL!r}"
            return replace(run, state=State.FAILED if message else State.UNFINISHED, reason=reason)
        try:
            spectrum = fdmnes.read(raw)
            if spectrum.treatment != NO_TREATMENT:
                raise FormatError(f"{raw}: line 1: expected '= E_edge, Z, …' after the numbers")
            energies = calculation.settings.energies
            expected = fdmnes_input.n_energies(energies) if energies else None
        except FormatError as error:
            return replace(run, reason=without_folder(error, folder))
        n_rows = spectrum.energies.size
        if expected is not None and n_rows != expected:
            reason = f"{raw.name} has {n_rows} rows, expected {expected} from its energy range"
            return replace(run, state=State.UNFINISHED, reason=reason)
        broadened = [f"{output}_conv.txt"]
        if calculation.settings.emission:  # FDMNES then broadens the emission, and the absorption in some versions only
            broadened.insert(0, f"{output}_xes_conv.txt")
        if calculation.settings.convolution and not any((folder / name).exists() for name in broadened):
            return replace(run, state=State.UNFINISHED, reason=f"{broadened[0]} is missing but requested")
        own = calculation.structure
        element = spectrum.element if own is None else int(own.numbers[calculation.absorber])
        return replace(
            run, state=State.GOOD, calculation=Calculation(calculation, element), compared=own is not None
        )  # fmt: skip

    def _input_of(self, folder: Path) -> Path:
        """Return the path of the input file that the starter names."""
        starter = folder / self.starter
        try:
            lines = [
                line.partition("!")[0].strip()
                for line in starter.read_text(encoding="utf-8", errors="replace").splitlines()
            ]
        except OSError as error:
            raise unreadable(starter, error) from None
        named = [line for line in lines if line][1:]
        if len(named) != 1:
            raise FormatError(f"{starter}: expected the number 1 and one input file, received {len(named)} files")
        return folder / named[0]

    def difference(self, run: Run, structure: Structure, atom: int, edge: str) -> str:
        """Return how a run differs from a calculation of a site."""
        found: Calculation = run.calculation
        if found.input.edge != edge:
            return f"its edge is {found.input.edge}, expected {edge} of {run.site}"
        own = found.input.structure
        if own is None:
            if found.element == structure.numbers[atom]:
                return ""
            expected = chemical_symbols[structure.numbers[atom]]
            absorber = "its output names no absorber"
            if found.element:
                absorber = f"its absorber is {chemical_symbols[found.element]}"
            return f"its input does not list all atoms, and {absorber}; expected {expected} of {run.site}"
        if own.numbers.tolist() != structure.numbers.tolist():
            return f"its elements differ from those of {run.site} in the store"
        if found.input.absorber != atom:
            return f"its absorber is atom {found.input.absorber}, expected atom {atom} of {run.site}"
        if (own.pbc != structure.pbc).any():
            return f"it is a {_kind(own)}, expected a {_kind(structure)} as in the store"
        theirs, ours = (_lengths(s, atom) for s in (structure, own))
        if np.abs(theirs - ours).max(initial=0.0) > CLOSE:
            return f"its positions differ from those of {run.site} in the store"
        return ""

    def made(self, kind: str, treatment: str) -> bool:
        """Whether a spectrum is calculated and unbroadened: FDMNES's files do not tell its settings."""
        return kind == "xanes" and treatment == NO_TREATMENT

    def spectra_of(self, run: Run) -> list[PlacedSpectrum]:
        """Return the unbroadened spectrum and, if they are there, the one broadened by FDMNES and the emission."""
        found: Calculation = run.calculation
        output = found.input.output
        raw = fdmnes.read(run.folder / f"{output}.txt")
        spectra = [raw]
        for name in (f"{output}_conv.txt", f"{output}_xes_conv.txt"):
            if (run.folder / name).exists():
                other = fdmnes.read(run.folder / name)
                spectra.append(replace(other, e_edge=raw.e_edge, e_cut=raw.e_cut, absolute=raw.absolute))
        assert found.element is not None
        try:
            return [edges.place(spectrum, found.element, found.input.edge) for spectrum in spectra]
        except SpectrumError as error:
            raise SpectrumError(f"{run.folder.name}/{error}") from None


def _ends_well(log: Path) -> bool:
    try:
        with log.open("rb") as stream:
            size = stream.seek(0, 2)
            stream.seek(max(0, size - TAIL_BYTES))
            return ENDS_WELL.encode() in stream.read()
    except OSError:
        return False


def _error_text(folder: Path) -> str:
    """Return the beginning of FDMNES's error file on one line; empty if there is none."""
    try:
        text = (folder / "fdmnes_error.txt").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return " ".join(text.split())[:LONGEST_REASON]


def _kind(structure: Structure) -> str:
    return "crystal" if structure.pbc.all() else "molecule"


def _lengths(structure: Structure, atom: int) -> npt.NDArray[np.float64]:
    """Return distances from the absorber and lengths of the cell vectors, which do not depend on the axes."""
    across = np.linalg.norm(structure.positions - structure.positions[atom], axis=1)
    return np.concatenate([across, np.linalg.norm(structure.cell, axis=1)])


def parse_keyword(text: str) -> tuple[str, tuple[str, ...]]:
    """Return a keyword and its line of values from text."""
    keyword, _, values = text.strip().partition(" ")
    return keyword, (values.strip(),) if values.strip() else ()
