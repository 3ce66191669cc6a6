"""Merging scans: shifts, noise, drifts and glitches put in are found again; bad scans cost only themselves."""

import json
from dataclasses import replace

import numpy as np
import pytest
from support.builders import refused, run, write

from xanes_hpc.errors import ConfigError, SpectrumError
from xanes_hpc.experiment.energy import EnergyOptions
from xanes_hpc.experiment.measured import read_experiment
from xanes_hpc.experiment.merged import MergeOptions
from xanes_hpc.experiment.merging import merge
from xanes_hpc.experiment.normalised import NormaliseOptions
from xanes_hpc.spectra.spectrum import Spectrum

ENERGIES = np.concatenate(
    [np.arange(6992.0, 7092.0, 5.0), np.arange(7092.0, 7152.0, 0.5), np.arange(7152.0, 7392.0, 2.0)]
)
FE, MISSET = 7112.0, 0.8


def edge(energies, e0, width):
    return 0.5 + np.arctan((energies - e0) / width) / np.pi


def sample(energies):
    x = energies - 7123.0
    return edge(x, 0.0, 1.8) + 0.4 * np.exp(-0.5 * ((x - 7.0) / 3.0) ** 2) + 0.05 * np.sin(0.08 * x) * (x > 0)


def foil(energies):
    return 0.6 * edge(energies, FE, 0.9) + 0.4 * edge(energies, FE + 8.0, 1.5) + 0.1 * np.cos(0.1 * (energies - FE))


def scans(n, noise=0.003, seed=0, shifts=None, **others):
    """Return n scans of one sample: shifted, on drifting backgrounds, with noise; and their shifts."""
    rng = np.random.default_rng(seed)
    shifts = rng.uniform(-1.0, 1.0, n) if shifts is None else np.asarray(shifts)
    made = []
    for k, shift in enumerate(shifts.tolist()):
        true = ENERGIES - shift - MISSET
        drift = rng.uniform(-1.0, 1.0) + rng.uniform(-2e-4, 2e-4) * (ENERGIES - FE)
        mu = sample(true) + drift + noise * rng.standard_normal(true.size)
        reference = 1.3 * foil(true) + 0.002 * rng.standard_normal(true.size)
        given = {"element": 26, "edge": "K", "mode": "transmission", "reference": reference, **others}
        made.append((f"s{k}", Spectrum(ENERGIES, mu, source=f"s{k}", **given)))
    return made, shifts


def found_shifts(merged):
    return np.array([own.shift for own in merged.scans])


@pytest.mark.parametrize("align", ["reference", "sample", "best"])
def test_shifts_and_the_calibration_are_found_again(align):
    made, shifts = scans(6)
    merged = merge(made, MergeOptions(EnergyOptions("reference"), align))
    np.testing.assert_allclose(found_shifts(merged), shifts[0] - shifts, atol=0.08 if align == "sample" else 0.05)
    assert {own.aligned_by for own in merged.scans} == {"sample" if align == "sample" else "reference"}
    assert merged.calibration.shift == pytest.approx(-MISSET - shifts[0], abs=0.1)
    spectrum = merged.spectrum
    inside = (spectrum.energies > 7080) & (spectrum.energies < 7300)
    x = (spectrum.energies - FE) / 300
    terms = np.stack([spectrum.intensities, np.ones_like(x), x], axis=1)
    fitted = terms @ np.linalg.lstsq(terms, sample(spectrum.energies), rcond=None)[0]
    assert np.abs(fitted - sample(spectrum.energies))[inside].max() < 0.03
    assert spectrum.reference is not None


@pytest.mark.parametrize("n", [2, 3, 10, 30])
def test_the_scatter_is_the_noise_put_in_and_sigma_that_of_the_mean(n):
    scatters, sigmas = [], []
    for seed in range(3):
        made, _ = scans(n, 0.01, seed, shifts=np.zeros(n))
        merged = merge(made, MergeOptions(align="none"))
        scatters.append(np.sqrt(np.mean(np.square(merged.scatter))))
        sigmas.append(np.sqrt(np.mean(np.square(merged.spectrum.sigma))))
    assert np.mean(scatters) == pytest.approx(0.01, rel=0.06)
    assert np.mean(sigmas) == pytest.approx(0.01 / np.sqrt(n), rel=0.06)
    assert merged.pooled * (n - 1) >= 20


def test_interpolation_to_shifted_energies_does_not_make_the_scatter_smaller():
    made, _ = scans(12, 0.01, shifts=np.arange(12) % 2 * 0.25)
    merged = merge(made, MergeOptions(align="reference"))
    fine = np.abs(merged.spectrum.energies - 7122.0) < 28.0
    assert np.sqrt(np.mean(np.square(merged.scatter[fine]))) == pytest.approx(0.01, rel=0.1)


def test_glitches_are_left_out_of_the_scan_that_has_them():
    made, _ = scans(4)
    made[2][1].intensities[[40, 90, 150]] += (0.2, -0.15, 0.3)
    found = merge(made, MergeOptions(EnergyOptions(deglitch=True)))
    assert [own.n_glitches for own in found.scans] == [0, 0, 3, 0]
    assert np.abs(found.values - found.spectrum.intensities).max() < 0.05
    assert np.abs(merge(made).values - found.spectrum.intensities[:3].mean()).max() > 0.1


def test_bad_scans_are_left_out_with_their_reasons():
    made, _ = scans(8)
    own = [spectrum for _, spectrum in made]
    made[1] = ("copper", replace(own[1], element=29))
    made[2] = ("fluorescence", replace(own[2], mode="fluorescence"))
    made[3] = ("flat", replace(own[3], reference=None, intensities=0.01 * np.sin(ENERGIES)))
    made[4] = ("aborted", own[4].at_points(ENERGIES < 7160))
    made[5] = ("twice", replace(own[6], source="twice"))
    made[7] = ("elsewhere", replace(own[7], energies=ENERGIES + 2000.0))
    merged = merge(made)
    assert [one.name for one in merged.scans] == ["s0", "twice"]
    reasons = {one.name: one.reason for one in merged.left_out}
    assert set(reasons) == {"copper", "fluorescence", "flat", "aborted", "s6", "elsewhere"}
    for name, words in (("copper", "Cu"), ("flat", "no edge"), ("aborted", "covers"), ("elsewhere", "overlap")):
        assert words in reasons[name]


def test_an_odd_first_scan_costs_only_itself_and_a_large_shift_is_allowed_on_request():
    made, _ = scans(4, shifts=[0.0, 0.5, -0.5, 7.0], reference=None)
    odd = edge(ENERGIES, 7118.0, 0.7) + 0.5 * np.exp(-0.5 * ((ENERGIES - 7121.0) / 1.5) ** 2)
    made[0] = ("odd", replace(made[0][1], intensities=odd))
    merged = merge(made)
    assert [own.name for own in merged.scans] == ["s1", "s2"]
    assert {one.name for one in merged.left_out} == {"odd", "s3"}
    merged = merge(made, MergeOptions(max_shift=10.0))
    np.testing.assert_allclose(found_shifts(merged), [0.0, 1.0, -6.5], atol=0.1)
    assert "a scan needs a large shift" in dict(merged.choices[2])


def test_reference_channels_that_stand_as_scans_are_left_out():
    made, _ = scans(2)
    made.append(("foil", replace(made[0][1], intensities=made[0][1].reference, reference=None)))
    merged = merge(made)
    assert [own.name for own in merged.scans] == ["s0", "s1"]
    assert [one.reason for one in merged.left_out] == ["foil: is the reference channel of s0"]


def test_a_scan_of_another_scale_is_told():
    made, _ = scans(4)
    made[1] = ("weak", replace(made[1][1], intensities=0.1 * made[1][1].intensities))
    merged = merge(made)
    assert merged.scans[1].scale == pytest.approx(0.1 / 0.775, rel=0.05)
    assert "a scan has another scale" in dict(merged.choices[1])
    assert "a scan has another scale" not in dict(merged.choices[0])


def test_a_reference_channel_without_an_edge_is_told_and_the_sample_aligns():
    made, shifts = scans(4)
    made[2] = ("s2", replace(made[2][1], reference=1.0 + 0.001 * np.sin(ENERGIES)))
    merged = merge(made)
    np.testing.assert_allclose(found_shifts(merged), shifts[0] - shifts, atol=0.08)
    assert [own.aligned_by for own in merged.scans] == ["reference", "reference", "sample", "reference"]
    assert ("a scan was aligned by the sample itself", "s2: its reference channel has no edge") in merged.choices[2]
    assert merged.spectrum.reference is not None
    found = merge(made, MergeOptions(EnergyOptions("reference")))
    assert found.calibration.shift == pytest.approx(-MISSET - shifts[0], abs=0.1)
    dead = [(name, replace(own, reference=made[2][1].reference)) for name, own in made]
    with pytest.raises(SpectrumError, match="reference channel: has no edge"):
        merge(dead, MergeOptions(EnergyOptions("reference")))
    only = merge(made, MergeOptions(align="reference"))
    assert [one.reason for one in only.left_out] == ["s2: its reference channel has no edge"]


def test_scans_that_share_no_range_or_nothing_usable_are_one_error():
    made, _ = scans(2)
    apart = [made[0], ("far", replace(made[1][1], energies=ENERGIES + 800.0))]
    with pytest.raises(SpectrumError, match="no two scans overlap"):
        merge(apart, MergeOptions(align="none"))
    for align in ("best", "sample", "reference"):
        with pytest.raises(SpectrumError, match=r"no two scans can be merged: far: does not overlap"):
            merge(apart, MergeOptions(align=align))
    with pytest.raises(SpectrumError, match=r"s0: .* element is Fe; expected Cu; 1 more"):
        merge(made, None, 29)
    with pytest.raises(SpectrumError, match="reference channel"):
        merge([(n, replace(s, reference=None)) for n, s in made], MergeOptions(EnergyOptions("reference")))
    for options in (MergeOptions(align="x"), MergeOptions(weights="x"), MergeOptions(step=0.0)):
        with pytest.raises(ConfigError, match="`"):
            merge(made, options)


def test_a_noisy_scan_weighs_less_if_asked_and_an_odd_one_is_told():
    made, _ = scans(5, 0.002)
    rng = np.random.default_rng(1)
    noisy = replace(made[3][1], intensities=made[3][1].intensities + 0.03 * rng.standard_normal(ENERGIES.size))
    made[3] = ("noisy", noisy)
    weights = [own.weight for own in merge(made, MergeOptions(weights="noise")).scans]
    assert weights[3] < 0.02
    assert sum(weights) == pytest.approx(1.0)
    merged = merge(made)
    assert {own.weight for own in merged.scans} == {0.2}
    assert any(what == "a scan differs from the others" for what, _ in merged.choices[3])
    assert all(what != "a scan differs from the others" for what, _ in merged.choices[0])


def said(merged):
    return {what for own in merged.choices for what, _ in own}


def test_scans_of_another_sample_are_told_by_their_correlation():
    for noise in (0.0, 0.01):
        made, _ = scans(4, noise)
        merged = merge(made)
        assert min(own.correlation for own in merged.scans) > 0.99
        assert "a scan may be of another sample" not in said(merged)
    x = ENERGIES - 7124.0
    other = edge(x, 0.0, 1.8) + 0.4 * np.exp(-0.5 * ((x - 10.0) / 4.0) ** 2)
    made[2] = ("other", replace(made[2][1], intensities=other))
    merged = merge(made, MergeOptions(align="sample"))
    assert min(merged.scans, key=lambda own: own.correlation).name == "other"
    assert any(what == "a scan may be of another sample" for what, _ in merged.choices[2])
    assert np.isnan(merge(made[:1]).scans[0].correlation)
    assert merge(made[:1]).as_dict()["scans"][0]["correlation"] is None


@pytest.mark.parametrize("reference", [True, False])
def test_shifts_that_may_be_chemical_are_told_without_a_reference_channel(reference):
    others = {} if reference else {"reference": None}
    trend, large = "the shifts follow the order of the scans", "a scan needs a large shift"
    for shifts, expected in (
        ([0.0, 0.05, -0.05, 0.02], set()),
        ([0.0, 0.08, 0.16, 0.24], {trend}),
        ([0.0, -0.5, 0.1, 0.0], {large}),
    ):
        made, _ = scans(4, 0.001, shifts=shifts, **others)
        assert said(merge(made)) & {trend, large} == (set() if reference else expected)


def test_normalised_scans_are_merged_as_such():
    made, _ = scans(3)
    merged = merge(made, MergeOptions(normalisation=NormaliseOptions()))
    assert merged.spectrum.unit == "normalised"
    assert np.abs(merged.spectrum.intensities[merged.spectrum.energies > 7300].mean() - 1) < 0.02


def write_scans(folder, made):
    for name, spectrum in made:
        it, ir = 1e5 * np.exp(-spectrum.intensities), 1e5 * np.exp(-spectrum.intensities - spectrum.reference)
        head = "XDI/1.0 made\nElement.symbol: Fe\nElement.edge: K\nMono.d_spacing: 3.1356\n"
        head += f"Scan.start_time: {name}\nBeamline.name: B18\n"
        head += "Column.1: energy eV\nColumn.2: i0\nColumn.3: itrans\nColumn.4: irefer\n---"
        rows = zip(spectrum.energies, np.full(it.size, 1e5), it, ir, strict=True)
        text = [f"# {line}" for line in head.split("\n")] + [" ".join(map(repr, map(float, row))) for row in rows]
        write(folder / f"{name}.xdi", "\n".join(text) + "\n")


def test_the_command_writes_xdi_that_reads_back_exactly(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    made, shifts = scans(3)
    (tmp_path / "scans").mkdir()
    write_scans(tmp_path / "scans", made)
    write(tmp_path / "scans" / "broken.xdi", "# XDI/1.0\nnothing\n")
    given = ("scans", "-o", "merged.xdi", "--calibrate", "reference", "--deglitch", "--rebin", "--plot", "m.svg")
    assert run("merge", *given, "--json", "m.json") == 0
    printed = capsys.readouterr()
    assert "left out: scans/broken.xdi" in printed.err
    report = json.loads((tmp_path / "m.json").read_text())
    np.testing.assert_allclose([own["shift_ev"] for own in report["scans"]], shifts[0] - shifts, atol=0.05)
    assert [one["name"] for one in report["left_out"]] == ["broken.xdi"]
    back = read_experiment(tmp_path / "merged.xdi")
    assert (back.element, back.edge, back.energies.size) == (26, "K", report["n_points"])
    text = (tmp_path / "merged.xdi").read_text()
    rows = np.array([line.split() for line in text.splitlines() if not line.startswith("#")], float)
    for column, values in enumerate((back.energies, back.intensities, back.sigma, None, back.reference)):
        if values is not None:
            np.testing.assert_array_equal(values, rows[:, column])
    assert "# Beamline.name: B18" in text
    assert "# Mono.d_spacing: 3.1356" in text
    assert "start_time" not in text
    assert "# Xanes_hpc.scan_3: s2.xdi: shift" in text
    assert "svg" in (tmp_path / "m.svg").read_text()
    assert "merged.xdi: already exists" in refused(capsys, tmp_path, "merge", "scans", "-o", "merged.xdi")


def test_a_file_that_is_named_twice_counts_once_and_is_told(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_scans(tmp_path, scans(2)[0])
    assert run("merge", "s1.xdi", "s0.xdi", "./s1.xdi", tmp_path / "s1.xdi", "-o", "m.xdi", "--plot", "m.svg") == 0
    out, err = capsys.readouterr()
    assert "left out: s1.xdi: named 3 times; it counts once" in err
    assert "merged  2 scans, 1 left out" in out
    assert out.index("s1.xdi") < out.index("s0.xdi")
    assert "2 scans merged, Fe K edge" in (tmp_path / "m.svg").read_text()


@pytest.mark.parametrize("given", [[], ["--absorber", "Xx"]])
def test_an_unknown_element_is_told_before_scans_are_merged(tmp_path, capsys, monkeypatch, given):
    monkeypatch.setattr("xanes_hpc.experiment.merged_file.merge", None)
    rows = "\n".join(f"{x} {y}" for x, y in zip(ENERGIES, sample(ENERGIES), strict=True))
    write(tmp_path / "a.dat", f"# energy mu\n{rows}\n")
    error = refused(capsys, tmp_path, "merge", tmp_path / "a.dat", "-o", tmp_path / "m.xdi", *given)
    assert ("Xx" if given else "give --absorber and --edge") in error


def test_energies_from_the_edge_are_not_written(tmp_path, capsys):
    rows = "\n".join(f"{x} {y}" for x, y in zip(ENERGIES - FE, sample(ENERGIES), strict=True))
    write(tmp_path / "a.dat", f"# energy mu\n{rows}\n")
    error = refused(capsys, tmp_path, "merge", tmp_path / "a.dat", "-o", tmp_path / "m.xdi", "--absorber", "Fe")
    assert "absolute energies" in error


def test_a_file_without_its_element_needs_one(tmp_path, capsys):
    rows = "\n".join(f"{x} {y}" for x, y in zip(ENERGIES, sample(ENERGIES), strict=True))
    write(tmp_path / "a.dat", f"# energy mu\n{rows}\n")
    error = refused(capsys, tmp_path, "merge", tmp_path / "a.dat", "-o", tmp_path / "m.xdi")
    assert error == "the merged spectrum: XDI needs the element and edge; give --absorber and --edge"
    assert run("merge", tmp_path / "a.dat", "-o", tmp_path / "m.xdi", "--absorber", "Fe") == 0
    back = read_experiment(tmp_path / "m.xdi")
    np.testing.assert_array_equal(back.intensities, sample(ENERGIES))
    assert back.sigma is None
