"""Start from a trained model: move what it knows to the new model's absorbers, energies and kind of spectra.

Spectra of the new kind are related to those of the trained model by a shift, a broadening and a scale, which are fitted
to the new training sites (``correspondence``). The networks' last layers and the coefficients of the Gaussian process
are moved along, so that training starts from the trained model's predictions as they would be among the new spectra.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from ase.data import atomic_numbers

from xanes_hpc.data.datasets import SiteSet, iterate, iterate_inputs
from xanes_hpc.errors import ModelError
from xanes_hpc.models.architectures import Layer
from xanes_hpc.models.gaussian_process import GaussianProcess
from xanes_hpc.models.kernels import Matern
from xanes_hpc.models.layers import ABSORBER, takes_graphs, weight_shapes, wired
from xanes_hpc.models.model import Model
from xanes_hpc.models.numpy_network import Member
from xanes_hpc.models.scaling import Absorbers, Array, Scalers
from xanes_hpc.spectra.grid import Grid
from xanes_hpc.stores.features import FeatureStore
from xanes_hpc.training.correspondence import Correspondence, fitted
from xanes_hpc.training.gaussian_process_update import Earlier
from xanes_hpc.training.kernel_flow import first_coupling

Weights = dict[str, tuple[Array, Array]]
Kinds = Sequence[tuple[str, str]]
"""Elements (symbols) and edges."""

MOST_COMPARED = 500
"""New training sites that the correspondence is fitted to; a seeded sample if there are more."""
OWN = 2.0
"""The mean residual of an element that the trained model does not know counts as that of so many sites fewer."""


class Start:
    """A trained model as the starting point of a new one.

    Parameters
    ----------
    model
        The trained model.
    layers
        The new model's network.
    features
        The new model's features.
    absorbers
        Elements and edges of the new model.
    grid
        The new model's energies.
    frozen
        Names of the layers that keep the trained weights.

    Raises
    ------
    ModelError
        If descriptors or graphs differ, no weights of the trained model match, or a frozen layer has none.
    """

    def __init__(
        self, model: Model, layers: Sequence[Layer], features: FeatureStore, absorbers: Kinds, grid: Grid,
        frozen: Sequence[str] = (),
    ) -> None:  # fmt: skip
        received = features.attribute("descriptor_hash")
        if model.descriptor_hash != received:
            raise ModelError(
                f"{model.path}: expected features of descriptor {model.descriptor_hash}, received {received}; "
                "featurise with the model's descriptor"
            )
        if takes_graphs(layers) and model.graph is not None and model.graph != features.graph:
            raise ModelError(
                f"{model.path}: expected graphs with {model.graph}, received {features.graph}; featurise with the "
                "model's settings"
            )
        self.model, self.layers, self.absorbers, self.grid = model, layers, absorbers, grid
        self._wanted = weight_shapes(layers, features.n_features, len(absorbers))
        taken = self.weights(0, self.interpolation)
        if not taken:
            raise ModelError(f"{model.path}: no layer matches the new network; use this model's architecture")
        for name in frozen:
            if name not in taken:
                raise ModelError(
                    f"`freeze` {len(frozen)}: {model.path} has no weights for layer {name}; freeze fewer layers, or "
                    "use its architecture"
                )

    @property
    def taken_over(self) -> tuple[int, int]:
        """Number of layers that start with the trained model's weights, and number of all layers with weights."""
        return len(self.weights(0, self.interpolation)), len(self._wanted)

    @property
    def sites(self) -> list[tuple[str, str]]:
        """Names and formulas of the sites that the trained model was trained on."""
        return self.model.training_sites.trained_on

    @property
    def interpolation(self) -> npt.NDArray[np.float64] | None:
        """The matrix from the trained model's energies to the new ones; None between absolute and relative ones."""
        if not self._comparable:
            return None
        return Correspondence(0.0, 0.0, 1.0).matrix(self.model.grid[0], self.grid.energies)

    @property
    def _comparable(self) -> bool:
        return self.model.grid[1] == self.grid.origin

    def moved(self, sites: SiteSet, own: Scalers, seed: int) -> "Moved":
        """Return what the new model starts from, for the sites of its training set and the scalers fitted to them."""
        trained, model = self.model.members[0].scalers, self.model
        scalers = replace(
            own,
            feature_mean=trained.feature_mean,
            feature_scale=trained.feature_scale,
            transform=trained.transform,
        )
        nearest = model.absorbers(*self._numbers_and_edges)
        found = self._correspondence(sites.sample(MOST_COMPARED, seed), nearest) if self._comparable else None
        if found is None or not found.scale:
            return Moved(self, scalers, None, None, None)
        energies, _ = model.grid
        matrix = found.matrix(energies, self.grid.energies)
        known = list(model.trained_absorbers.values())
        typical = trained.target_scale[known].mean(axis=0)
        means, scales = trained.target_mean[nearest] @ matrix.T, trained.target_scale[nearest] @ matrix.T
        outputs = matrix * typical / (matrix @ typical)[:, None]
        means += self._unknown(sites, nearest, matrix)
        scalers = replace(scalers, target_mean=means, target_scale=scales)
        return Moved(self, scalers, found, outputs, self._earlier(outputs))

    @property
    def _numbers_and_edges(self) -> tuple[npt.NDArray[np.int64], list[str]]:
        return np.array([atomic_numbers[symbol] for symbol, _ in self.absorbers]), [edge for _, edge in self.absorbers]

    def predictions(self, sites: SiteSet, nearest: Absorbers) -> npt.NDArray[np.float64]:
        """Return the trained model's spectra: those of its Gaussian process if it has one, else of its networks."""
        model, regression = self.model, self.model.regression
        if regression is not None:
            return np.concatenate([regression.spectra(x, nearest[own]) for x, own, _ in iterate(sites)])
        every = iterate_inputs(sites, takes_graphs(self.layers))
        return np.concatenate([
            np.mean([member.mean_network(x, nearest[own]) for member in model.members], axis=0) for x, own, _ in every
        ])  # fmt: skip

    def _correspondence(self, sites: SiteSet, nearest: Absorbers) -> Correspondence:
        spectra = np.concatenate([y for _, _, y in iterate(sites)]).astype(np.float64)
        return fitted(self.predictions(sites, nearest), spectra, self.model.grid[0], self.grid.energies)

    def _unknown(self, sites: SiteSet, nearest: Absorbers, matrix: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the mean residual of each absorber that the trained model does not know, (n_absorbers, n_energies)."""
        found = np.zeros((len(self.absorbers), len(matrix)))
        for number, absorber in enumerate(self.absorbers):
            own = replace(sites, chosen=sites.chosen & (sites.absorbers == number)).sample(MOST_COMPARED, 0)
            if absorber not in self.model.trained_absorbers and own.n_sites:
                spectra = np.concatenate([y for _, _, y in iterate(own)])
                residuals = spectra - self.predictions(own, nearest) @ matrix.T
                found[number] = residuals.sum(axis=0) / (own.n_sites + OWN)
        return found

    def _earlier(self, outputs: npt.NDArray[np.float64]) -> Earlier | None:
        """Return the trained model's Gaussian process among the new spectra, if it has one with a learned kernel."""
        regression = self.model.regression
        if regression is None or not isinstance(regression.kernel, Matern):
            return None
        n = outputs.shape[1]
        plain, rest = regression.coefficients[:, :n], regression.coefficients[:, n:]
        columns = [plain @ outputs.T]
        if regression.aligned is not None:
            columns += [rest[:, :1].astype(np.float64), rest[:, 1:] @ outputs.T]
        errors = None if regression.errors is None else (regression.errors @ outputs.T).astype(np.float32)
        return Earlier(
            regression.landmarks, regression.absorbers + len(self.absorbers),
            np.concatenate(columns, axis=1).astype(np.float32), errors, self._kernel(regression),
            regression.share, None if regression.aligned is None else regression.aligned.share,
        )  # fmt: skip

    def _kernel(self, regression: GaussianProcess) -> Matern:
        """Return the kernel between sites of the new absorbers, then of those of the trained model's kernel.

        The coupling c between elements falls off with the difference of their atomic numbers as the trained model's.
        The new absorbers N are predicted from the trained ones S by c, with weights W = c_NS c_SS^-1, so that their
        coupling to all absorbers of the trained kernel C, those of still earlier models among them, is W C_S.
        """
        assert isinstance(regression.kernel, Matern)
        known = [(atomic_numbers[symbol], edge) for symbol, edge in self.model.seen]
        numbers, edges = self._numbers_and_edges
        first = first_coupling([*zip(numbers.tolist(), edges, strict=True), *known])
        assert first is not None
        n_new, n_known = len(edges), len(known)
        trained = regression.kernel.coupling
        if trained is None:
            trained = np.eye(n_known)
        else:
            between = np.triu(first[n_new:, n_new:], 1)
            i, j = np.unravel_index(between.argmax(), between.shape)  # neighbours, if there are two elements
            if between[i, j]:
                first **= np.log(trained[i, j] / trained[i, i]) / np.log(between[i, j])
        weights = np.linalg.solve(first[n_new:, n_new:], first[n_new:, :n_new]).T
        rest = first[:n_new, :n_new] - weights @ first[n_new:, :n_new]
        across = weights @ trained[:n_known]
        coupled = np.block([[across[:, :n_known] @ weights.T + rest, across], [across.T, trained]])
        return replace(regression.kernel, coupling=np.maximum(coupled, 0.0))

    def weights(self, member: int, outputs: npt.NDArray[np.float64] | None) -> Weights:
        """Return a member's initial weights by layer, for the layers whose trained weights match or can be adapted.

        ``outputs``, (n_energies, n_trained_energies), takes scaled spectra from the trained model's energies to the new
        ones; without it, the last layer is not taken.
        """
        trained = self.model.members[member % len(self.model.members)]
        found = {}
        for layer, inputs in wired(self.layers):
            if layer.name in self._wanted and layer.name in trained.weights:
                own = self._adapted(layer, inputs, trained, outputs)
                if own is not None and tuple(w.shape for w in own) == self._wanted[layer.name]:
                    found[layer.name] = own
        return found

    def _adapted(
        self, layer: Layer, inputs: tuple[str, ...], trained: Member, outputs: npt.NDArray[np.float64] | None
    ) -> tuple[Array, Array] | None:
        """Return a layer's weights for the new absorbers or energies; None if they cannot be adapted."""
        kernel, bias = trained.weights[layer.name]
        if inputs == (ABSORBER,):
            if len(kernel) != len(self.model.seen):
                return None
            known = self.model.trained_absorbers
            typical = kernel[list(known.values())].mean(axis=0)
            rows = [kernel[known[a]] if a in known else typical for a in self.absorbers]
            return np.stack(rows), bias
        if layer is not self.layers[-1] or layer.kind != "dense":
            return kernel, bias
        if outputs is None or kernel.shape[-1] != outputs.shape[1]:
            return None
        return (kernel @ outputs.T).astype(np.float32), (outputs @ bias).astype(np.float32)


@dataclass(frozen=True)
class Moved:
    """A trained model among the spectra of a training set.

    Attributes
    ----------
    start
        The trained model.
    scalers
        The new model's scalers: of features as in the trained model, of targets as its targets are moved.
    correspondence
        How the new spectra follow from the trained model's; None if nothing is known of it.
    outputs : (n_energies, n_trained_energies), or None
        Takes scaled spectra of the trained model to those of the new one.
    earlier
        The trained model's Gaussian process among the new spectra, if it has one.
    """

    start: Start
    scalers: Scalers
    correspondence: Correspondence | None
    outputs: npt.NDArray[np.float64] | None
    earlier: Earlier | None

    def weights(self, member: int) -> Weights:
        """Return a member's initial weights by layer."""
        return self.start.weights(member, self.outputs)


def frozen_layers(layers: Sequence[Layer], n: int) -> list[str]:
    """Return the names of the first ``n`` layers that have weights.

    Raises
    ------
    ModelError
        If that leaves no layer to train.
    """
    names = [layer.name for layer in layers if layer.kind in ("dense", "convolution", "embedding")]
    if n >= len(names):
        raise ModelError(f"`freeze` {n}: the network has {len(names)} layers with weights; leave at least one to train")
    return names[:n]
