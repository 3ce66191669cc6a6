"""Import of complexes from files in tmQM's format: rate and peak memory for small and large sets."""

import gzip
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ase.data import chemical_symbols
from generate import complexes
from options import Options
from tables import number, paragraph, table
from timing import seconds, summary

from xanes_hpc.structures.absorbers import formula

TITLE = "Import"
CHILD = Path(__file__).with_name("command_once.py")
FILES = 3
AT_A_TIME = 4_000
GIB = 2**30


def measure(options: Options) -> dict[str, Any]:
    few, many = options.size((10_800, 108_000), (30, 90))
    rows = []
    for n in (few, many):
        source = options.folder / "tmqm"
        writing = seconds(lambda folder=source, n=n: write_tmqm(folder, n))
        size = sum(path.stat().st_size for path in source.iterdir())
        for words in ([], ["--elements", "Ti-Zn", "--charge", "0", "--max-atoms", "100", "--sample", str(n // 10)]):
            rows.append({"n": n, "bytes": size, "writing": writing, "words": words, **_import(options, source, words)})
        shutil.rmtree(source)
    return {"runs": rows}


def write_tmqm(folder: Path, n: int) -> None:
    """Write ``n`` complexes to files named and formatted like tmQM's, with the table of their properties."""
    folder.mkdir()
    done, each = 0, -(-n // FILES)
    with (folder / "tmQM_y.csv").open("w", encoding="ascii") as properties:
        properties.write(
            "CSD_code;Electronic_E;Dispersion_E;Dipole_M;Metal_q;HL_Gap;HOMO_Energy;LUMO_Energy;Polarizability\n"
        )
        for k in range(FILES):
            with gzip.open(folder / f"tmQM_X{k + 1}.xyz.gz", "wt", compresslevel=6, encoding="ascii") as frames:
                for start in range(0, min(each, n - done), AT_A_TIME):
                    batch = complexes(min(AT_A_TIME, min(each, n - done) - start), seed=done + start)
                    for s, (first, last) in enumerate(zip(batch.offsets[:-1], batch.offsets[1:], strict=True)):
                        code = _code(done + start + s)
                        frames.write(_frame(code, batch.numbers[first:last], batch.positions[first:last]))
                        properties.write(f"{code};-5000.0;-0.2;3.5;0.6;0.13;-0.19;-0.06;400.0\n")
            done += min(each, n - done)


def _code(k: int) -> str:
    return "".join(chr(65 + k // 26**p % 26) for p in reversed(range(6)))


def _frame(code: str, numbers: Any, positions: Any) -> str:
    charge = sum(numbers.tolist()) % 3 - 1
    head = f"CSD_code = {code} | q = {charge} | S = 0 | Stoichiometry = {formula(numbers)} | MND = 6"
    rows = [
        f"{chemical_symbols[z]:2s} {x:18.12f} {y:18.12f} {w:18.12f}"
        for z, (x, y, w) in zip(numbers, positions, strict=True)
    ]
    return "\n".join([str(len(rows)), f"{head} | 2020-2024 CSD", *rows, "", ""])


def _import(options: Options, source: Path, words: Sequence[str]) -> dict[str, Any]:
    output = options.folder / "imported.h5"
    files = [str(path) for path in sorted(source.glob("*.xyz.gz"))]
    command = [sys.executable, str(CHILD), "import", *files, "--properties", str(source / "tmQM_y.csv"), *words]
    runs = []
    for _ in range(min(3, options.repeats)):
        done = subprocess.run([*command, "-o", str(output)], check=True, capture_output=True, text=True)
        runs.append(json.loads(done.stdout))
        size = output.stat().st_size
        output.unlink()
    return {"bytes_out": size, **{name: summary([run[name] for run in runs]) for name in ("seconds", "peak")}}


def goals(result: dict[str, Any]) -> list[tuple[str, str, bool]]:
    """Return each goal, the measured figure, and whether it is reached."""
    most = max(row["n"] for row in result["runs"])
    peak = max(row["peak"]["median"] for row in result["runs"] if row["n"] == most)
    return [(f"import of {most:,} complexes: at most 1 GiB of peak memory", f"{peak / 2**20:,.0f} MiB", peak <= GIB)]


def section(result: dict[str, Any]) -> list[str]:
    rows = [
        [
            f"{row['n']:,}",
            f"`{' '.join(row['words'])}`" if row["words"] else "all",
            f"{row['bytes'] / 2**20:,.0f}",
            f"{row['bytes_out'] / 2**20:,.0f}",
            f"{row['n'] / row['seconds']['median']:,.0f}",
            f"{row['peak']['median'] / 2**20:,.0f}",
            number(row["seconds"]["median"]),
        ]
        for row in result["runs"]
    ]
    return [
        paragraph(
            f"""Import of generated complexes into a structure store with `xanes-hpc import tmQM_X*.xyz.gz --properties
            tmQM_y.csv`. The complexes are in {FILES} gzipped files in tmQM's format (doi:10.1021/acs.jcim.0c01041),
            with the table of their properties. Time runs from the start of the command. With `--sample` the files are
            read twice."""
        ),
        "",
        *table(
            ["complexes", "selection", "files, MiB", "store, MiB", "complexes/s", "peak memory, MiB", "s"],
            rows,
        ),
    ]
