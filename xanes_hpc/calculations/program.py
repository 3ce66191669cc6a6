"""What a program that calculates spectra offers, whichever it is, and the outcome of one of its runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

from xanes_hpc.spectra.spectrum import PlacedSpectrum
from xanes_hpc.structures.structure import Structure

LONGEST_REASON = 200


class State(StrEnum):
    """The outcome of a run."""

    GOOD = "good"
    NOT_STARTED = "not started"
    UNFINISHED = "unfinished"
    FAILED = "failed"
    OTHER = "of another site"


@dataclass(frozen=True)
class Run:
    """The calculation of one site, in its folder.

    ``calculation`` is what the input of the run says, in the program's own terms, and ``compared`` whether it lists all
    atoms, so that they can be compared with those of the site.
    """

    folder: Path
    site: str
    state: State
    reason: str = ""
    calculation: Any = None
    compared: bool = True

    @property
    def listed(self) -> str:
        """One line on a run that is not good: folder, state and reason."""
        return f"{self.folder.name}: {self.state}" + (f": {self.reason}" if self.reason else "")


class Program(Protocol):
    """A program that calculates the spectrum of a site, with its settings.

    Attributes
    ----------
    name, title
        Its name in commands and in its own spelling.
    starter
        Name of the file by which its folders are known.
    variable
        Environment variable that names another program for the script of the runs.
    finished
        Test in the shell for a run in ``$folder`` that needs not run again.
    stale
        Files of an earlier run that must be deleted before a new one.
    program
        Name or path by which the script of the runs calls it.
    command
        Words that run it in the folder of a run.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    starter: ClassVar[str]
    variable: ClassVar[str]
    finished: ClassVar[str]
    stale: ClassVar[tuple[str, ...]]

    @property
    def program(self) -> str: ...  # noqa: D102
    @property
    def command(self) -> Sequence[str]: ...  # noqa: D102

    @property
    def settings(self) -> dict[str, Any]:
        """Everything that its results depend on, as plain values."""

    @classmethod
    def with_settings(cls, settings: dict[str, Any], program: str) -> Self:
        """Return the program with settings that were written as JSON, and its name or path."""

    def check_installed(self) -> None:
        """Check that the program can be started on this machine.

        Raises
        ------
        ConfigError
            If it cannot.
        """

    def check(self) -> None:
        """Check the settings.

        Raises
        ------
        FormatError
            If the program does not accept them.
        """

    def files(self, structure: Structure, atom: int, edge: str, name: str) -> dict[str, str]:
        """Return the text of each input file for a site, by the file's name.

        Raises
        ------
        FormatError
            If the program cannot handle the site.
        """

    def is_input(self, name: str) -> bool:
        """Whether a file of this name in the folder of a run is one of its inputs."""

    def is_output(self, name: str) -> bool:
        """Whether a file of this name is a result worth keeping."""

    def look_at(self, folder: Path, site: str) -> Run:
        """Return the state of a run.

        Raises
        ------
        OSError, ValueError
            If the content of its folder is not as expected.
        """

    def difference(self, run: Run, structure: Structure, atom: int, edge: str) -> str:
        """Return in words how a run differs from a calculation of a site; empty if it does not."""

    def made(self, kind: str, treatment: str) -> bool:
        """Whether a stored spectrum of this kind and treatment is what a calculation with these settings would give."""

    def spectra_of(self, run: Run) -> list[PlacedSpectrum]:
        """Return the spectra of a good run.

        Raises
        ------
        FormatError, SpectrumError
            If a spectrum cannot be read or is invalid.
        """


def without_folder(error: object, folder: Path) -> str:
    """Return the text of an error without the path of a run's folder, shortened."""
    return str(error).replace(f"{folder}/", "").removeprefix(f"{folder}: ")[:LONGEST_REASON]


def hashable(value: Any) -> Any:
    """Return a value of JSON with its lists as tuples."""
    return tuple(map(hashable, value)) if isinstance(value, list) else value
