"""The configuration of a training run: frozen dataclasses, read from TOML by ``config_files``.

Flags beat ``--config run.toml``, which beats ``xanes-hpc.toml`` in the working folder, which beats the defaults here.

    features = "tmqm.features.h5"
    output = "tmqm.model"

    [target]
    kind = "xanes"

    [model]
    name = "residual"
    width = 512
"""

from dataclasses import asdict, dataclass, field
from typing import Any

from xanes_hpc.spectra.recipe import BroadeningConfig, NormalisationConfig, Recipe

DEFAULT_ARCHITECTURE = "residual"
PLATEAU_EPOCHS = 10
"""Epochs without a better validation error after which the plateau schedule lowers the rate."""


@dataclass(frozen=True)
class TargetConfig:
    """What the model predicts.

    Attributes
    ----------
    kind
        Kind of spectrum: ``xanes``, ``xes``.
    treatment
        Name (or full text) of the treatment the spectra must have; needed where a site has spectra of several.
    origin
        ``e0``: energies relative to each site's edge energy; ``absolute``: as they are.
    start, stop, step
        The grid in eV; by default the range and step that the spectra share.
    """

    kind: str = "xanes"
    treatment: str | None = None
    origin: str = "e0"
    start: float | None = None
    stop: float | None = None
    step: float | None = None


@dataclass(frozen=True)
class SplitConfig:
    """How sites are shared out; sites of one group stay together.

    Attributes
    ----------
    group
        ``formula``, ``code`` (the CSD code that a name begins with), ``cluster`` (sites whose
        features are alike), or ``none``.
    validation
        Fraction that chooses the number of epochs.
    calibration
        Fraction that calibrates the uncertainty.
    test
        Fraction held out from all of it.
    folds, fold
        With ``folds``, groups are dealt out to so many folds, and fold ``fold`` (from 0) is the test part.
    """

    group: str = "formula"
    validation: float = 0.05
    calibration: float = 0.05
    test: float = 0.05
    folds: int | None = None
    fold: int = 0


@dataclass(frozen=True)
class ModelConfig:
    """The architecture by name, and its own parameters (see its file in ``xanes_hpc/models``)."""

    name: str = DEFAULT_ARCHITECTURE
    parameters: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class TrainingConfig:
    """How the networks are trained.

    Attributes
    ----------
    epochs, batch_size, seed
        ``batch_size`` is the global one, shared out over devices; a smaller training set is one batch.
    learning_rate, weight_decay
        Of AdamW; the rate is 2e-3 by default, a tenth of that where training starts from a model.
    schedule
        ``cosine``: the rate falls to zero along a half cosine; ``plateau``: it falls to a third whenever the validation
        error has not improved for ``PLATEAU_EPOCHS``; ``constant``.
    patience
        Epochs without a better validation error after which training stops; by default it does not.
    refit
        Whether networks are trained again, on the training and validation parts, for as many epochs as were best.
    loss
        ``mae``, ``mse`` or ``huber``, of the scaled spectra.
    first_derivative, second_derivative
        Weights of the same loss of the spectra's derivatives: the line shape.
    target_scale
        ``global``: one number scales all energies; ``energy``: each energy is scaled by its own spread.
    positive
        Whether spectra are kept positive; by default where those of the training part are.
    feature_transform
        ``sqrt`` or ``none``, of the features before they are standardised.
    feature_noise
        Standard deviation of the noise added to standardised features in every step.
    kernel_ridge
        Whether a kernel ridge regression is averaged in, with the share that is best on the validation part; by default
        unless training starts from a model.
    precision
        ``float32``, or ``mixed_bfloat16`` or ``mixed_float16``: products in 16 bits, weights in 32.
    gpus
        Number of GPUs, 0 for the CPU; by default one, or the CPU where there is none.
    devices
        Instead of ``gpus``, ``cpu:N``: the processor as N devices.
    shards
        In how many shards training sites lie, each of which gives an equal share of every batch; machines that train
        together read a shard each, or several. By default one for each machine.
    checkpoint_minutes
        A checkpoint is written after an epoch once so many minutes have passed since the last.
    """

    epochs: int = 60
    batch_size: int = 128
    seed: int = 0
    learning_rate: float | None = None
    weight_decay: float = 1e-4
    schedule: str = "cosine"
    patience: int | None = None
    refit: bool = True
    loss: str = "mae"
    first_derivative: float = 0.0
    second_derivative: float = 0.0
    target_scale: str = "global"
    positive: bool | None = None
    feature_transform: str = "sqrt"
    feature_noise: float = 0.0
    kernel_ridge: bool | None = None
    precision: str = "float32"
    gpus: int | None = None
    devices: str | None = None
    shards: int | None = None
    checkpoint_minutes: float = 1.0


@dataclass(frozen=True)
class UncertaintyConfig:
    """Where the uncertainty of a prediction comes from.

    Attributes
    ----------
    method
        ``dropout``: the spread of Monte Carlo draws, of all members; ``ensemble``: the spread of members that differ in
        their initial weights and dropout; ``bootstrap``: of members trained on resampled sites besides.
    members
        Networks that are averaged; by default 3 with ``dropout``, 5 otherwise.
    """

    method: str = "dropout"
    members: int | None = None

    @property
    def n_members(self) -> int:
        """Networks that are averaged."""
        return self.members or (3 if self.method == "dropout" else 5)


@dataclass(frozen=True)
class TransferConfig:
    """Starting from a trained model instead of from nothing.

    Attributes
    ----------
    model
        Its folder.
    freeze
        The number of layers, from the first, whose weights are kept as they are.
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
        Structure stores whose spectra are the targets, one for each feature store, where they are not those that the
        feature stores name.
    augmented
        Feature stores of the same sites, rattled: in every epoch a site's features are taken from one of them or from
        the store itself.
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
        """What is done to spectra before they become targets."""
        return Recipe(self.broadening, self.normalisation)

    def as_values(self) -> dict[str, Any]:
        """Plain values, nested by section."""
        return asdict(self)
