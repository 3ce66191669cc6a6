"""The sections of a training run's configuration: frozen dataclasses, which ``config.files`` reads from TOML.

The values here are the defaults.

    features = "tmqm.features.h5"
    output = "tmqm.model"

    [target]
    kind = "xanes"

    [model]
    name = "residual"
    width = 256
"""

from dataclasses import asdict, dataclass, field
from typing import Any

from xanes_hpc.spectra.recipe import BroadeningConfig, NormalisationConfig, Recipe

DEFAULT_ARCHITECTURE = "residual"
EPOCHS, BATCH_SIZE = 60, 128
"""Largest number of epochs, and number of sites in a batch, unless given."""
PLATEAU_EPOCHS = 10
"""Epochs without a better validation error after which the plateau schedule lowers the learning rate."""


@dataclass(frozen=True)
class TargetConfig:
    """The spectra that a model predicts.

    Attributes
    ----------
    kind
        Kind of spectrum, ``xanes`` or ``xes``.
    treatment
        Name (or full text) of the treatment of the spectra to use; required if sites have spectra of several.
    origin
        ``e0`` for energies relative to each site's edge energy, ``absolute`` for absolute ones.
    start, stop, step
        The grid in eV; by default the range that nearly all spectra cover, with their step near the edge.
    below, above
        ``first value`` and ``last value`` pad spectra that begin above the grid's first energy, or end below its last,
        with their own first or last value; by default such spectra are left out.
    aligned
        Whether the Gaussian process also learns the shift of each spectrum's edge and its shape once moved back, and
        averages the spectra from both with the plain ones, with the best share on the validation set; by default, if
        there is a Gaussian process.
    most_left_out
        Largest fraction of spectra that may be left out because they do not cover the grid; with more, training does
        not start.
    """

    kind: str = "xanes"
    treatment: str | None = None
    origin: str = "e0"
    start: float | None = None
    stop: float | None = None
    step: float | None = None
    below: str | None = None
    above: str | None = None
    aligned: bool | None = None
    most_left_out: float = 0.5


@dataclass(frozen=True)
class SplitConfig:
    """The split of sites into training, validation, calibration and test set; groups stay together.

    Attributes
    ----------
    group
        ``formula``, ``reduced-formula`` (of the compound, whatever the cell), ``structure``, ``code`` (the CSD code at
        the start of a name), ``cluster`` (sites with similar features), or ``none``.
    validation
        Fraction of sites in the validation set, which determines the number of epochs.
    calibration
        Fraction in the calibration set, which calibrates the uncertainty.
    test
        Fraction in the test set, which is never used for training or calibration.
    folds, fold
        Number of folds for cross-validation, and the fold (from 0) that is the test set of a single run, instead of
        ``test``; by default each fold is the test set of a model of its own.
    file
        Table with the set of each site, instead of all of the above.
    rest
        Set of the sites that the table leaves out: ``train``, ``validation``, ``calibration``, ``test``, or ``none``.
    """

    group: str = "formula"
    validation: float = 0.05
    calibration: float = 0.05
    test: float = 0.05
    folds: int | None = None
    fold: int | None = None
    file: str | None = None
    rest: str | None = None


@dataclass(frozen=True)
class ModelConfig:
    """The name of the architecture and its parameters (see its file in ``xanes_hpc/models/architectures``)."""

    name: str = DEFAULT_ARCHITECTURE
    parameters: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class TrainingConfig:
    """Settings for training the networks.

    Attributes
    ----------
    epochs, batch_size
        By default ``EPOCHS`` and ``BATCH_SIZE``, and 140 and 16 for networks on graphs. The batch size is the global
        one, divided among devices; a smaller training set is one batch.
    seed
        Seed of the split, the weights, the order of sites and the dropout.
    learning_rate, weight_decay
        Parameters of AdamW; the rate is 2e-3 by default, a tenth of that if training starts from a model.
    schedule
        Learning-rate schedule. ``cosine``: the rate falls to zero along a half cosine; ``plateau``: it falls to a third
        whenever the validation error has not improved for ``PLATEAU_EPOCHS``; ``constant``.
    patience
        Epochs without a better validation error after which training stops; by default it does not stop early.
    refit
        Whether networks are retrained on the training and validation sets together, for the best number of epochs; by
        default, if there is no Gaussian process, which is fitted to all sites anyway.
    loss
        ``mae``, ``mse`` or ``huber``, of the scaled spectra.
    first_derivative, second_derivative
        Weights of the same loss for the derivatives of the spectra, which describe the line shape.
    target_scale
        ``global``: one number scales all energies; ``energy``: each energy is scaled by its own spread.
    positive
        Whether predictions are kept positive; by default if the spectra of the training set are.
    feature_transform
        ``sqrt`` or ``none``, applied to features before they are standardised.
    feature_noise
        Standard deviation of the noise added to standardised features in every step.
    gaussian_process
        Whether to average in a Gaussian process, with the best share on the validation set; by default True
        unless training starts from a model.
    precision
        ``float32``, or ``mixed_bfloat16`` or ``mixed_float16`` (products in 16 bits, weights in 32).
    gpus
        Number of GPUs, 0 for the CPU; by default one, or the CPU if there is none.
    devices
        Instead of ``gpus``, ``cpu:N`` to use the CPU as N devices.
    shards
        Number of shards of the training set; every batch has equally many sites of each. Machines that train together
        read one shard each, or several. By default one per machine.
    checkpoint_minutes
        Minutes since the last checkpoint after which an epoch ends with a new one.
    """

    epochs: int | None = None
    batch_size: int | None = None
    seed: int = 0
    learning_rate: float | None = None
    weight_decay: float = 1e-4
    schedule: str = "cosine"
    patience: int | None = None
    refit: bool | None = None
    loss: str = "mae"
    first_derivative: float = 0.0
    second_derivative: float = 0.0
    target_scale: str = "global"
    positive: bool | None = None
    feature_transform: str = "sqrt"
    feature_noise: float = 0.0
    gaussian_process: bool | None = None
    precision: str = "float32"
    gpus: int | None = None
    devices: str | None = None
    shards: int | None = None
    checkpoint_minutes: float = 1.0

    @property
    def most_epochs(self) -> int:
        """Largest number of epochs."""
        return self.epochs or EPOCHS

    @property
    def sites_at_once(self) -> int:
        """Number of sites in a batch."""
        return self.batch_size or BATCH_SIZE


@dataclass(frozen=True)
class UncertaintyConfig:
    """Settings for the uncertainty of predictions.

    Attributes
    ----------
    method
        ``dropout``: spread of Monte Carlo dropout draws over all members; ``ensemble``: spread of members that differ
        in initial weights and dropout; ``bootstrap``: as ``ensemble``, with members trained on resampled sites.
    members
        Number of networks, which are averaged; by default 1 with ``dropout`` beside the Gaussian process or on graphs,
        3 with ``dropout`` alone, 5 otherwise.
    """

    method: str = "dropout"
    members: int | None = None

    @property
    def n_members(self) -> int:
        """Number of networks, which are averaged."""
        return self.members or (3 if self.method == "dropout" else 5)


@dataclass(frozen=True)
class TransferConfig:
    """Transfer learning: training starts from a trained model.

    Attributes
    ----------
    model
        Folder of the model.
    freeze
        Number of layers, from the first, whose weights are not trained.
    """

    model: str | None = None
    freeze: int = 0


@dataclass(frozen=True)
class RunConfig:
    """A training run.

    Attributes
    ----------
    features
        Feature stores to train on.
    spectra
        Structure stores whose spectra are the targets, one per feature store; by default the stores from which the
        features were made.
    augmented
        Feature stores of the same sites in rattled structures: every epoch takes a site's features from one of them or
        from the original store.
    output
        Model folder to write.
    """

    features: list[str] = field(default_factory=list)
    spectra: list[str] = field(default_factory=list)
    augmented: list[str] = field(default_factory=list)
    output: str | None = None
    target: TargetConfig = field(default_factory=TargetConfig)
    broadening: BroadeningConfig = field(default_factory=BroadeningConfig)
    normalisation: NormalisationConfig = field(default_factory=NormalisationConfig)
    split: SplitConfig = field(default_factory=SplitConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    uncertainty: UncertaintyConfig = field(default_factory=UncertaintyConfig)
    transfer: TransferConfig = field(default_factory=TransferConfig)

    @property
    def recipe(self) -> Recipe:
        """The recipe by which spectra become targets."""
        return Recipe(self.broadening, self.normalisation)

    def as_values(self) -> dict[str, Any]:
        """Return the values as plain nested dictionaries, by section."""
        return asdict(self)
