"""From a model and structures, features or files to a prediction store."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from ase.data import chemical_symbols

from xanes_hpc.config import LARGEST
from xanes_hpc.errors import ModelError, SpectrumError
from xanes_hpc.inference import n_draws
from xanes_hpc.prediction_sources import Store, check_seen, features_of, references_of, sites_of, structures_behind
from xanes_hpc.spectra.edges import edge_energy
from xanes_hpc.spectra.grid import Grid
from xanes_hpc.stores import hdf5
from xanes_hpc.stores.models import ModelFolder
from xanes_hpc.stores.predictions import create_predictions, write_site_columns
from xanes_hpc.stores.sites import SiteTable
from xanes_hpc.stores.targets import gridded
from xanes_hpc.trust import reasons

ROWS_AT_ONCE = 512
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class PredictOptions:
    """How to predict.

    Attributes
    ----------
    draws
        Monte Carlo draws, of all members of the model together; an ensemble without dropout has one of each member.
    seed
        Of the draws.
    keep_draws
        Whether the store keeps every draw.
    part
        Only sites that had this part in training: ``train``, ``validation``, ``calibration``, ``test``.
    force
        Whether elements and edges the model has not seen are predicted all the same.
    spectra
        Structure store with the references, where it is not the source itself or the one that the source names; it
        must hold the same structures.
    """

    draws: int = 100
    seed: int = 0
    keep_draws: bool = False
    part: str | None = None
    force: bool = False
    spectra: Path | None = None


def predict(
    model: ModelFolder,
    source: Store,
    output: Path,
    options: PredictOptions | None = None,
    overwrite: bool = False,
    progress: Progress = lambda done, total: None,
) -> str:
    """Write predictions of a source's sites, with references where it has spectra of the model's kind and treatment.

    Returns
    -------
    str
        Why there are no references; empty where there are some.

    Raises
    ------
    ModelError
        If the features are of another descriptor, or an element or edge is new to the model.
    StoreError
        If a store cannot be read or written.
    """
    options = options or PredictOptions()
    if options.draws < 2:
        raise ModelError(f"draws: expected at least 2, received {options.draws}")
    if not 0 <= options.seed <= LARGEST:
        raise ModelError(f"seed: expected 0 to {LARGEST}, received {options.seed}")
    behind, missing = structures_behind(source, options.spectra)
    with behind as structures:
        made_from = [source.path, *([structures.path] if structures is not None else [])]
        hdf5.check_store(output, overwrite, made_from)
        read = features_of(model, source)
        sites = sites_of(source)
        formulas = structures.site_formulas() if structures is not None else [""] * len(sites)
        parts = model.training_sites.parts_of(sites.name, formulas)
        rows = np.arange(len(sites))
        if options.part is not None:
            rows = rows[[p == options.part for p in parts]]
            if not rows.size:
                there = ", ".join(dict.fromkeys(parts)) or "none"
                raise ModelError(
                    f"none of the sites was in the {options.part} part of {model.path}; theirs are {there}"
                )
        chosen = sites.take(rows)
        check_seen(model, chosen, options.force, ", or add --force and do not trust the result")
        spectra = structures if structures is not None else source
        references, recipe, why_none = references_of(model, spectra, len(sites))
        grid = Grid(*model.grid)
        digest = structures.attribute("digest_structures") if structures is not None else ""
        e0, nearest = edge_energies(model, chosen), np.empty(rows.size)
        absorbers, calibration = model.absorbers(chosen.element, chosen.edge), model.calibration
        dropout = model.method == "dropout"
        with create_predictions(
            output, model, chosen, n_draws(model.members, options.draws, dropout), options.seed, digest,
            references is not None, options.keep_draws, overwrite,
        ) as file:  # fmt: skip
            for start in range(0, rows.size, ROWS_AT_ONCE):
                progress(start, rows.size)
                here = slice(start, min(start + ROWS_AT_ONCE, rows.size))
                x = read(rows[here])
                drawn, evidence = model.sample(x, absorbers[here], options.draws, options.seed, options.keep_draws)
                nearest[here] = evidence.distance
                file["mean"][here] = drawn.mean
                file["std"][here] = calibration.sigma(evidence)
                if drawn.draws is not None:
                    file["draws"][here] = drawn.draws
                if references is not None:
                    some = chosen.take(np.arange(here.start, here.stop))
                    values, own_e0 = gridded(spectra, references[rows[here]], grid, some, recipe)
                    file["reference"][here] = values
                    e0[here] = np.where(np.isfinite(own_e0), own_e0, e0[here])
            own = [formulas[i] for i in rows]
            write_site_columns(
                file, e0, own, [parts[i] for i in rows], nearest, model.training_sites.twins_of(chosen.name, own),
                reasons(model.trust, nearest, own, model.unseen(chosen.element, chosen.edge)),
            )  # fmt: skip
        progress(rows.size, rows.size)
    return missing or why_none


def edge_energies(model: ModelFolder, sites: SiteTable) -> npt.NDArray[np.float64]:
    """Edge energy (eV) that training spectra of each site's element and edge had, else XrayDB's; NaN where neither."""
    known: dict[tuple[int, str], float] = {}
    for z, edge in zip(sites.element.tolist(), sites.edge, strict=True):
        if (z, edge) not in known:
            try:
                known[z, edge] = model.seen.get((chemical_symbols[z], edge)) or edge_energy(z, edge)
            except SpectrumError:
                known[z, edge] = np.nan
    return np.array([known[z, edge] for z, edge in zip(sites.element.tolist(), sites.edge, strict=True)])
