"""Fuzz parsers written in Python with atheris, guided by coverage: inputs that reach new code are changed further.

    pip install -e ".[dev,fuzz]"
    PYTHONPATH=tests python -m faults.guided_fuzz --seconds 120          # for each good file to start from
    PYTHONPATH=tests python -m faults.guided_fuzz --only xyz --seconds 600

Good files, readers and findings are those of ``faults/fuzz.py``. The exit code is 0 if there are no findings.
"""

import argparse
import json
import re
import signal
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

from faults import fuzz
from support.places import WITH_TESTS, program

KINDS = (
    "xyz", "extxyz", "disordered", "spectra", "fdmnes_input", "lightshow", "programs", "tables", "site_lists",
    "charges", "npz", "packed", "configs", "descriptors",
)  # fmt: skip
"""Kinds that our own Python code reads; the coverage of HDF5's C code is not seen."""
LONGEST = 20_000


def child(kind: str, source: Path, seconds: int, folder: Path) -> None:
    """Fuzz the readers of a kind; this never returns, because libFuzzer ends the process."""
    import atheris

    with atheris.instrument_imports(include=["xanes_hpc"]):
        from xanes_hpc import descriptors, formats  # noqa: F401
        from xanes_hpc.config import files  # noqa: F401
        from xanes_hpc.errors import XanesHpcError  # noqa: F401
        from xanes_hpc.experiment import measured  # noqa: F401
        from xanes_hpc.formats import charge_tables, npz, property_tables  # noqa: F401
        from xanes_hpc.importing import from_files  # noqa: F401
        from xanes_hpc.models import unpack  # noqa: F401
    warnings.simplefilter("ignore")
    corpus = folder / "corpus"
    corpus.mkdir()
    (corpus / source.name).write_bytes(source.read_bytes())
    path = folder / source.name

    def read(data: bytes) -> None:
        path.write_bytes(data)
        for reader in fuzz.READERS[kind]:
            _, finding = fuzz.attempt(reader, path, source)
            if finding:
                (folder / "finding").write_text(f"{reader.__name__}: {finding}")
                raise RuntimeError(finding)

    limits = [f"-max_total_time={seconds}", f"-max_len={LONGEST}", "-timeout=0", "-rss_limit_mb=3000"]
    atheris.Setup([sys.argv[0], *limits, f"-artifact_prefix={folder}/", str(corpus)], read)
    atheris.Fuzz()


def guided(kind: str, source: Path, seconds: int, folder: Path) -> tuple[int, int, str]:
    """Fuzz in a new process; return the number of inputs, how many of them reached new code, and the finding."""
    command = [*program("faults.guided_fuzz"), "--child", kind, str(source), str(folder), "--seconds", str(seconds)]
    environment = WITH_TESTS | {"NUMBA_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    executed = re.findall(r"^#(\d+)", done.stderr, re.MULTILINE)
    n_inputs = max(map(int, executed), default=0)
    n_new = len(list((folder / "corpus").iterdir()))
    finding = ""
    if done.returncode:
        recorded = folder / "finding"
        late = done.returncode == -signal.SIGALRM
        finding = recorded.read_text() if recorded.exists() else "took too long" if late else done.stderr[-500:]
        kept = Path.cwd() / f"finding-{kind}-{source.name}"
        kept.write_bytes((folder / source.name).read_bytes())
        finding += f" (input saved as {kept.name})"
    return n_inputs, n_new, finding


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=120, help="time for each good file (default 120)")
    parser.add_argument("--only", nargs="+", choices=KINDS, default=list(KINDS), metavar="KIND")
    parser.add_argument("--child", nargs=3, metavar=("KIND", "SOURCE", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        kind, source, folder = options.child
        child(kind, Path(source), options.seconds, Path(folder))
    findings = []
    with tempfile.TemporaryDirectory(prefix="xanes-hpc-") as name:
        fuzz.prepare(Path(name))
        made = json.loads((Path(name) / "seeds.json").read_text())
        print("| kind | file | inputs | reached new code | findings |\n| --- | --- | --- | --- | --- |")
        for kind in options.only:
            for source in map(Path, made[kind]):
                with tempfile.TemporaryDirectory(dir=name) as own:
                    n_inputs, n_new, finding = guided(kind, source, options.seconds, Path(own))
                print(f"| {kind} | {source.name} | {n_inputs} | {n_new} | {int(bool(finding))} |", flush=True)
                findings += [f"{kind}, {source.name}: {finding}"] if finding else []
    print("\n".join(findings))
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
