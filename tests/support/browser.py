"""The page in a real browser: a server, an open page, and what tests do with them."""

import shutil
import socket
import threading
import time
from contextlib import contextmanager

import numpy as np
import uvicorn

from support.builders import write
from xanes_hpc.models.model import Model
from xanes_hpc.pages.served import Served
from xanes_hpc.pages.server import application
from xanes_hpc.prediction.predictor import SitePredictor

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
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


def _is_own(url, address):
    return url.startswith((address, "data:", "blob:"))


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


def measured_file(path, page, shift=0.0):
    """Write what is predicted as raw absorption, with a background and room for windows on both sides."""
    energies, mean, e0 = known(page, "[state.predicted.energies, state.predicted.mean, state.predicted.e0]")
    wide = np.arange(-120.0, 200.0, 0.5)
    mu = np.interp(wide, energies, mean) / mean[-1] - 0.002 * wide + 3.0
    return write(path, "\n".join(f"{e + e0 + shift:.3f} {y:.6f}" for e, y in zip(wide, mu, strict=True)))


def predicted_file(path, page, shift=0.0, factor=1.0):
    """Write what is predicted at its own energies, shifted by some eV and scaled."""
    energies, mean, e0 = known(page, "[state.predicted.energies, state.predicted.mean, state.predicted.e0]")
    rows = [f"{e + e0 + shift:.3f} {factor * y:.6f}" for e, y in zip(energies, mean, strict=True)]
    return write(path, "\n".join(rows))
