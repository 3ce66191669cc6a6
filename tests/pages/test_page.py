"""The page in a real browser: from structures to spectra by mouse, by keyboard, and on a small screen."""

import json
import shutil
import socket
import threading
import time
from contextlib import contextmanager

import numpy as np
import pytest
from ase.build import bulk
from support.builders import frame, write

pytest.importorskip("fastapi")
pytest.importorskip("playwright")
import uvicorn
from playwright.sync_api import sync_playwright

from xanes_hpc.models.model import Model
from xanes_hpc.pages.example import examples
from xanes_hpc.pages.served import Served
from xanes_hpc.pages.server import application
from xanes_hpc.prediction.predictor import SitePredictor
from xanes_hpc.stores.structures import StructureStore

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: install Debian's package chromium"),
]
FLAGS = ["--no-sandbox", "--use-gl=swiftshader", "--enable-unsafe-swiftshader"]


@contextmanager
def served(model, **shown):
    """Run a server in its own thread, and yield its address."""
    app = application(Served(SitePredictor(Model.open(model), draws=8), **shown), ["127.0.0.1"])
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", access_log=False))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.02)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def address(model):
    with served(model) as address:
        yield address


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as running:
        browser = running.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@contextmanager
def opened(browser, address, link=""):
    """Open the page, and check that it raises no error and loads nothing from elsewhere."""
    page = browser.new_page(viewport={"width": 1280, "height": 1000})
    wrong = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    page.on("request", lambda request: wrong.append(request.url) if not _is_own(request.url, address) else None)
    page.goto(address + link)
    wait(page, "document.querySelector('#model').textContent.includes('XANES')")
    yield page
    page.close()
    assert [text for text in wrong if "422" not in text] == []  # refusals are shown on the page


@pytest.fixture
def page(browser, address):
    with opened(browser, address) as page:
        yield page


def _is_own(url, address):
    return url.startswith((address, "data:", "blob:"))


@pytest.fixture(scope="module")
def files(small, tmp_path_factory):
    """Write two structures of the small set, one with two absorbing elements, a damaged one, and one without any."""
    folder = tmp_path_factory.mktemp("files")
    with StructureStore(small / "small.h5") as source:
        names = source.sites.name
        rows = [names.index(next(n for n in names if f"_{metal}_" in n)) for metal in ("Fe", "Co")]
        for name, (structure, _) in zip(("iron", "cobalt"), source.structures_at(np.array(rows)), strict=True):
            atoms = [(int(z), *p) for z, p in zip(structure.numbers, structure.positions, strict=True)]
            write(folder / f"{name}.xyz", frame(atoms))
    write(folder / "two.xyz", frame([("Fe", 0, 0, 0), ("O", 0, 0, 1.8), ("Ni", 0, 0, 3.6), ("O", 0, 1.8, 0)]))
    write(folder / "bad.xyz", "3\n\nFe 0 0 0\n")
    write(folder / "none.xyz", frame([("C", 0, 0, 0), ("O", 0, 0, 1.2)]))
    return folder


def known(page, expression):
    """Return the value of an expression in which ``state`` is what the page knows."""
    return page.evaluate(f"import('/static/state.js').then(({{ state }}) => {expression})")


def wait(page, expression, seconds=20.0):
    """Wait until an expression is true; polled from outside, because the page forbids evaluating text in it."""
    deadline = time.monotonic() + seconds
    while not known(page, expression):
        assert time.monotonic() < deadline, expression
        page.wait_for_timeout(20)


def slide(page, width):
    """Set the resolution, in eV."""
    set_to = "s => { const i = document.querySelector('#gaussian'); i.value = s; i.dispatchEvent(new Event('input')); }"
    page.evaluate(set_to, width)


def predicted(page):
    """Wait for the prediction, and return its mean."""
    wait(page, "state.predicted !== null")
    return np.array(known(page, "state.predicted.mean"))


def changed(page, before):
    """Wait for the prediction to change, and return its mean."""
    wait(page, f"state.predicted !== null && state.predicted.mean[60] !== {float(before[60])!r}")
    return np.array(known(page, "state.predicted.mean"))


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
        shown = {"gaussian": 0, "lorentzian": 2, "arctangent": 3, "seah-dench": 3}
        for recipe, n_sliders in shown.items():
            page.select_option("#recipe", recipe)
            assert page.locator(".raw:visible").count() == n_sliders
            if recipe != "gaussian":
                mean = changed(page, mean)
                assert known(page, "state.predicted.treatment") == recipe


def test_a_measured_spectrum_is_aligned_and_removed(page, files, tmp_path):
    page.set_input_files("#files", files / "iron.xyz")
    mean = predicted(page)
    energies, e0 = known(page, "[state.predicted.energies, state.predicted.e0]")
    rows = [f"{e + e0 + 1.6:.3f} {2 * y:.6f}" for e, y in zip(energies, mean, strict=True)]
    write(tmp_path / "measured.dat", "\n".join(rows))
    page.set_input_files("#measured", tmp_path / "measured.dat")
    wait(page, "document.querySelector('#measured-status').textContent.includes('shifted')")
    assert "shifted by -1.60 eV, scaled by 0.5" in page.locator("#measured-status").inner_text()
    named = "document.querySelector('#spectrum').data.find(t => t.name === 'measured.dat')"
    trace = page.evaluate(named)
    np.testing.assert_allclose(trace["x"], energies, atol=1e-3)
    np.testing.assert_allclose(trace["y"], mean, atol=2e-2)
    page.fill("#shift", "5")
    wait(page, f"{named}.x[0] > -14")
    wait(page, "document.querySelector('#measured-status').textContent.includes('by hand')")
    assert "shifted by 5.00 eV by hand" in page.locator("#measured-status").inner_text()
    kev = "\n".join(f"{(e + e0) / 1000:.6f} {y:.6f}" for e, y in zip(energies, mean, strict=True))
    page.set_input_files("#measured", write(tmp_path / "kev.dat", kev))
    wait(page, "/kev.dat: .*shifted by -?0.00 eV/.test(document.querySelector('#measured-status').textContent)")
    page.click("#measured-drop")
    assert page.evaluate("document.querySelector('#spectrum').data.length") == 3
    write(tmp_path / "wrong.dat", "no numbers")
    page.set_input_files("#measured", tmp_path / "wrong.dat")
    wait(page, "document.querySelector('#measured-status').textContent.includes('no row of two or more numbers')")


def test_the_error_belongs_to_the_structure_shown(page, files, tmp_path):
    """The error shown is that of the current structure; none is shown without a prediction."""
    page.set_input_files("#files", files / "iron.xyz")
    mean = predicted(page)
    energies, e0 = known(page, "[state.predicted.energies, state.predicted.e0]")
    rows = [f"{e + e0:.3f} {4e6 * y:.6f}" for e, y in zip(energies, mean, strict=True)]
    write(tmp_path / "counts.dat", "\n".join(rows))
    page.set_input_files("#measured", tmp_path / "counts.dat")
    wait(page, "document.querySelector('#measured-status').textContent.includes('error 0.')")
    page.set_input_files("#files", files / "cobalt.xyz")
    changed(page, mean)
    wait(page, "!document.querySelector('#measured-status').textContent.includes('error 0.')")
    page.set_input_files("#files", files / "none.xyz")
    wait(page, "state.predicted === null")
    assert "error" not in page.locator("#measured-status").inner_text()
    assert page.locator("#trust").inner_text() == ""


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


def test_a_poscar_can_be_pasted(page):
    page.click("#paste-box summary")
    page.fill("#paste", "FeO\n1.0\n4.0 0.0 0.0\n0.0 4.0 0.0\n0.0 0.0 4.0\nFe O\n1 1\nDirect\n0 0 0\n0.5 0.5 0.5\n")
    page.click("#paste-use")
    predicted(page)


def test_errors_are_shown_on_the_page(page, files):
    page.set_input_files("#files", [files / "bad.xyz", files / "none.xyz"])
    wait(page, "document.querySelector('#problems').textContent.includes('was trained on')")
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


def test_every_control_has_a_name(page):
    nameless = page.evaluate("""[...document.querySelectorAll('input, select, textarea, button')].filter(e =>
        !e.labels?.length && !e.textContent.trim() && !e.getAttribute('aria-label')).map(e => e.id)""")
    assert nameless == []


def measured_file(path, page, shift=0.0):
    """Write what is predicted as raw absorption, with a background and room for windows on both sides."""
    energies, mean, e0 = known(page, "[state.predicted.energies, state.predicted.mean, state.predicted.e0]")
    wide = np.arange(-120.0, 200.0, 0.5)
    mu = np.interp(wide, energies, mean) / mean[-1] - 0.002 * wide + 3.0
    return write(path, "\n".join(f"{e + e0 + shift:.3f} {y:.6f}" for e, y in zip(wide, mu, strict=True)))


def test_the_page_opens_with_an_example(browser, model):
    structure = next(examples("Fe"))
    with served(model, example=structure) as address, opened(browser, address) as page:
        predicted(page)
        assert structure.name in page.locator("#structure option").inner_text()
        assert "trained on" in page.locator("#about").inner_text()
        assert page.locator("#spectrum .legendtext").all_text_contents()[:2] == ["±2σ", "±1σ"]


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
    page.click("#copy-link")
    assert "whoever opens it needs the same files" in page.locator("#link-status").inner_text()
    link = "#" + page.url.partition("#")[2]
    with opened(browser, address, link) as other:
        assert "two and m.dat" in other.locator("#link-status").inner_text()
        other.set_input_files("#files", files / "two.xyz")
        np.testing.assert_allclose(predicted(other), mean)
        assert other.locator("#absorber").input_value() == "2"
        assert known(other, "state.zoom") == [-5, 30]
        other.set_input_files("#measured", path)
        wait(other, "state.measured !== null && state.measured.normalisation.pre_ev[1] === -50")
        assert other.locator("#link-status").inner_text() == ""


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


def test_windows_are_dragged(page, files, tmp_path):
    page.set_input_files("#files", files / "iron.xyz")
    predicted(page)
    page.set_input_files("#measured", measured_file(tmp_path / "m.dat", page))
    wait(page, "state.measured !== null && state.placed !== null")
    before = known(page, "state.measured.normalisation.post_ev")
    e0, edge = known(page, "[state.measured.normalisation.e0_ev, state.measured.normalisation.post_ev[0]]")
    place = "(e => { const p = document.querySelector('#background'); const r = p.getBoundingClientRect(); \
        return [r.x + p._fullLayout._size.l + p._fullLayout.xaxis.d2p(e), r.y + 60]; })"
    x, y = page.evaluate(f"{place}({e0 + edge})")
    target, _ = page.evaluate(f"{place}({e0 + edge + 40})")
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(target, y, steps=6)
    page.mouse.up()
    wait(page, f"Math.abs(state.measured.normalisation.post_ev[0] - {edge + 40}) < 8")
    assert known(page, "state.measured.normalisation.post_ev[1]") == pytest.approx(before[1], abs=0.5)
    page.click("#windows-reset")
    wait(page, f"state.measured.normalisation.post_ev[0] === {before[0]}")


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
