// The measured spectrum: its upload, and its alignment with the prediction.

import { by } from "./elements.js";
import { ask } from "./requests.js";
import { changed, state, when } from "./state.js";

const status = (text) => { by("measured-status").textContent = text; };
const notes = (texts) => { by("measured-notes").textContent = texts.join("; "); };

export async function measure(file) {
  if (!file) return;
  const form = new FormData();
  form.append("file", file, file.name);
  try {
    state.measured = await ask("/api/experiment", form);
    unaligned();
    status(`${state.measured.name}: ${state.measured.energies.length} points`);
    notes(state.measured.notes);
    changed("measurement");
    await align();
  } catch (error) {
    status(error.message);
    notes([]);
  }
}

function unaligned() {
  const highest = (values) => values.reduce((most, value) => Math.max(most, value), -Infinity);
  const { measured, predicted } = state;
  state.shift = 0;
  state.factor = predicted ? highest(predicted.mean) / (highest(measured.intensities) || 1) : 1;
}

async function align() {
  const { measured, predicted } = state;
  if (!measured) return;
  if (!predicted) return status(measured.name);
  try {
    const found = await ask("/api/align", {
      experiment: { energies: measured.energies, intensities: measured.intensities, absolute: measured.absolute },
      predicted: { energies: predicted.energies, mean: predicted.mean, std: predicted.std, e0: predicted.e0 },
      origin: predicted.origin,
    });
    if (measured !== state.measured || predicted !== state.predicted) return; // one of them has changed meanwhile
    [state.shift, state.factor] = [found.shift, found.factor];
    by("shift").value = (-found.shift).toFixed(2);
    const limit = Math.abs(found.shift) >= found.max_shift - 1e-6 || found.error_percent > 50;
    status(`${measured.name}: shifted by ${(-found.shift).toFixed(2)} eV, scaled by ${found.factor.toPrecision(3)}; error ${found.error_percent.toFixed(1)} %${limit ? " – no good match within 10 eV" : ""}`);
  } catch (error) {
    if (measured !== state.measured) return;
    unaligned();
    status(`${measured.name}: ${error.message}`);
  }
  changed("measurement");
}

function shiftByHand() {
  state.shift = -Number(by("shift").value);
  status(`${state.measured.name}: shifted by ${-state.shift} eV by hand`);
  changed("measurement");
}

function remove() {
  state.measured = null;
  status("");
  notes([]);
  changed("measurement");
}

function enabled() {
  by("align").disabled = !(state.predicted && state.measured);
  by("measured-drop").disabled = by("shift").disabled = !state.measured;
}

export function startMeasurement() {
  by("measured").addEventListener("change", (event) => { measure(event.target.files[0]); event.target.value = ""; });
  by("align").addEventListener("click", align);
  by("shift").addEventListener("input", shiftByHand);
  by("measured-drop").addEventListener("click", remove);
  when("prediction", () => { enabled(); align(); });
  when("measurement", enabled);
}
