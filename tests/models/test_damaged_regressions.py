"""A model whose regression is missing or damaged is refused with one line."""

import re
import shutil

import h5py
import numpy as np
import pytest
from support.places import ARCHIVES

from xanes_hpc.errors import StoreError
from xanes_hpc.models.folder import REGRESSION
from xanes_hpc.models.model import Model

MODEL = ARCHIVES / "model-3"
SHAPE = (60, 81)
EXPECTED = "damaged: expected finite numbers of shapes ((60,), (60, 81))"
NOT_ERRORS = "errors: expected non-negative finite numbers of shape (60, 81)"
RATE = "expected a rate between 0 and 1,000,000, received"


def replaced(name, values):
    """Return a function that replaces a dataset."""

    def change(file):
        del file[name]
        file[name] = values

    return change


def attribute(name, value):
    return lambda file: file.attrs.__setitem__(name, value)


DAMAGED = {
    "no coefficients": (lambda file: file.pop("coefficients"), "damaged: "),
    "coefficients too few": (replaced("coefficients", np.zeros((60, 80), "f4")), EXPECTED),
    "coefficients nan": (replaced("coefficients", np.full(SHAPE, np.nan, "f4")), EXPECTED),
    "coefficients text": (replaced("coefficients", np.full(SHAPE, b"a")), EXPECTED),
    "absorbers too few": (replaced("absorbers", np.zeros(59, "i4")), EXPECTED),
    "absorbers text": (replaced("absorbers", np.full(60, b"a")), EXPECTED),
    "errors too few": (replaced("errors", np.zeros((59, 81), "f4")), NOT_ERRORS),
    "errors negative": (replaced("errors", np.full(SHAPE, -1.0, "f4")), NOT_ERRORS),
    "errors infinite": (replaced("errors", np.full(SHAPE, np.inf, "f4")), NOT_ERRORS),
    "errors complex": (replaced("errors", np.zeros(SHAPE, "c8")), NOT_ERRORS),
    "errors text": (replaced("errors", np.full(SHAPE, b"a")), NOT_ERRORS),
    "rate zero": (attribute("rate", 0.0), f"{RATE} 0.0"),
    "rate infinite": (attribute("rate", np.inf), f"{RATE} inf"),
    "rate huge": (attribute("rate", 1e38), f"{RATE} 1e+38"),
    "share above one": (attribute("share", 1.5), "expected a share from 0 to 1, received 1.5"),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_a_damaged_regression_is_refused(tmp_path, case):
    damage, message = DAMAGED[case]
    shutil.copytree(MODEL, tmp_path / "model")
    with h5py.File(tmp_path / "model" / REGRESSION, "r+") as file:
        damage(file)
    with pytest.raises(StoreError, match=rf"^[^\n]*regression\.h5: [^\n]*{re.escape(message)}[^\n]*$"):
        _ = Model.open(tmp_path / "model").regression


def test_a_missing_regression_is_named(tmp_path):
    shutil.copytree(MODEL, tmp_path / "model")
    (tmp_path / "model" / REGRESSION).unlink()
    with pytest.raises(StoreError, match=r"regression\.h5: no such file: the model is incomplete"):
        _ = Model.open(tmp_path / "model").regression
