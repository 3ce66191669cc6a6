"""Write small foreign files for tests, and run the command line in this process."""

import gzip
import re
import signal
from collections.abc import Iterable, Sequence
from pathlib import Path

import h5py
import numpy as np
import pytest

from xanes_hpc.runtime import threads

IRON_OXIDE = (("Fe", 0.0, 0.0, 0.0), ("O", 0.0, 0.0, 1.6))
TWO_IRONS = (("Fe", 0.0, 0.0, 0.0), ("O", 0.0, 0.0, 1.6), ("Fe", 0.0, 1.7, 1.6))
FDMNES_TITLES = (
    "= E_edge, Z, n_edge, j_edge, Abs_before_edge, VO_interstitial, E_cut, ninitl, ninit1, Epsii, UnitCell_Volume, "
    "Surface_ref, f0_forward, natomsym_f, abs_u_iso"
)
ERROR = "xanes-hpc: error: "
EDGE = 7112.0
"""Energy of iron's K edge in FDMNES and XrayDB, eV."""


OLD = b"\x89HDF old"
"""Content of an earlier output: it looks like a store but is not one."""


def old_store(path: Path) -> Path:
    """Write a file that a store may replace, and return its path."""
    path.write_bytes(OLD)
    return path


def frame(atoms: Iterable[Sequence[object]] = IRON_OXIDE, comment: str = "") -> str:
    """Return one frame of an XYZ file."""
    rows = [" ".join(map(str, atom)) for atom in atoms]
    return "\n".join([str(len(rows)), comment, *rows]) + "\n"


def write(path: Path, text: str) -> Path:
    """Write text, gzipped if the name ends in ``.gz``; make the folder if necessary; return the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = text.encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def write_xyz(path: Path, atoms: Iterable[Sequence[object]] = IRON_OXIDE, comment: str = "") -> Path:
    """Write an XYZ file of one frame, and return its path."""
    return write(path, frame(atoms, comment))


def many_frames(n_frames: int, prefix: str = "S", n_atoms: int = 3) -> str:
    """Return different frames as in tmQM, each with its own name, and blank lines between them."""
    rng = np.random.default_rng(0)
    frames = []
    for k in range(n_frames):
        oxygens = [("O", 1.6 * a, 0.3 * rng.random(), 0.3 * rng.random()) for a in range(1, n_atoms)]
        frames.append(frame([("Fe", 0.0, 0.0, 0.0), *oxygens], f"CSD_code = {prefix}{k:06d} | q = {k % 3 - 1} | S = 0"))
    return "\n".join(frames)


def edge_step(first: float = EDGE - 15, last: float = EDGE + 60, n_points: int = 76) -> np.ndarray:
    """Return energies and a smooth step in the first half of the range, shape (n_points, 2)."""
    energies = np.linspace(first, last, n_points)
    width = (last - first) / 50
    return np.column_stack([energies, 0.5 + np.arctan((energies - first - 10 * width) / width) / np.pi])


def table(points: Iterable[Sequence[float]], separator: str = " ") -> str:
    """Return numbers as rows of text."""
    return "".join(separator.join(f"{value:.6g}" for value in row) + "\n" for row in points)


def fdmnes_header(edge: float = EDGE, element: int = 26, titles: str = "    Energy    <xanes>") -> str:
    """Return the first two lines of an unbroadened FDMNES spectrum."""
    return f"  {edge:.3f}   {element}  1  1  6.9E-03 -2.9E+00 -2.9E+00  1  1  7.8E+03 {FDMNES_TITLES}\n{titles}\n"


def write_spectrum(path: Path, points: Iterable[Sequence[float]] | None = None, header: str = "") -> Path:
    """Write a spectrum, iron's K edge by default, in the format of the path's suffix, and return the path."""
    rows = np.asarray(edge_step() if points is None else list(points))
    if path.suffix == ".nxs":
        path.parent.mkdir(parents=True, exist_ok=True)
        with h5py.File(path, "w") as file:
            data = file.create_group("entry/data")
            data.attrs["NX_class"], data.attrs["signal"] = "NXdata", "mu"
            data["energy"], data["mu"] = rows.T
        return path
    if path.suffix == ".xdi":
        header = f"# XDI/1.0\n# Column.1: energy eV\n# Column.2: mu\n# ///\n#---\n{header}"
    return write(path, header + table(rows))


def feature_arrays(n_sites: int = 6, dtype: str = "f8", **others: np.ndarray) -> dict[str, np.ndarray]:
    """Return features of ``xanesnet-49`` and spectra of 16 energies as arrays, as published data sets do."""
    rng = np.random.default_rng(n_sites)
    rising = rng.random((n_sites, 16)) + np.arange(16) / 4.0
    return {"x": rng.random((n_sites, 49)).astype(dtype), "y": rising.astype(dtype), **others}


def write_npz(path: Path, arrays: dict[str, np.ndarray] | None = None, compressed: bool = False) -> Path:
    """Write arrays, by default features and spectra, as a NumPy archive, and return its path."""
    (np.savez_compressed if compressed else np.savez)(path, **(feature_arrays() if arrays is None else arrays))
    return path


def run(*arguments: object) -> int:
    """Run a command line in this process and return its exit code; one thread is fastest for so little work."""
    from xanes_hpc.cli import main

    handler = signal.getsignal(signal.SIGTERM)
    try:
        with threads.limited_to(1), pytest.raises(SystemExit) as exit_:
            main.run([str(a) for a in arguments])
    finally:
        signal.signal(signal.SIGTERM, handler)
    return int(exit_.value.code or 0)


def refused(capsys: pytest.CaptureFixture[str], folder: Path, *arguments: object) -> str:
    """Run a command line that must be refused without changing a file in ``folder``, and return its error message."""
    capsys.readouterr()
    before = contents(folder)
    code = run(*arguments)
    printed = capsys.readouterr()
    assert code == 2, printed
    assert contents(folder) == before
    assert printed.out == ""
    assert re.fullmatch(rf"{ERROR}[^\n]+\n", printed.err), printed.err
    return printed.err.removeprefix(ERROR).strip()


def contents(folder: Path) -> dict[str, bytes]:
    """Return the bytes of every file under a folder, hidden ones included, by path."""
    return {str(p): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file() and not p.is_symlink()}
