"""Parts of an output shared out over partitions, each made by a run of its own, wherever a scheduler puts it."""

from collections.abc import Sequence
from itertools import pairwise

from xanes_hpc.errors import ConfigError, StoreError
from xanes_hpc.jobs.parts import PartsFolder
from xanes_hpc.stores.part_files import Table, why_not_whole

MOST_NAMED = 5


def parts_of(partition: int, n_partitions: int, n_parts: int) -> range:
    """The parts of a partition: as many, one after another, as of every other, give or take one.

    Raises
    ------
    ConfigError
        If there is no such partition.
    """
    if not 0 <= partition < n_partitions:
        raise ConfigError(f"partition {partition}: expected 0 to {n_partitions - 1}")
    return range(partition * n_parts // n_partitions, (partition + 1) * n_parts // n_partitions)


def check_whole(folder: PartsFolder, tables: Sequence[Table], bounds: Sequence[int], n_partitions: int) -> None:
    """Refuse parts that are missing or damaged, every checksum checked.

    Raises
    ------
    StoreError
        Naming the first, how many there are, and the partitions that make them.
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
        f"{folder.path}: {len(wrong):,} of {n_parts:,} parts are not whole: {named}{more}; run partition {listed} "
        "again (sbatch --array takes this list)"
    )
