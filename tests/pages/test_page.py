"""The page in a real browser: from structures to spectra by mouse, by keyboard, and on a small screen."""

import json
import shutil

import numpy as np
import pytest
from ase.build import bulk
from support.builders import frame, write

pytest.importorskip("fastapi")
pytest.importorskip("playwright")
from support.browser import CHROMIUM, changed, known, opened, predicted, served, slide, wait

from xanes_hpc.pages.example import examples
from xanes_hpc.pages.uploads import SPECTRA

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: install Debian's package chromium"),
]


def test_from_files_to_compared_spectra(page, files):
    page.set_input_files("#files", [files / "iron.xyz", files / "cobalt.xyz"])
    first = predicted(page)
    assert page.locator("#structure option").count() == 2
    verdicts = ("This structure is similar to the training set.", "Out of domain – ")
    assert page.locator("#trust").inner_text().startswith(verdicts)
    page.click("#keep")
    page.select_option("#structure", "1")
    second = changed(page, first)
    assert "Co" in page.locator("#absorber option").first.inner_text()
    traces = page.evaluate("document.querySelector('#spectrum').data.map(t => t.name)")
    assert len(traces) == 4  # two bands, the prediction, and the kept spectrum
    kept = page.evaluate("document.querySelector('#spectrum').data[3].y")
    np.testing.assert_allclose(kept, first)
    page.click("#kept button")
    assert page.locator("#kept tbody tr").count() == 0
    assert np.abs(second - first).max() > 0.01


def test_structures_can_be_removed(page, files):
    page.set_input_files("#files", [files / "iron.xyz", files / "cobalt.xyz"])
    first = predicted(page)
    page.click("#structure-drop")
    changed(page, first)
    assert page.locator("#structure option").count() == 1
    page.click("#structure-drop")
    wait(page, "state.predicted === null")
    assert page.locator("#trust").inner_text() == "Open a structure to see its spectrum."
    assert page.locator("#structure-drop").is_disabled()
    page.set_input_files("#files", files / "iron.xyz")
    predicted(page)


def test_the_absorber_can_be_chosen(page, files):
    page.set_input_files("#files", files / "two.xyz")
    first = predicted(page)
    assert page.locator("#absorber option").all_inner_texts() == ["Fe (atom 0)", "Ni (atom 2)"]
    page.select_option("#absorber", "2")
    changed(page, first)
    assert known(page, "state.predicted.element") == "Ni"


def test_sliders_broaden(page, files):
    page.set_input_files("#files", files / "iron.xyz")
    first = predicted(page)
    slide(page, 3)
    second = changed(page, first)
    assert second.max() < first.max()
    assert page.locator("output[for=gaussian]").inner_text() == "3 eV"
    assert known(page, "state.predicted.treatment") == "synthetic+gaussian"


def test_a_crystal_is_drawn_with_its_cell(page, tmp_path):
    bulk("FeO", "rocksalt", a=4.3, cubic=True).write(tmp_path / "oxide.cif")
    page.set_input_files("#files", [tmp_path / "oxide.cif"])
    predicted(page)
    bonds, atoms, _, images, cell = page.evaluate("document.querySelector('#atoms').data.map(t => t.x.length)")
    assert (atoms, images, cell) == (8, 19, 3 * 12)
    assert bonds == 3 * 54  # of a cube of 27 atoms


def test_unbroadened_predictions_have_more_sliders(browser, model, files, tmp_path):
    shutil.copytree(model, tmp_path / "raw.model")
    path = tmp_path / "raw.model" / "model.json"
    description = json.loads(path.read_text())
    description["target"]["treatment"] = "none"
    path.write_text(json.dumps(description))
    with served(tmp_path / "raw.model") as address, opened(browser, address) as page:
        page.set_input_files("#files", files / "iron.xyz")
        mean = predicted(page)
        shown = {"gaussian": 0, "lorentzian": 2, "arctangent": 4, "seah-dench": 3}
        for recipe, n_sliders in shown.items():
            page.select_option("#recipe", recipe)
            assert page.locator(".raw:visible").count() == n_sliders
            if recipe != "gaussian":
                mean = changed(page, mean)
                assert known(page, "state.predicted.treatment") == recipe


def test_a_poscar_can_be_pasted(page):
    page.click("#paste-box summary")
    page.fill("#paste", "FeO\n1.0\n4.0 0.0 0.0\n0.0 4.0 0.0\n0.0 0.0 4.0\nFe O\n1 1\nDirect\n0 0 0\n0.5 0.5 0.5\n")
    page.click("#paste-use")
    predicted(page)


def test_errors_are_shown_on_the_page(page, files):
    page.set_input_files("#files", [files / "bad.xyz", files / "none.xyz"])
    wait(page, "document.querySelector('#problems').textContent.includes('was trained on')")
    assert "bad.xyz" in page.locator("#problems").inner_text()
    message = "none: contains none of the elements that the model was trained on (Cr, Mn, Fe, Co, Ni, Cu)"
    assert message in page.locator("#problems").inner_text()
    assert known(page, "state.predicted") is None
    assert page.locator("#csv").is_disabled()
    page.set_input_files("#files", files / "bad.xyz")
    wait(page, "document.querySelector('#problems').textContent.includes('bad.xyz')")
    page.set_input_files("#files", files / "iron.xyz")
    predicted(page)
    assert page.locator("#problems").inner_text() == ""


def test_names_are_not_read_as_html(page, tmp_path):
    write(tmp_path / "x.xyz", frame([("Fe", 0, 0, 0), ("O", 0, 0, 1.8)], "CSD_code = <img src=x onerror=alert(1)>"))
    page.set_input_files("#files", tmp_path / "x.xyz")
    predicted(page)
    page.click("#keep")
    assert page.locator("#kept img, #structure img, #problems img").count() == 0


@pytest.mark.parametrize(
    ("button", "ending", "begins"), [("csv", ".csv", b"#"), ("xdi", ".xdi", b"# XDI"), ("png", ".png", b"\x89PNG")]
)
def test_downloads(page, files, button, ending, begins):
    page.set_input_files("#files", files / "iron.xyz")
    predicted(page)
    with page.expect_download() as download:
        page.click(f"#{button}")
    assert download.value.suggested_filename.endswith(ending)
    assert download.value.path().read_bytes().startswith(begins)


def test_nothing_overflows_on_a_small_screen(page, files):
    page.set_viewport_size({"width": 360, "height": 700})
    page.set_input_files("#files", files / "iron.xyz")
    predicted(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    boxes = [page.locator(f"#{name}").bounding_box() for name in ("atoms", "spectrum")]
    assert boxes[0]["y"] > boxes[1]["y"]  # the spectrum first
    assert all(box["width"] <= 360 for box in boxes)


def test_a_finger_on_the_chart_scrolls(browser, address, files):
    page = browser.new_page(viewport={"width": 375, "height": 740}, has_touch=True, is_mobile=True)
    page.goto(address)
    wait(page, "document.querySelector('#model').textContent.includes('XANES')")
    page.set_input_files("#files", files / "iron.xyz")
    predicted(page)
    assert page.evaluate("document.querySelector('#spectrum').layout.dragmode") is False
    assert not page.locator(".mouse").is_visible()
    page.close()


def test_arrow_keys_turn_the_structure(page, files):
    page.set_input_files("#files", files / "iron.xyz")
    predicted(page)
    eye = "Object.values(document.querySelector('#atoms').layout.scene.camera.eye)"
    before = page.evaluate(eye)
    page.focus("#atoms")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowUp")
    wait(page, f"Math.abs({eye}[2] - {before[2]}) > 0.01")
    after = page.evaluate(eye)
    assert after[2] > before[2]
    np.testing.assert_allclose(np.linalg.norm(after), np.linalg.norm(before))


def test_arrow_keys_read_the_spectrum(page, files):
    page.set_input_files("#files", files / "iron.xyz")
    mean = predicted(page)
    page.focus("#spectrum")
    page.keyboard.press("ArrowRight")
    energies = known(page, "state.predicted.energies")
    assert page.locator("#spectrum-words").inner_text().startswith(f"{energies[mean.argmax() + 1]:.1f} eV: ")
    assert page.locator("#spectrum .hoverlayer .legendtext").count() > 0


def test_pictures_mark_predictions_out_of_domain(page, tmp_path):
    write(tmp_path / "alone.xyz", frame([("Fe", 0, 0, 0), ("Pb", 0, 0, 2.9)]))
    page.set_input_files("#files", tmp_path / "alone.xyz")
    predicted(page)
    texts = page.evaluate("document.querySelector('#spectrum').layout.annotations.map(a => a.text)")
    assert texts == ["out of domain", "E₀"]


def test_the_keyboard_alone_is_enough(page, files):
    def tab_to(name, most=30):
        for _ in range(most):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.id || document.activeElement.tagName") == name:
                return
        raise AssertionError(f"{name} is not reached")

    tab_to("files")
    tab_to("SUMMARY")
    page.keyboard.press("Enter")
    tab_to("paste")
    page.keyboard.insert_text((files / "two.xyz").read_text())
    tab_to("paste-use")
    page.keyboard.press("Enter")
    first = predicted(page)
    tab_to("absorber")
    page.keyboard.press("ArrowDown")
    second = changed(page, first)
    tab_to("gaussian", 60)
    for _ in range(10):
        page.keyboard.press("ArrowRight")
    changed(page, second)
    assert page.locator("#gaussian").input_value() == "1"
    tab_to("measured")
    tab_to("keep")
    page.keyboard.press("Enter")
    assert page.locator("#kept tbody tr").count() == 1
    tab_to("BUTTON")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')").startswith("Remove ")
    page.keyboard.press("Enter")
    assert page.locator("#kept tbody tr").count() == 0


def test_a_measured_spectrum_is_known_by_its_ending(page):
    assert page.get_attribute("#measured", "accept").split(",") == list(SPECTRA)
    page.evaluate("""() => {
        const dataTransfer = new DataTransfer();
        dataTransfer.items.add(new File(["no numbers"], "A.XMU"));
        document.dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true }));
    }""")
    wait(page, "document.querySelector('#measured-status').textContent.includes('A.XMU')")


def test_every_control_has_a_name(page):
    nameless = page.evaluate("""[...document.querySelectorAll('input, select, textarea, button')].filter(e =>
        !e.labels?.length && !e.textContent.trim() && !e.getAttribute('aria-label')).map(e => e.id)""")
    assert nameless == []


def test_the_page_opens_with_an_example(browser, model):
    structure = next(examples("Fe"))
    with served(model, example=structure) as address, opened(browser, address) as page:
        predicted(page)
        assert structure.name in page.locator("#structure option").inner_text()
        assert structure.name in page.locator("#intro").inner_text()
        page.click("text=Open a measured spectrum >> nth=0")
        assert page.evaluate("document.activeElement.id") == "h-measurement"
        assert "trained on" in page.locator("#about").inner_text()
        assert page.locator("#spectrum .legendtext").all_text_contents()[:2] == ["95 % interval", "68 % interval"]


def test_zoom_is_reset(page, files):
    page.set_input_files("#files", files / "iron.xyz")
    predicted(page)
    box = page.locator("#spectrum .nsewdrag.drag").first.bounding_box()
    page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 60, steps=5)
    page.mouse.up()
    wait(page, "state.zoom !== null")
    assert page.locator("#zoom-reset").is_enabled()
    page.keyboard.press("Escape")
    wait(page, "state.zoom === null")
    assert page.locator("#zoom-reset").is_disabled()


def test_atoms_are_coloured_by_their_effect(page, files):
    page.set_input_files("#files", files / "iron.xyz")
    predicted(page)
    plain = page.evaluate("document.querySelector('#atoms').data[1].marker.color")
    page.click("#explain")
    wait(page, "state.effects !== null")
    coloured = page.evaluate("document.querySelector('#atoms').data[1].marker.color")
    assert coloured != plain
    page.fill("#explain-to", "55")
    assert page.evaluate("document.querySelector('#atoms').data[1].marker.color") != coloured
    assert page.evaluate("document.querySelector('#spectrum').layout.shapes.length") == 2
    page.click("#explain")
    assert page.evaluate("document.querySelector('#atoms').data[1].marker.color") == plain
