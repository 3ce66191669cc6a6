"""Preloaded by Dask workers in tests: parts of a few rows, and a pause before each is made."""

import os
import time

from xanes_hpc.jobs import dask
from xanes_hpc.prediction import predict
from xanes_hpc.stores import features as feature_stores
from xanes_hpc.stores import part_files
from xanes_hpc.stores import predictions as prediction_stores


def use(set_to=setattr):
    """Set the sizes of chunks and parts; ``set_to`` may be ``monkeypatch.setattr``."""
    set_to(feature_stores, "CHUNK_BYTES", 16 * 49 * 8)
    set_to(part_files, "PART_BYTES", 2 * 16 * 49 * 8)
    set_to(prediction_stores, "CHUNK_BYTES", 8 * 201 * 4)
    set_to(predict, "ROWS_AT_ONCE", 5)


def dask_setup(worker):
    """Prepare a worker; Dask calls this function when it preloads the module."""
    use()
    opened = dask._opened

    def slowly(*words):
        time.sleep(float(os.environ.get("XANES_HPC_TEST_REST", "0")))
        return opened(*words)

    slowly.cache_clear = opened.cache_clear
    dask._opened = slowly
