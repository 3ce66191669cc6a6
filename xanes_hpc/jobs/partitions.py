"""Divide the parts of an output among partitions, each made by a separate run on any machine."""

from collections.abc import Sequence
from itertools import pairwise

from xanes_hpc.errors import ConfigError, StoreError
from xanes_hpc.jobs.parts import PartsFolder
from xanes_hpc.stores.part_files import AnyTable, why_not_whole

MOST_NAMED = 5


def parts_of(partition: int, n_partitions: int, n_parts: int) -> range:
    """Return the numbers of a partition's parts: consecutive, and equally many in each partition to within one.

    Raises
    ------
    ConfigError
        If the partition is not in the plan.
    """
    if not 0 <= partition < n_partitions:
        raise ConfigError(f"partition {partition}: expected 0 to {n_partitions - 1}")
    return range(partition * n_parts // n_partitions, (partition + 1) * n_parts // n_partitions)


def check_whole(folder: PartsFolder, tables: Sequence[AnyTable], bounds: Sequence[int], n_partitions: int) -> None:
    """Check that no part is missing or damaged, including every checksum.

    Raises
    ------
    StoreError
        If some are; names the first of them, their number, and the partitions to run again.
    """
    wrong: dict[int, str] = {}
    for number, (start, stop) in enumerate(pairwise(bounds)):
        why = why_not_whole(folder.part(number), tables, stop - start, folder.plan_digest)
        if why:
            wrong[number] = why
    if not wrong:
        return
    n_parts = len(bounds) - 1
    again = [k for k in range(n_partitions) if any(n in wrong for n in parts_of(k, n_partitions, n_parts))]
    named = ", ".join(f"{folder.part(n).name} ({why})" for n, why in list(wrong.items())[:MOST_NAMED])
    more = f" and {len(wrong) - MOST_NAMED:,} more" if len(wrong) > MOST_NAMED else ""
    listed = ",".join(map(str, again))
    raise StoreError(
        f"{folder.path}: {len(wrong):,} of {n_parts:,} parts are missing or unusable: {named}{more}; run partition "
        f"{listed} again (the list is valid for sbatch --array)"
    )
