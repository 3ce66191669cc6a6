"""Write the figures of every epoch for TensorBoard."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from xanes_hpc.errors import StoreError
from xanes_hpc.runtime.outputs import explain
from xanes_hpc.training.epochs import Epoch


@contextmanager
def tensorboard_writer(folder: Path | None) -> Iterator[Callable[[Epoch], None]]:
    """Open event files in ``folder`` and yield a function that writes an epoch's figures; a no-op if it is None.

    Raises
    ------
    StoreError
        If the folder cannot be made.
    """
    if folder is None:
        yield lambda epoch: None
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{folder}: cannot make this folder for TensorBoard: {explain(error)}") from None
    writers: dict[str, Any] = {}

    def write(epoch: Epoch) -> None:
        from xanes_hpc.models.backend import tf

        # tf.summary.scalar would write the same, but needs TensorBoard to be installed
        metadata = tf.compat.v1.SummaryMetadata(data_class="DATA_CLASS_SCALAR")
        metadata.plugin_data.plugin_name = "scalars"
        if epoch.stage not in writers:
            writers[epoch.stage] = tf.summary.create_file_writer(str(folder / epoch.stage))
        with writers[epoch.stage].as_default(step=epoch.epoch):
            for name in ("loss", "validation_error", "learning_rate"):
                value = getattr(epoch, name)
                if np.isfinite(value):
                    tf.summary.write(name, tf.constant(value, tf.float32), metadata=metadata)
        writers[epoch.stage].flush()

    try:
        yield write
    finally:
        for writer in writers.values():
            writer.close()
