"""Assemble an output from its parts."""

from collections.abc import Sequence
from pathlib import Path

from xanes_hpc.jobs.parts import PartsFolder
from xanes_hpc.runtime.new_file import NewFile
from xanes_hpc.stores.opening import Dataset
from xanes_hpc.stores.part_files import Table, copy_chunks
from xanes_hpc.stores.virtual import write_virtual


class Assembly:
    """The tables of a new file, filled from parts.

    Parameters
    ----------
    file
        The new file.
    folder
        The folder of the parts.
    tables, bounds
        The datasets to fill; part k has their rows ``bounds[k]:bounds[k + 1]``.
    """

    def __init__(self, file: NewFile, folder: PartsFolder, tables: Sequence[Table], bounds: Sequence[int]) -> None:
        self._file, self._folder, self._tables, self._bounds = file, folder, tables, bounds
        self._datasets: dict[str, Dataset] = {}

    def append(self, number: int) -> None:
        """Copy the chunks of a part, without decoding them.

        Raises
        ------
        StoreError
            If the part cannot be read.
        OSError
            If the file cannot be written.
        """
        for table in self._tables:
            if table.name not in self._datasets:
                self._datasets[table.name] = table.create(self._file, self._bounds[-1])
            first, last = self._bounds[number : number + 2]
            part, plan = self._folder.part(number), self._folder.plan_digest
            copy_chunks(part, self._datasets[table.name], table.name, first, last - first, plan)
        self._file.sync()

    def refer(self, output: Path) -> None:
        """Create virtual datasets that refer to the rows in the parts; ``output`` is the final path of the file."""
        for table in self._tables:
            write_virtual(self._file, table, output, self._bounds, self._folder.plan_digest)
