"""Assemble an output from its parts."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from xanes_hpc.jobs.parts import PartsFolder
from xanes_hpc.runtime.new_file import NewFile
from xanes_hpc.stores.part_files import AnyTable, Table
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

    def __init__(self, file: NewFile, folder: PartsFolder, tables: Sequence[AnyTable], bounds: Sequence[int]) -> None:
        self._file, self._folder, self._tables, self._bounds = file, folder, tables, bounds
        self._targets: dict[str, Any] = {}

    def append(self, number: int) -> None:
        """Copy the rows of a part; parts come in order.

        Raises
        ------
        StoreError
            If the part cannot be read.
        OSError
            If the file cannot be written.
        """
        self._append(number, self._tables)

    def refer(self, output: Path) -> None:
        """Create virtual datasets that refer to the rows in the parts; ``output`` is the final path of the file.

        Rows of unequal size, whose places are known only here, are copied.
        """
        ragged = []
        for table in self._tables:
            if isinstance(table, Table):
                write_virtual(self._file, table, output, self._bounds, self._folder.plan_digest)
            else:
                ragged.append(table)
        for number in range(len(self._bounds) - 1) if ragged else ():
            self._append(number, ragged)

    def _append(self, number: int, tables: Sequence[AnyTable]) -> None:
        first, last = self._bounds[number : number + 2]
        for table in tables:
            if table.name not in self._targets:
                self._targets[table.name] = table.create(self._file, self._bounds[-1])
            part, plan = self._folder.part(number), self._folder.plan_digest
            table.append(part, self._targets[table.name], first, last - first, plan)
        self._file.sync()
