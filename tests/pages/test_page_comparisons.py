"""The page in a real browser: measured spectra, kept ones, and links."""

import numpy as np
import pytest
from support.builders import write

pytest.importorskip("fastapi")
pytest.importorskip("playwright")
from support.browser import CHROMIUM, changed, known, measured_file, opened, predicted, predicted_file, slide, wait

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: install Debian's package chromium"),
]


def test_a_measured_spectrum_is_aligned_and_removed(page, files, tmp_path):
    page.set_input_files("#files", files / "iron.xyz")
    mean = predicted(page)
    energies, e0 = known(page, "[state.predicted.energies, state.predicted.e0]")
    page.set_input_files("#measured", predicted_file(tmp_path / "measured.dat", page, 1.6, 2.0))
    wait(page, "document.querySelector('#measured-status').textContent.includes('shifted')")
    assert "shifted by -1.60 eV, scaled by 0.5" in page.locator("#measured-status").inner_text()
    named = "document.querySelector('#spectrum').data.find(t => t.name === 'measured.dat')"
    trace = page.evaluate(named)
    np.testing.assert_allclose(trace["x"], energies, atol=1e-3)
    np.testing.assert_allclose(trace["y"], mean, atol=2e-2)
    page.click("#match-open")
    wait(page, "document.querySelectorAll('#match-result tbody tr').length > 0")
    assert "on a straight line" in page.locator("#match-result .hint").last.inner_text()
    page.fill("#shift", "5")
    wait(page, f"{named}.x[0] > -14")
    wait(page, "document.querySelector('#measured-status').textContent.includes('by hand')")
    assert "shifted by 5.00 eV by hand" in page.locator("#measured-status").inner_text()
    kev = "\n".join(f"{(e + e0) / 1000:.6f} {y:.6f}" for e, y in zip(energies, mean, strict=True))
    page.set_input_files("#measured", write(tmp_path / "kev.dat", kev))
    wait(page, "/kev.dat: .*shifted by -?0.00 eV/.test(document.querySelector('#measured-status').textContent)")
    page.click("#measured-drop")
    assert page.evaluate("document.querySelector('#spectrum').data.length") == 3
    page.set_input_files("#measured", write(tmp_path / "wrong.dat", "no numbers"))
    wait(page, "document.querySelector('#measured-status').textContent.includes('no row of two or more numbers')")


def test_the_error_belongs_to_the_structure_shown(page, files, tmp_path):
    """The error shown is that of the current structure; none is shown without a prediction."""
    page.set_input_files("#files", files / "iron.xyz")
    mean = predicted(page)
    page.set_input_files("#measured", predicted_file(tmp_path / "counts.dat", page, factor=4e6))
    wait(page, "document.querySelector('#measured-status').textContent.includes('error 0.')")
    page.set_input_files("#files", files / "cobalt.xyz")
    changed(page, mean)
    wait(page, "!document.querySelector('#measured-status').textContent.includes('error 0.')")
    page.set_input_files("#files", files / "none.xyz")
    wait(page, "state.predicted === null")
    assert "error" not in page.locator("#measured-status").inner_text()
    assert page.locator("#trust").inner_text() == ""


def drag(page, plot, start, end):
    """Drag on a plot from one energy to another."""
    place = "([name, e]) => { const p = document.getElementById(name); const r = p.getBoundingClientRect(); \
        return [r.x + p._fullLayout._size.l + p._fullLayout.xaxis.d2p(e), r.y + p._fullLayout._size.t + 50]; }"
    (x, y), (target, _) = (page.evaluate(place, [plot, energy]) for energy in (start, end))
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(target, y, steps=6)
    page.mouse.up()


def test_windows_and_e0_are_dragged(page, files, tmp_path):
    page.set_input_files("#files", files / "iron.xyz")
    predicted(page)
    page.set_input_files("#measured", measured_file(tmp_path / "m.dat", page))
    wait(page, "state.measured !== null && state.placed !== null")
    e0, before = known(page, "[state.measured.normalisation.e0_ev, state.measured.normalisation.post_ev]")
    drag(page, "background", e0 + before[0], e0 + before[0] + 40)
    wait(page, f"Math.abs(state.measured.normalisation.post_ev[0] - {before[0] + 40}) < 8")
    assert known(page, "state.measured.normalisation.post_ev[1]") == pytest.approx(before[1], abs=0.5)
    page.click("#windows-reset")
    wait(page, f"state.measured.normalisation.post_ev[0] === {before[0]}")
    drag(page, "background", e0, e0 + 20)
    wait(page, f"Math.abs(state.measured.normalisation.e0_ev - {e0 + 20}) < 3")
    assert float(page.input_value("#e0")) == pytest.approx(e0 + 20, abs=3)
    page.select_option("#method", "none")
    wait(page, "state.measured.pre_edge === null")
    drag(page, "background", known(page, "state.measured.normalisation.e0_ev"), e0 + 5)
    wait(page, f"Math.abs(state.measured.normalisation.e0_ev - {e0 + 5}) < 3")


def test_the_edge_of_a_prediction_stays(page, files):
    """A drag from there zooms."""
    page.set_input_files("#files", files / "iron.xyz")
    predicted(page)
    drag(page, "spectrum", 0, 20)
    wait(page, "state.zoom !== null")
    assert page.evaluate("document.querySelector('#spectrum').layout.shapes[0].x0") == 0


def test_a_fit_is_drawn_and_applied(page, files, tmp_path):
    page.set_input_files("#files", files / "iron.xyz")
    plain = predicted(page)
    slide(page, 3)
    broad = changed(page, plain)
    path = measured_file(tmp_path / "m.dat", page, 1.0)
    slide(page, 0)
    changed(page, broad)
    page.set_input_files("#measured", path)
    wait(page, "state.placed !== null")
    page.focus("#fit")
    page.keyboard.press("Enter")
    wait(page, "document.querySelector('#fit-chart')?.data?.length === 4")
    names = page.evaluate("document.querySelector('#fit-chart').data.map(t => t.name)")
    assert names == ["prediction, not broadened", "fit", "m.dat", "residual"]
    residual = page.evaluate("document.querySelector('#fit-chart').data[3].y")
    assert np.abs(residual).max() < 0.05
    assert "held-out" in page.locator("#fit-result").inner_text()
    value, _, error = page.locator("#fit-result td:nth-child(2)").first.inner_text().split()[:3]
    assert len(value.partition(".")[2]) == len(error.partition(".")[2])  # no digits beyond those of the error
    page.evaluate("document.querySelector('#gaussian').max = 1")
    page.locator("#fit-result button").click()
    assert 2 < float(page.input_value("#gaussian")) < 4  # the slider's range grows


def test_spectra_are_matched_fitted_and_kept(page, files, tmp_path):
    page.set_input_files("#files", [files / "iron.xyz", files / "cobalt.xyz"])
    predicted(page)
    assert "Open a measured spectrum" in page.locator("#why-measured").inner_text()
    page.set_input_files("#measured", measured_file(tmp_path / "m.dat", page, 1.0))
    wait(page, "state.placed !== null")
    assert page.evaluate("document.querySelector('#spectrum').data.at(-1).yaxis") == "y2"  # the residual
    page.click("#match-open")
    wait(page, "document.querySelectorAll('#match-result tbody tr').length > 0")
    page.locator("#match-result tbody button").first.click()
    assert page.locator("#kept tbody tr").count() == 1
    wait(page, "document.querySelectorAll('#kept td')[2].textContent !== ''")
    page.click("#fit")
    wait(page, "document.querySelector('#fit-result').textContent.includes('R factor')")
    with page.expect_download() as download:
        page.click("#kept-csv")
    lines = download.value.path().read_text().splitlines()
    assert lines[0] == "site,e0_ev,error_percent,shift_ev,flag"
    assert len(lines) == 2


def test_a_link_restores_the_view(browser, address, page, files, tmp_path):
    page.set_input_files("#files", files / "two.xyz")
    first = predicted(page)
    page.select_option("#absorber", "2")
    second = changed(page, first)
    slide(page, 2)
    mean = changed(page, second)
    page.fill("#zoom-from", "-5")
    page.fill("#zoom-to", "30")
    page.keyboard.press("Enter")
    path = measured_file(tmp_path / "m.dat", page)
    page.set_input_files("#measured", path)
    wait(page, "document.querySelector('#measured-status').textContent.includes('error')")
    page.fill("#pre-to", "-50")
    wait(page, "state.measured.normalisation.pre_ev[1] === -50")
    page.click("#explain")
    page.click("#copy-link")
    assert "whoever opens it needs the same files" in page.locator("#link-status").inner_text()
    link = "#" + page.url.partition("#")[2]
    with opened(browser, address, link) as other:
        assert "two and m.dat" in other.locator("#link-status").inner_text()
        other.set_input_files("#files", files / "two.xyz")
        np.testing.assert_allclose(predicted(other), mean)
        assert other.locator("#absorber").input_value() == "2"
        assert known(other, "state.zoom") == [-5, 30]
        assert other.locator("#explain").inner_text() == "Colour by element"
        other.set_input_files("#measured", path)
        wait(other, "state.measured !== null && state.measured.normalisation.pre_ev[1] === -50")
        assert other.locator("#link-status").inner_text() == ""


def test_kept_spectra_are_also_broadened(page, files):
    page.set_input_files("#files", [files / "iron.xyz", files / "cobalt.xyz"])
    plain = predicted(page)
    page.click("#keep")
    page.select_option("#structure", "1")
    changed(page, plain)
    slide(page, 2.0)
    wait(page, "state.kept[0].label.endsWith('resolution 2 eV')")
    assert np.ptp(np.diff(known(page, "state.kept[0].mean"))) < np.ptp(np.diff(plain))
    page.uncheck("#broaden-kept")
    slide(page, 0.0)
    wait(page, "!state.predicted.label.includes('resolution')")
    assert known(page, "state.kept[0].label").endswith("resolution 2 eV")


def test_a_spectrum_is_kept_once_and_labels_differ(page, files):
    page.set_input_files("#files", files / "iron.xyz")
    first = predicted(page)
    page.click("#keep")
    page.click("#keep")
    page.uncheck("#broaden-kept")
    slide(page, 2)
    changed(page, first)
    page.click("#keep")
    labels = page.locator("#kept td.long").all_inner_texts()
    assert len(set(labels)) == len(labels) == 2
    assert labels[1].endswith("resolution 2 eV")


def _top(page, name):
    """Return where an element begins, in heights of the window."""
    return page.evaluate("name => document.getElementById(name).getBoundingClientRect().top / innerHeight", name)


def test_what_is_asked_for_comes_into_view(page, files, tmp_path):
    """A small window shows the fit and the match that are asked for, and a moved window leaves no empty warning."""
    page.set_viewport_size({"width": 1280, "height": 500})
    page.set_input_files("#files", files / "iron.xyz")
    predicted(page)
    page.set_input_files("#measured", measured_file(tmp_path / "m.dat", page, 1.0))
    wait(page, "state.placed !== null")
    for button, result in (("fit", "fit-result"), ("match-open", "match-result")):
        page.evaluate("name => document.getElementById(name).scrollIntoView({ block: 'end' })", button)
        page.click(f"#{button}")
        wait(page, f"document.querySelector('#{result} table') !== null")
        wait(page, f"document.querySelector('#{button}').ariaBusy === 'false'")
        assert -0.1 < _top(page, result) < 0.9
    page.evaluate("document.querySelector('#match-words').className = 'no'")
    page.fill("#pre-to", "-50")
    wait(page, "document.querySelector('#match-words').textContent === ''")
    assert not page.locator("#match-words").is_visible()


def test_windows_may_be_typed_from_either_end(page, files, tmp_path):
    page.set_input_files("#files", files / "iron.xyz")
    predicted(page)
    page.set_input_files("#measured", measured_file(tmp_path / "m.dat", page))
    wait(page, "state.placed !== null")
    page.fill("#pre-from", "-40")
    page.fill("#pre-to", "-90")
    wait(page, "String(state.measured.normalisation.pre_ev) === '-90,-40'")
    assert page.locator("#windows-problem").inner_text() == ""


def test_a_double_click_resets_the_zoom(page, files):
    page.set_input_files("#files", files / "iron.xyz")
    predicted(page)
    drag(page, "spectrum", 5, 30)
    wait(page, "state.zoom !== null")
    page.wait_for_timeout(500)  # longer than a double click takes
    box = page.locator("#spectrum .nsewdrag.drag").first.bounding_box()
    page.mouse.dblclick(box["x"] + 100, box["y"] + 50)
    wait(page, "state.zoom === null")


def test_the_chart_and_its_table_agree(page, files):
    """The axis says from which E₀ it counts, and a kept spectrum has one colour in table and chart."""
    page.set_input_files("#files", [files / "iron.xyz", files / "cobalt.xyz"])
    first = predicted(page)
    e0 = known(page, "state.predicted.e0")
    chart = "document.querySelector('#spectrum')"
    assert page.evaluate(f"{chart}.layout.xaxis.title.text") == f"energy from E₀ = {e0:.1f} eV (eV)"
    page.click("#keep")
    colour = f"getComputedStyle({chart.replace('spectrum', 'kept')}.querySelector('.swatch')).backgroundColor"
    assert page.evaluate(colour) == "rgb(0, 103, 160)"  # of the prediction, which it is
    page.select_option("#structure", "1")
    changed(page, first)
    assert page.evaluate(colour) == "rgb(0, 135, 95)"
    page.click("#copy-link")
    assert "kept spectra" in page.locator("#link-status").inner_text()


def test_a_prediction_on_its_way_is_said(page, files):
    page.route("**/api/predict", lambda route: None)
    page.set_input_files("#files", files / "iron.xyz")
    wait(page, "document.querySelector('#trust').textContent === 'Predicting …'")
