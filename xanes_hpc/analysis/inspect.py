"""Describe a store or model, from its header and site table, as plain values for ``info``."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from ase.data import chemical_symbols

from xanes_hpc.errors import StoreError
from xanes_hpc.models.folder import DESCRIPTION
from xanes_hpc.models.manifest import SUFFIX
from xanes_hpc.models.model import Model
from xanes_hpc.models.unpack import inspect, is_packed
from xanes_hpc.runtime.file_kinds import what_it_is
from xanes_hpc.spectra.spectrum import treatment_name
from xanes_hpc.stores import hdf5
from xanes_hpc.stores.features import WITHOUT, FeatureStore
from xanes_hpc.stores.predictions import PredictionStore
from xanes_hpc.stores.properties import PROPERTIES
from xanes_hpc.stores.structures import StructureStore
from xanes_hpc.stores.targets import TargetStore
from xanes_hpc.stores.virtual import virtual_parts

ROWS_AT_ONCE = 1 << 20


def inform(path: Path) -> dict[str, Any]:
    """Describe the store or model at ``path``.

    Raises
    ------
    StoreError
        If it is not a store, a model folder or a packed model, or is damaged.
    """
    refuse_other(path)
    if path.is_dir():
        return _model(Model.open(path))
    if path.name == "model.json":
        return _model(Model.open(path.parent))
    if is_packed(path):
        return _packed(path)
    with hdf5.reading(path):
        return _store(path)


def refuse_other(path: Path) -> None:
    """Say what a path is if it is clearly neither a store nor a model.

    Raises
    ------
    StoreError
        If so.
    """
    if path.name == DESCRIPTION or path.suffix == SUFFIX or (path / DESCRIPTION).exists() or not path.exists():
        return
    if what := what_it_is(path):
        kind, _, advice = what.partition("; ")
        more = f" ({advice})" if advice else ""
        raise StoreError(
            f"{path}: {kind}{more}, not a store or model; info describes stores (.h5), model folders and packed models "
            f"({SUFFIX})"
        )


def _store(path: Path) -> dict[str, Any]:
    hdf5.open_store(path).close()  # raises with the reason if the file cannot be read
    if hdf5.is_kind(path, "structures"):
        with StructureStore(path) as store:
            return _common(store) | _structures(store)
    if hdf5.is_kind(path, "features"):
        with FeatureStore(path) as store:
            return _common(store) | _features(store)
    if hdf5.is_kind(path, "targets"):
        with TargetStore(path) as store:
            return _common(store) | _targets(store)
    with PredictionStore(path) as store:
        return _common(store) | _predictions(store)


def _common(store: hdf5.Store) -> dict[str, Any]:
    return {
        "kind": store.kind,
        "schema_version": int(store.file.attrs["schema_version"]),
        "creator": store.attribute("creator"),
        "bytes": store.path.stat().st_size,
        **_parts(store),
    }


def _parts(store: hdf5.Store) -> dict[str, Any]:
    """Return the number of parts of a virtual store and their size; nothing for an ordinary store."""
    datasets = [node for node in store.file.values() if hasattr(node, "is_virtual")]
    parts = {part for node in datasets for part in virtual_parts(node, store.path)}
    return {"parts": len(parts), "bytes_in_parts": sum(part.stat().st_size for part in parts)} if parts else {}


def _structures(store: StructureStore) -> dict[str, Any]:
    file = store.file
    return {
        "structures": store.n_structures,
        "atoms": int(file["atoms/numbers"].shape[0]),
        "sites": store.n_sites,
        "absorbers": _absorbers(store),
        "periodic": sum(int(rows.any(axis=1).sum()) for rows in hdf5.slabs(file["structures/pbc"])),
        "properties": sorted(file[PROPERTIES]),
        "spectra": _spectra(store),
        "digest_structures": store.attribute("digest_structures"),
        "digest_spectra": store.attribute("digest_spectra"),
    }


def _spectra(store: StructureStore | FeatureStore) -> dict[str, Any]:
    treatments: Counter[str] = Counter()
    for text, number in _counts(store, "spectra/treatment").items():
        treatments[treatment_name(text)] += number
    return {
        "number": int(store.file["spectra/site"].shape[0]),
        "kinds": _counts(store, "spectra/kind"),
        "treatments": dict(treatments),
        "e0_sources": _counts(store, "spectra/e0_source"),
    }


def _features(store: FeatureStore) -> dict[str, Any]:
    description = store.description
    path = store.attribute("source_path")
    source = {
        "path": path,
        "digest": store.attribute("source_digest"),
        "there": bool(path) and (store.path.parent / path).exists(),
    }
    return {
        "sites": store.n_sites,
        "features": store.n_features,
        "dtype": store.file["features"].dtype.name,
        **({"without_features": int(store.without_features.sum())} if WITHOUT in store.file else {}),
        **({"rattle": store.rattle} if store.rattled else {}),
        **_graphs(store),
        "absorbers": _absorbers(store),
        "descriptor": {
            "name": description.get("name"),
            "cutoff": description.get("cutoff"),
            "hash": store.attribute("descriptor_hash"),
            "description": description,
        },
        **_foreign(store, description),
        **({"spectra": _spectra(store)} if store.has_spectra else {}),
        **({"source": source} if path else {}),
    }


def _graphs(store: FeatureStore) -> dict[str, Any]:
    """Return the settings of the sites' graphs, and how many atoms and edges they have; nothing without graphs."""
    if store.graph is None:
        return {}
    counts = {name: int(store.file[f"graph/{name}/offsets"][-1]) for name in ("atoms", "edges")}
    return {"graphs": store.graph.describe() | counts}


def _foreign(store: FeatureStore, description: dict[str, Any]) -> dict[str, Any]:
    """Return where features come from that another program made; nothing for others."""
    if not store.attribute("foreign_digest"):
        return {}
    return {
        "foreign": {
            "source": description.get("source"),
            "features": description.get("features"),
            "file": store.attribute("foreign_file"),
            "digest": store.attribute("foreign_digest"),
        }
    }


def _targets(store: TargetStore) -> dict[str, Any]:
    return {
        "sites": int(store.file["e0"].shape[0]),
        "grid": _grid(store.grid.energies, store.grid.origin),
        "treatment": treatment_name(store.attribute("treatment")),
        "unit": store.attribute("unit"),
    }


def _predictions(store: PredictionStore) -> dict[str, Any]:
    return {
        "sites": store.n_sites,
        "absorbers": _absorbers(store),
        "grid": _grid(store.energies, store.origin),
        "draws": {"number": int(store.file.attrs["n_draws"]), "kept": "draws" in store.file},
        "references": _n_references(store),
        "parts": _counts(store, "sites/part"),
        **_flagged(store),
        "spectrum": {name: store.attribute(name) for name in ("kind", "treatment", "unit")},
        "conformal": store.conformal,
        "model_digest": store.attribute("model_digest"),
        "descriptor_hash": store.attribute("descriptor_hash"),
        "source_digest": store.attribute("source_digest"),
    }


def _model(model: Model) -> dict[str, Any]:
    description = model.description
    return {
        "kind": "model",
        "schema_version": description["schema_version"],
        "creator": description["creator"],
        "bytes": sum(p.stat().st_size for p in model.path.rglob("*") if p.is_file()),
        "architecture": description["architecture"],
        "members": description["members"],
        "seen": description["seen"],
        "grid": _grid(*model.grid),
        "spectrum": {name: description["target"][name] for name in ("kind", "treatment", "unit")},
        "descriptor": {
            "name": description["descriptor"]["description"].get("name"),
            **{k: v for k, v in description["descriptor"]["description"].items() if k == "source"},
            "features": description["n_features"],
            "hash": model.descriptor_hash,
        },
        "uncertainty": {"method": model.method, "calibration_sites": model.calibration.n_sites},
        **({} if model.n_folds is None else {"final": model.fitted_in_words}),
        "trust": model.trust,
        "provenance": {k: v for k, v in description["provenance"].items() if k != "plan"},  # run.toml has it
    }


def _packed(path: Path) -> dict[str, Any]:
    manifest = inspect(path)
    return {
        "kind": "packed",
        "schema_version": manifest.schema_version,
        "creator": manifest.creator,
        "bytes": path.stat().st_size,
        "bytes_unpacked": sum(file.size for file in manifest.files),
        "files": [file.path for file in manifest.files],
    }


def _grid(energies: "np.ndarray[Any, Any]", origin: str) -> dict[str, Any]:
    return {
        "origin": origin,
        "start_ev": float(energies[0]),
        "stop_ev": float(energies[-1]),
        "energies": int(energies.size),
    }


def _counts(store: hdf5.Store, name: str) -> dict[str, int]:
    """Count each text of a column, in the order of first appearance."""
    counts: Counter[bytes] = Counter()
    for rows in hdf5.slabs(store.file[name]):
        counts.update(rows.tolist())
    return {text.decode("utf-8", "replace"): number for text, number in counts.items()}


def _flagged(store: PredictionStore) -> dict[str, int]:
    """Return the number of sites out of domain; nothing for a store without that column."""
    if "sites/distrust" not in store.file:
        return {}
    return {"not_to_be_trusted": sum(int(np.count_nonzero(rows)) for rows in hdf5.slabs(store.file["sites/distrust"]))}


def _n_references(store: PredictionStore) -> int:
    if not store.has_reference:
        return 0
    return sum(int(np.isfinite(rows).any(axis=1).sum()) for rows in hdf5.slabs(store.file["reference"]))


def _absorbers(store: hdf5.Store) -> dict[str, int]:
    counts: Counter[tuple[int, bytes]] = Counter()
    elements, edges = store.file["sites/element"], store.file["sites/edge"]
    for start in range(0, elements.shape[0], ROWS_AT_ONCE):
        here = slice(start, start + ROWS_AT_ONCE)
        counts.update(zip(elements[here].tolist(), edges[here].tolist(), strict=True))
    return {f"{chemical_symbols[z]} {edge.decode()}": n for (z, edge), n in counts.most_common()}


def flat(values: dict[str, Any], prefix: str = "") -> dict[str, str]:
    """Return nested values as rows of a table, with long texts cut."""
    rows: dict[str, str] = {}
    for key, value in values.items():
        name = f"{prefix}{key}".replace("_", " ")
        if isinstance(value, dict) and key != "description":
            rows |= flat(value, f"{name}: ")
        elif key != "description":
            text = f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else _text(value)
            rows[name] = text if len(text) <= 300 else text[:297] + "..."
    return rows


def _text(value: Any) -> str:
    if isinstance(value, list):
        return "; ".join(map(_text, value)) or "none"
    if isinstance(value, dict):
        return ", ".join(f"{k} {_text(v)}" for k, v in value.items())
    return value if isinstance(value, str) else json.dumps(value)
