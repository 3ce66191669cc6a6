"""A featurise run killed again and again at random moments, each time taken up by the same command.

    python tests/soak.py --kills 50

Ends with 0 if the result equals an uninterrupted run's in every dataset and attribute, byte for byte. The store, of
generated structures unless one is given, has to be large enough that a run outlives many kills: each kill comes within
``--seconds`` of the moment at which the run begins to work.
"""

import argparse
import hashlib
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np

from xanes_hpc.records import Structure
from xanes_hpc.stores.parts import parts_folder
from xanes_hpc.stores.structures import create_structures

ELEMENTS = np.array([1, 6, 7, 8, 16, 17], np.uint8)


def write_structures(path: Path, n_sites: int) -> None:
    """Iron among 60 atoms on a jittered lattice."""
    lattice = np.array([(x, y, z) for x in range(-2, 3) for y in range(-2, 3) for z in range(-2, 3)], float)
    lattice = lattice[np.argsort((lattice**2).sum(axis=1))][:60] * 1.9
    rng = np.random.default_rng(0)
    with create_structures(path) as writer:
        for k in range(n_sites):
            numbers = np.concatenate([[26], rng.choice(ELEMENTS, 59)]).astype(np.uint8)
            positions = lattice + rng.uniform(-0.3, 0.3, lattice.shape)
            writer.append(Structure(f"S{k:07d}", numbers, positions), np.array([0]), "K", [[]])


def digest(path: Path) -> str:
    """SHA-256 over every dataset and attribute of a store."""
    result = hashlib.sha256()

    def take(name: str, node: h5py.HLObject) -> None:
        result.update(name.encode())
        for key in sorted(node.attrs):
            result.update(f"{key}={node.attrs[key]!r}".encode())
        if isinstance(node, h5py.Dataset):
            result.update(f"{node.dtype} {node.shape} {node.chunks}".encode())
            if not node.shape:
                result.update(repr(node[()]).encode())
            for start in range(0, node.shape[0] if node.shape else 0, 4096):
                result.update(np.ascontiguousarray(node[start : start + 4096]).tobytes())

    with h5py.File(path, "r") as file:
        take("/", file)
        file.visititems(take)
    return result.hexdigest()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--sites", type=int, default=400_000, help="of the generated store")
    parser.add_argument("--seconds", type=float, default=1.0, help="after which a run is killed, at most")
    parser.add_argument("--store", type=Path, help="a structure store instead of a generated one")
    parser.add_argument("--preset", default="xanesnet-2022")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    moments = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = options.store or folder / "s.h5"
        if options.store is None:
            write_structures(store, options.sites)
        whole, output = folder / "whole.h5", folder / "f.h5"
        command = [sys.executable, "-m", "xanes_hpc", "featurise", str(store), "--preset", options.preset, "-o"]
        subprocess.run([*command, str(whole)], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        kills = parts_lost = most_parts = 0
        while not output.exists():
            there = len(list(parts_folder(output).glob("part-*.h5")))
            parts_lost += max(0, most_parts - there)
            most_parts = max(most_parts, there)
            process = subprocess.Popen([*command, str(output)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            while process.poll() is None and not (parts_folder(output) / "whole.partial").exists():
                time.sleep(0.002)
            try:
                process.wait(moments.uniform(0.0, options.seconds) if kills < options.kills else None)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                kills += 1
            _, error = process.communicate()
            if process.returncode not in (0, -signal.SIGKILL):
                print(f"after {kills} kills: exit code {process.returncode}: {error.decode()}")
                return 1
        equal = digest(output) == digest(whole)
        left = sorted(p.name for p in folder.iterdir() if p not in (store, whole, output))
        print(f"{kills} kills, {parts_lost} whole parts lost, left behind: {left or 'nothing'}, equal: {equal}")
        return 0 if equal and not left and kills >= options.kills else 1


if __name__ == "__main__":
    sys.exit(main())
