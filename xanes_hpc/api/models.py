"""Train a model on features, and predict the spectra of structures with it."""

import inspect
import os
import shutil
import tempfile
import weakref
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from xanes_hpc.api.arguments import check_arguments
from xanes_hpc.api.inputs import AnyStore, PathLike, listed, opened, output_path, store_of
from xanes_hpc.api.spectra import Spectra
from xanes_hpc.config.files import load_run, settings
from xanes_hpc.descriptors import Descriptor
from xanes_hpc.errors import ConfigError, StoreError
from xanes_hpc.models.folder import CONTENTS, architecture_of
from xanes_hpc.models.model import Model
from xanes_hpc.models.numpy_network import DRAWS
from xanes_hpc.prediction import predict as prediction
from xanes_hpc.prediction.plan import PredictOptions
from xanes_hpc.prediction.site_features import model_descriptor
from xanes_hpc.runtime import threads as kernel_threads
from xanes_hpc.runtime.nearest import did_you_mean
from xanes_hpc.runtime.outputs import whole_output
from xanes_hpc.stores.features import FeatureStore
from xanes_hpc.stores.predictions import PredictionStore
from xanes_hpc.stores.structures import StructureStore

Progress = Callable[[int, int, str], None]


class Predictor:
    """A trained model that predicts spectra of structures.

    Parameters
    ----------
    model
        The model.
    temporary
        Whether to delete the model's folder with this object.

    Examples
    --------
    >>> import xanes_hpc as xh
    >>> model = xh.load_model("complexes.model")
    >>> model
    <Predictor complexes.model: Cr K, Mn K, Co K, Ni K, Cu K, 1 network, 201 energies, -20 to 60 eV from e0>
    """

    def __init__(self, model: Model, temporary: bool = False) -> None:
        self.model, self._temporary = model, temporary
        if temporary:
            weakref.finalize(self, _remove, model.path.parent, os.getpid())

    def __repr__(self) -> str:
        energies, origin = self.model.grid
        where = "(temporary)" if self._temporary else self.path
        kinds = ", ".join(f"{element} {edge}" for element, edges in self.elements.items() for edge in edges)
        n = self.model.description["members"]
        networks = f"{n} network{'s' if n != 1 else ''}" + (
            " and a Gaussian process" if self.model.description.get("regression") else ""
        )
        grid = f"{energies.size} energies, {energies[0]:g} to {energies[-1]:g} eV"
        return f"<Predictor {where}: {kinds}, {networks}, {grid}{' from e0' if origin == 'e0' else ''}>"

    @property
    def path(self) -> Path:
        """The model folder."""
        return self.model.path

    @property
    def elements(self) -> dict[str, list[str]]:
        """The edges that the model was trained on, by element."""
        found: dict[str, list[str]] = {}
        for element, edge in self.model.trained_absorbers:
            found.setdefault(element, []).append(edge)
        return found

    @cached_property
    def descriptor(self) -> Descriptor:
        """The descriptor of the model's features."""
        return model_descriptor(self.model)

    def save(self, output: PathLike, overwrite: bool = False) -> "Predictor":
        """Copy the model folder, and return the model at the new path.

        Raises
        ------
        StoreError
            If the output exists, or cannot be written.

        Examples
        --------
        >>> import xanes_hpc as xh
        >>> xh.load_model("complexes.model").save("copy.model").path
        PosixPath('copy.model')
        """
        check_arguments(Predictor.save, locals())
        target = Path(output)
        with whole_output(target, overwrite, CONTENTS, sources=[self.path]) as folder:
            folder.mkdir()
            for name in CONTENTS:
                if (self.path / name).is_dir():
                    shutil.copytree(self.path / name, folder / name)
                elif (self.path / name).exists():
                    shutil.copy2(self.path / name, folder / name)
        return Predictor(Model.open(target))

    def predict(
        self,
        source: Any,
        *,
        sites: Any = None,
        edge: str | None = None,
        disorder: str | None = None,
        draws: int = DRAWS,
        seed: int = 0,
        keep_draws: bool = False,
        split: Literal["train", "validation", "calibration", "test"] | None = None,
        force: bool = False,
        spectra: PathLike | None = None,
        foreign: PathLike | None = None,
        threads: int | None = None,
        output: PathLike | None = None,
        overwrite: bool = False,
    ) -> Spectra:
        """Predict the spectra of sites, with their uncertainty.

        Parameters
        ----------
        source
            One or more ``ase.Atoms``, structure files and folders, a structure store, a feature store of this model's
            descriptor, or the path of a store or of an ``.npz`` file as for ``import_features``.
        sites, edge
            The absorbers and their edge, unless ``source`` is a store. Default: each structure's only transition
            metal, at the K edge. ``sites`` may also be a table of sites (``"chosen.csv"``) or a list of names, to
            predict only these sites of a store or of files.
        disorder
            For structure files with partial occupancies or disorder groups: ``majority``, or ``sample N`` for N
            configurations. Default: refuse them.
        draws, seed
            Number of Monte Carlo dropout draws per site; the seed of these draws, and of the configurations.
        keep_draws
            Keep every draw. Otherwise ``Spectra.draws`` computes them when they are needed.
        split
            Predict only the sites of this set of the model's split.
        force
            Predict elements and edges that the model was not trained on.
        spectra
            Structure store with the reference spectra. Default: the source's own.
        foreign
            File with the features that another program made, for structures and a model that was trained on such.
        threads
            Number of threads. Default: all cores.
        output
            Prediction store to write. By default predictions stay in memory.
        overwrite
            Replace an existing output.

        Raises
        ------
        ModelError
            If the model was not trained on an element and edge, or the features are of another descriptor.
        FormatError
            If a structure cannot be used.
        StoreError
            If a store cannot be read, or the output exists or cannot be written.

        Examples
        --------
        >>> import xanes_hpc as xh
        >>> from ase import Atoms
        >>> model = xh.load_model("complexes.model")
        >>> octahedron = [(2, 0, 0), (-2, 0, 0), (0, 2, 0), (0, -2, 0), (0, 0, 2), (0, 0, -2)]
        >>> spectra = model.predict(Atoms("MnO6", [(0, 0, 0), *octahedron]))
        >>> spectra.mean.shape, spectra.out_of_domain.shape
        ((1, 201), (1,))
        """
        check_arguments(Predictor.predict, locals())
        kernel_threads.use(threads)
        store, choice = opened(source, sites, edge, disorder, seed)
        behind, beside = (None if path is None else Path(path) for path in (spectra, foreign))
        options = PredictOptions(draws, seed, keep_draws, split, force, behind, choice, beside)

        def again() -> PredictionStore:
            return prediction.predict_in_memory(self.model, store, replace(options, keep_draws=True))

        if output is None:
            return Spectra(prediction.predict_in_memory(self.model, store, options), again)
        prediction.predict(self.model, store, output_path(output), options, overwrite)
        return Spectra(PredictionStore(Path(output)), again)


def _remove(folder: Path, process: int) -> None:
    """Delete a temporary folder, but not from a forked copy of the process that made it."""
    if os.getpid() == process:
        shutil.rmtree(folder, ignore_errors=True)


def load_model(path: PathLike) -> Predictor:
    """Open a model folder.

    Raises
    ------
    StoreError
        If it is not a model folder, or damaged.

    Examples
    --------
    >>> import xanes_hpc as xh
    >>> xh.load_model("complexes.model").elements
    {'Cr': ['K'], 'Mn': ['K'], 'Co': ['K'], 'Ni': ['K'], 'Cu': ['K']}
    """
    check_arguments(load_model, locals())
    return Predictor(Model.open(Path(path)))


def predict(source: Any, model: Predictor | PathLike, **options: Any) -> Spectra:
    """Predict the spectra of sites with a model; the same as ``model.predict(source, …)``.

    Parameters
    ----------
    source
        One or more ``ase.Atoms``, structure files and folders, a structure store, a feature store of the model's
        descriptor, or the path of a store.
    model
        The model, or the path of its folder.
    **options
        Options of ``Predictor.predict``: sites, edge, draws, seed, output, …

    Raises
    ------
    XanesHpcError
        As for ``Predictor.predict`` and ``load_model``.

    Examples
    --------
    >>> import xanes_hpc as xh
    >>> xh.predict("complexes.h5", "complexes.model", force=True).mean.shape
    (24, 201)
    """
    check_arguments(predict, locals())
    known = inspect.signature(Predictor.predict).parameters
    for name in options:
        if name not in known:
            raise ConfigError(f"unknown option {name!r}{did_you_mean(name, known, 'see `Predictor.predict`')}")
    return (model if isinstance(model, Predictor) else load_model(model)).predict(source, **options)


def train(
    features: Any,
    *,
    spectra: Any = None,
    config: PathLike | None = None,
    augment: FeatureStore | PathLike | Sequence[FeatureStore | PathLike] = (),
    progress: Progress | None = None,
    resume: bool = False,
    output: PathLike | None = None,
    overwrite: bool = False,
    **values: Any,
) -> Predictor:
    """Train a model on features and the spectra of their sites.

    With ``folds=5``, say, a model is trained for each fold, and the returned one is fitted to all sites: its
    uncertainty is calibrated on the sites held out from the folds, which suits small sets.

    Parameters
    ----------
    features
        One or more feature stores, or their paths.
    spectra
        Structure stores with the spectra, one for each feature store without spectra of its own. Default: the stores
        that the features came from.
    config
        TOML file with settings.
    augment
        Feature stores of the same sites with rattled structures.
    progress
        Function called with epochs done, epochs in all, and a note.
    resume
        Continue a run that was stopped before it finished ``output``.
    output
        Model folder to write; with folds, the folder with ``final.model`` and all else. Default: a temporary folder,
        deleted with the returned object. Training on a stored feature store also keeps its targets beside it, for the
        next training.
    overwrite
        Replace an existing output.
    **values
        Settings, which override those of the file: keys such as ``epochs=60``, ``members=1`` or ``seed=1``, or whole
        sections such as ``split={"group": "cluster"}``.

    Raises
    ------
    ConfigError
        If a setting is unknown or invalid.
    SpectrumError
        If the spectra cannot be brought to one grid.
    StoreError
        If a store cannot be read, or the output exists or cannot be written.

    Examples
    --------
    >>> import xanes_hpc as xh
    >>> features = xh.featurise("complexes.h5", preset="xanesnet-49")
    >>> model = xh.train(features, epochs=2, members=1, gaussian_process=False)
    >>> model.predict("complexes.h5").mean.shape
    (24, 201)
    """
    check_arguments(train, locals())
    from xanes_hpc.model_selection.cross_validation import FINAL, cross_validate
    from xanes_hpc.training.inputs import open_spectra
    from xanes_hpc.training.stages import Observer
    from xanes_hpc.training.train import train as run_training

    plain = {name: value.item() if isinstance(value, np.generic) else value for name, value in values.items()}
    given = settings(plain)
    run = load_run(None if config is None else Path(config), None, given, architecture_of)
    folds = bool(run.split.folds) and run.split.fold is None
    with ExitStack() as stack:
        stores = _opened(FeatureStore, features, "features", stack)
        sources = _opened(StructureStore, spectra, "spectra", stack)
        if not stores:
            raise StoreError("`features`: expected at least one feature store, received none")
        pairs = open_spectra(stores, sources)
        augmented = _opened(FeatureStore, augment, "augment", stack)
        observer = Observer() if progress is None else Observer(progress)
        target = Path(output) if output is not None else Path(tempfile.mkdtemp(prefix="xanes-hpc-")) / "trained.model"
        try:
            if folds:
                cross_validate(run, pairs, target, overwrite, resume, augmented, lambda fold: observer)
                final = target / FINAL
            else:
                run_training(run, pairs, target, overwrite, resume, augmented, observer)
                final = target
        except BaseException:
            if output is None:
                shutil.rmtree(target.parent, ignore_errors=True)
            raise
    if folds and output is None:
        final = final.rename(target.with_name(FINAL))
        shutil.rmtree(target)
    return Predictor(Model.open(final), temporary=output is None)


def _opened(kind: type[AnyStore], values: Any, name: str, stack: ExitStack) -> list[AnyStore]:
    """Return the stores of a parameter that takes one or several; those opened here are closed with the stack."""
    values = listed(values)
    several = [] if values is None else values if isinstance(values, (list, tuple)) else [values]
    stores = [store_of(kind, one, name) for one in several]
    for store, given in zip(stores, several, strict=True):
        if store is not given:
            stack.enter_context(store)
    return stores
