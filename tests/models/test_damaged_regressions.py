"""A model folder whose regression is missing or damaged is refused in one line, and nothing is predicted with it."""

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


def replaced(name, values):
    """With another dataset in place of one."""

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
    "errors too few": (replaced("errors", np.zeros((59, 81), "f4")), "errors: expected numbers of at least 0"),
    "errors negative": (replaced("errors", np.full(SHAPE, -1.0, "f4")), "errors: expected numbers of at least 0"),
    "errors infinite": (replaced("errors", np.full(SHAPE, np.inf, "f4")), "errors: expected numbers of at least 0"),
    "errors complex": (replaced("errors", np.zeros(SHAPE, "c8")), "errors: expected numbers of at least 0"),
    "errors text": (replaced("errors", np.full(SHAPE, b"a")), "errors: expected numbers of at least 0"),
    "rate zero": (attribute("rate", 0.0), "expected rate above 0 and share from 0 to 1, received 0.0"),
    "rate infinite": (attribute("rate", np.inf), "expected rate above 0 and share from 0 to 1, received inf"),
    "rate huge": (attribute("rate", 1e38), "expected rate above 0 and share from 0 to 1, received 1e+38"),
    "share above one": (attribute("share", 1.5), "expected rate above 0 and share from 0 to 1"),
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
    with pytest.raises(StoreError, match=r"regression\.h5: no such file: the model is not whole"):
        _ = Model.open(tmp_path / "model").regression
