"""Arguments of the front door: checked once, against their annotations."""

import inspect
from pathlib import Path

import numpy as np
import pytest

import xanes_hpc as xh
from xanes_hpc.api.arguments import annotations_of
from xanes_hpc.errors import ConfigError, SpectrumError

FUNCTIONS = [getattr(xh, name) for name in xh.__all__ if inspect.isfunction(getattr(xh, name))]
METHODS = [
    xh.Predictor.predict, xh.Predictor.save, xh.Spectra.open, xh.Spectra.export, xh.Spectra.to_xdi, xh.Spectra.plot,
    xh.Spectra.quantiles,
]  # fmt: skip
ENERGIES = np.arange(8900.0, 9100.0)
MU = 0.5 + np.arctan((ENERGIES - 8979.0) / 2.0) / np.pi


@pytest.mark.parametrize("function", [*FUNCTIONS, *METHODS], ids=lambda function: function.__qualname__)
def test_every_public_function_checks_its_arguments(function):
    name = function.__name__ if function is not xh.Spectra.open.__func__ else "open"
    assert f".{name}, locals())" in inspect.getsource(function) or f"({name}, locals())" in inspect.getsource(function)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: xh.import_structures("a.xyz", shift="5"), "`shift`: expected a number, received '5'"),
        (lambda: xh.import_structures("a.xyz", treatment={"name": "x"}), "`treatment`: expected text, received {"),
        (lambda: xh.import_structures("a.xyz", sample=2.5), "`sample`: expected a whole number, received 2.5"),
        (lambda: xh.import_structures("a.xyz", strict="no"), "`strict`: expected True or False, received 'no'"),
        (lambda: xh.import_structures("a.xyz", spectra=[1]), r"`spectra`: expected a path or a list with a path each"),
        (lambda: xh.read_spectrum("a.dat", columns=3), "`columns`: expected text or a list with .* received 3"),
        (lambda: xh.read_spectrum(None), "`file`: expected a path, received None"),
        (lambda: xh.read_spectrum(b"a.dat"), "`file`: expected a path, received b'a.dat'"),
        (lambda: xh.match((ENERGIES, MU), "a.h5", range=(1,)), r"`range`: expected 2 values .* received \(1,\)"),
        (lambda: xh.match((ENERGIES, MU), "a.h5", max_shift="3"), "`max_shift`: expected a number, received '3'"),
        (lambda: xh.normalise((ENERGIES, MU), pre=-50), "`pre`: expected 2 values"),
        (lambda: xh.predict("a.h5", "a.model", drws=3), "unknown option 'drws'; did you mean 'draws'"),
        (lambda: xh.load_descriptor(5), "`which`: expected a preset"),
        (lambda: xh.fit_broadening("a.h5", (ENERGIES, MU), widths=3), "`widths`: expected a dictionary with a number"),
        (lambda: xh.load_model(5), "`path`: expected a path, received 5"),
        (lambda: xh.featurise("a.xyz", seed="1"), "`seed`: expected a whole number"),
        (lambda: xh.Spectra.open(None), "`path`: expected a path"),
    ],
)
def test_an_argument_of_another_type(call, words):
    with pytest.raises(ConfigError, match=words):
        call()


def test_numbers_of_numpy_and_iterators_fit():
    found = xh.normalise((ENERGIES, MU), e0=np.float32(8979), order=np.int64(1), pre=[-60.0, -20.0])
    assert found.e0 == 8979
    with pytest.raises(xh.errors.FormatError, match="no such file or folder"):
        xh.import_structures("nothing.xyz", spectra=Path().glob("*.none"))


def test_what_others_check_is_left_to_them():
    assert "sites" not in annotations_of(xh.import_structures)
    assert "measured" not in annotations_of(xh.normalise)


@pytest.mark.parametrize(("name", "value"), [("layout", "zz"), ("sample", -1), ("max_atoms", 0)])
def test_impossible_choices_of_an_import(tmp_path, name, value):
    (tmp_path / "a.xyz").write_text("1\n\nFe 0 0 0\n")
    with pytest.raises(xh.errors.FormatError, match=f"`{name}`"):
        xh.import_structures(tmp_path / "a.xyz", **{name: value})


def test_columns_as_a_list(tmp_path):
    np.savetxt(tmp_path / "a.dat", np.column_stack([ENERGIES, np.ones_like(MU), np.exp(-MU)]), header="energy i0 it")
    found = xh.read_spectrum(tmp_path / "a.dat", columns=[1, 2, 3], mu="transmission")
    np.testing.assert_allclose(found.intensities, MU)


@pytest.mark.parametrize(
    ("measured", "words"),
    [
        ((ENERGIES, MU[:-1]), r"received shapes \(200,\) and \(199,\)"),
        ((np.where(ENERGIES == 8940, np.nan, ENERGIES), MU), "expected finite numbers, received nan .* at point 40"),
        ((ENERGIES, np.ma.masked_equal(np.round(ENERGIES), 8940)), "expected finite numbers, received .* at point 40"),
        ((ENERGIES, MU + 1j), "expected energies and intensities as numbers"),
        ((["a"], ["b"]), "expected energies and intensities as numbers"),
    ],
)
def test_a_measured_spectrum_in_memory_that_cannot_be_used(measured, words):
    with pytest.raises(SpectrumError, match=words):
        xh.normalise(measured)


def test_a_measured_spectrum_in_memory_in_descending_order():
    found, plain = xh.normalise((ENERGIES[::-1], MU[::-1])), xh.normalise(np.array([ENERGIES, MU]))
    np.testing.assert_array_equal(found.spectrum.intensities, plain.spectrum.intensities)
