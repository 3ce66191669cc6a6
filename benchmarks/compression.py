"""HDF5's own compression of features: size, and rates of writing and reading."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from generate import complexes
from options import Options
from tables import number, paragraph, percent, table
from timing import interleaved

from xanes_hpc import descriptors
from xanes_hpc.stores.structures import StructureStore

TITLE = "Compression"
CHUNK_BYTES = 1 << 20
"""Approximate size of a feature store's chunk."""
FILTERS: dict[str, dict[str, Any]] = {
    "none": {},
    "gzip 1": {"compression": "gzip", "compression_opts": 1},
    "gzip 4": {"compression": "gzip", "compression_opts": 4},
    "shuffle, gzip 1": {"compression": "gzip", "compression_opts": 1, "shuffle": True},
    "shuffle, gzip 4": {"compression": "gzip", "compression_opts": 4, "shuffle": True},
    "lzf": {"compression": "lzf"},
    "shuffle, lzf": {"compression": "lzf", "shuffle": True},
}
PRESETS = ("xanesnet-2022", "default")


def measure(options: Options) -> dict[str, Any]:
    n = options.size(4096, 64)
    if options.store is None:
        batch = complexes(n)
    else:
        with StructureStore(options.store) as store:
            batch = store.batch(0, min(n, store.n_sites))
    path = options.folder / "compressed.h5"
    found = {}
    for preset in PRESETS:
        features = descriptors.load("wacsf", preset).compute(batch)
        found[preset] = {
            "dtype": features.dtype.name,
            "shape": list(features.shape),
            "bytes": features.nbytes,
            "filters": {name: _measure(path, features, filters, options) for name, filters in FILTERS.items()},
        }
    return {"sites": "generated complexes" if options.store is None else "the given store", "presets": found}


def _measure(path: Path, features: np.ndarray, filters: dict[str, Any], options: Options) -> dict[str, float]:
    rows = min(len(features), 1 << (CHUNK_BYTES // features[0].nbytes).bit_length() - 1)
    target = np.empty_like(features)

    def write() -> None:
        with h5py.File(path, "w") as file:
            chunks = (rows, features.shape[1])
            file.create_dataset("features", data=features, chunks=chunks, fletcher32=True, **filters)

    def read() -> None:
        with h5py.File(path) as file:
            file["features"].read_direct(target)

    taken = interleaved({"write": write, "read": read}, options.repeats)
    if not (target == features).all():
        raise AssertionError(f"features changed after writing and reading with {filters}")
    with h5py.File(path) as file:
        size = file["features"].id.get_storage_size()
    rates = {name: features.nbytes / t["median"] for name, t in taken.items()}
    return {"size": size / features.nbytes, **rates}


def section(result: dict[str, Any]) -> list[str]:
    lines = [
        paragraph(
            f"""Features of {result["sites"]}, written and read with h5py in chunks of about 1 MiB with checksums. Rates
            are uncompressed bytes per second, to and from the system's file cache."""
        )
    ]
    for preset, found in result["presets"].items():
        shape = " × ".join(f"{n:,}" for n in found["shape"])
        rows = [
            [name, percent(r["size"]), number(r["write"] / 1e6), number(r["read"] / 1e6)]
            for name, r in found["filters"].items()
        ]
        lines += ["", f"**`{preset}`**, {found['dtype']}, {shape}, {found['bytes'] / 1e6:.1f} MB:", ""]
        lines += table(["filter", "size", "write, MB/s", "read, MB/s"], rows)
    return [*lines, "", _saying(result)]


def _saying(result: dict[str, Any]) -> str:
    said = []
    for preset, found in result["presets"].items():
        none, gzip = found["filters"]["none"], found["filters"]["shuffle, gzip 1"]
        said.append(
            f"""It shrinks `{preset}` to {percent(gzip["size"])}; writing then runs at
            {percent(gzip["write"] / none["write"])} and reading at {percent(gzip["read"] / none["read"])} of the
            uncompressed rate."""
        )
    return paragraph(
        f"""Shuffle sorts bytes by their position in the number. `--compression gzip` means shuffle with gzip 1.
        {" ".join(said)} Higher levels, and gzip without shuffle, gain nothing over it. `--compression lzf` means
        shuffle with lzf, which only h5py can read. By default nothing is compressed: training reads every row in every
        epoch, and a compressor would be slower than the kernels that fill the store."""
    )
