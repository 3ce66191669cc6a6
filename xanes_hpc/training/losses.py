"""Losses of predicted spectra, in units of the scaled target."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from xanes_hpc.config.sections import TrainingConfig
from xanes_hpc.models.scaling import Scalers

HUBER = 0.1
"""Where the Huber loss turns from a parabola into a line."""

LEAK = 0.1
"""What an output comes back by that was carried to where the spectrum it stands for is flat, and too low."""

_LOSSES: dict[str, Callable[[Any], Any]] = {
    "mae": tf.abs,
    "mse": tf.square,
    "huber": lambda d: tf.where(tf.abs(d) < HUBER, tf.square(d) / (2.0 * HUBER), tf.abs(d) - HUBER / 2.0),
}


def spectrum_loss(config: TrainingConfig, scalers: Scalers, step_ev: float) -> Callable[[Any, Any, Any], Any]:
    """The loss of each site, (batch,), from a network's output and scaled targets (batch, n_energies).

    The third argument are the absorbers (batch,). With line-shape terms the same loss of the first and second
    derivatives of the difference, per eV, is added. A positive target's difference is of the spectra that the output
    stands for; where those are too low and flat, the gradient is ``LEAK``, for the output would stay there for ever.
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
