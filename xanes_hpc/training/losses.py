"""Losses of predicted spectra, in units of the scaled target."""

from collections.abc import Callable
from typing import Any

from xanes_hpc.config.sections import TrainingConfig
from xanes_hpc.models.backend import tf
from xanes_hpc.models.scaling import Scalers

HUBER = 0.1
"""Difference at which the Huber loss changes from a parabola to a line."""

LEAK = 0.1
"""Gradient that brings an output back from where the softplus is flat and the spectrum too low."""

_LOSSES: dict[str, Callable[[Any], Any]] = {
    "mae": tf.abs,
    "mse": tf.square,
    "huber": lambda d: tf.where(tf.abs(d) < HUBER, tf.square(d) / (2.0 * HUBER), tf.abs(d) - HUBER / 2.0),
}


def spectrum_loss(config: TrainingConfig, scalers: Scalers, step_ev: float) -> Callable[[Any, Any, Any], Any]:
    """Return a function of a network's output, scaled targets (batch, n_energies) and absorbers (batch,).

    It returns the loss of each site, (batch,). Line-shape terms add the same loss of the difference's first and second
    derivatives per eV. For positive spectra the difference is taken after the softplus; where that is flat and too low,
    the gradient is ``LEAK`` instead of zero, because the output would otherwise stay there forever.
    """
    function = _LOSSES[config.loss]
    mean, scale = (tf.constant(a, tf.float32) for a in (scalers.target_mean, scalers.target_scale))
    softness = None if scalers.softness is None else tf.constant(scalers.softness, tf.float32)

    def per_site(output: Any, y: Any, absorbers: Any) -> Any:
        if softness is not None:
            own_mean, own_scale, soft = (tf.gather(a, absorbers) for a in (mean, scale, softness))
            z = (output * own_scale + own_mean) / soft
            positive = (soft * tf.nn.softplus(z) - own_mean) / own_scale
            flat = tf.where(positive < y, 1.0 - tf.sigmoid(z), 0.0)
            output = positive + LEAK * tf.stop_gradient(flat) * (output - tf.stop_gradient(output))
        difference = output - y
        loss = tf.reduce_mean(function(difference), axis=1)
        for weight in (config.first_derivative, config.second_derivative):
            difference = (difference[:, 1:] - difference[:, :-1]) / step_ev
            if weight:
                loss += weight * tf.reduce_mean(function(difference), axis=1)
        return loss

    return per_site
