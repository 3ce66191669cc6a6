"""What the commands that write and ingest runs of a program do, whichever it is."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from xanes_hpc.cli import console
from xanes_hpc.cli.options import listed_rows

if TYPE_CHECKING:
    from xanes_hpc.calculations.program import Program
    from xanes_hpc.calculations.write import Cluster


def write(
    store: Path, output: Path, program: "Program", missing: bool, sites: Path | None, cluster: "Cluster", strict: bool,
    overwrite: bool, json_target: str | None,
) -> None:  # fmt: skip
    """Write runs, and print what was written."""
    import numpy as np

    from xanes_hpc.calculations.write import without_spectrum, write_runs
    from xanes_hpc.stores.structures import StructureStore

    with StructureStore(store) as opened, console.progress("writing", "sites") as progress:
        rows = without_spectrum(opened, program) if missing else None
        listed = listed_rows(opened, sites)
        if listed is not None:
            rows = listed if rows is None else np.intersect1d(rows, listed)
        written = write_runs(opened, output, program, rows, cluster, overwrite, strict, progress)
    if json_target != "-":
        found = {"runs": f"{len(written.folders):,}", "first": str(Path(written.folders[0]) / written.first_input)}
        console.table(str(output), found | ({"skipped": f"{n:,}"} if (n := written.skipped_count) else {}))
    console.reasons([f"skipped: {line}" for line in written.skipped], written.skipped_count)
    console.write_json(json_target, {"output": str(output), **written.as_dict()})
    ingest_words = shlex.join(["xanes-hpc", program.name, "ingest", str(output), str(store)])
    console.next_step(f"sbatch run.sh in {shlex.quote(str(output))} (or bash run.sh); then {ingest_words}")


def ingest(
    folder: Path, store: Path, program: "Program", replace: bool, look_only: bool, json_target: str | None
) -> None:
    """Read runs into a store, and print what was found."""
    from xanes_hpc.calculations import ingest as library

    with console.progress("reading", "runs") as progress:
        result = library.ingest(folder, store, program, replace, look_only, progress)
    if json_target != "-":
        rows = {"runs": ", ".join(f"{n:,} {state}" for state, n in result.runs.most_common())}
        if result.not_compared:
            rows["not compared"] = f"{result.not_compared:,} whose input does not list all atoms; their absorbers match"
        if not look_only:
            rows["spectra"] = f"{result.spectra.new:,} new"
            if result.spectra.replaced:
                rows["replaced"] = f"{result.spectra.replaced:,}"
            if result.spectra.already_there:
                rows["already there"] = f"{result.spectra.already_there:,}"
            if result.spectra.differing:
                rows["left out"] = (
                    f"{len(result.spectra.differing):,} that differ from the store's; --replace replaces those"
                )
        console.table(str(store), rows)
    console.reasons(result.not_good, len(result.not_good))
    differing = [f"left unchanged: {line}" for line in result.spectra.differing]
    console.reasons(differing, len(differing))
    console.write_json(json_target, {"store": str(store), **result.as_dict()})
    if not look_only:
        console.next_step(f"xanes-hpc featurise {shlex.quote(str(store))}")
