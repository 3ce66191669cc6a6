// The measured spectrum: its upload, and its place beside the prediction.

import { forget, pending, remember, restoredNumber, tellMissing } from "./address.js";
import { by, numberIn } from "./elements.js";
import { ask } from "./requests.js";
import { changed, state, when } from "./state.js";

const MARGIN = 100; // eV beyond the model's energies that are sent for comparisons
let byHand = false; // whether the shift is the user's

/** Return the largest shift that is tried, eV. */
export const maxShift = () => Math.min(Math.max(numberIn("max-shift") ?? 10, 0), 30);

const status = (text, wrong = false) => Object.assign(by("measured-status"), { textContent: text, className: wrong ? "no" : "" });

export async function measure(file) {
  if (!file) return;
  const form = new FormData();
  form.append("file", file, file.name);
  status(`Reading ${file.name} …`);
  try {
    const found = await ask("/api/experiment", form);
    state.measured = found;
    byHand = false;
    state.placed = null;
    if (pending("measured") === file.name) {
      const shift = restoredNumber("shift");
      if (shift !== null) {
        byHand = true;
        by("shift").value = shift;
      }
      forget("measured");
      tellMissing();
    }
    measuredIs(found);
    changed("upload");
  } catch (error) {
    status(`${error.message}${state.measured ? `. ${state.measured.name} is still open.` : ""}`, true);
  }
}

/** Take a spectrum as normalised anew. */
export function measuredIs(found) {
  state.measured = { ...state.measured, ...found, curve: near(found) };
  by("measured-notes").textContent = state.measured.notes.slice(1).join("; ");
  by("notes-box").hidden = state.measured.notes.length < 2;
  changed("measurement");
  changed("curve");
}

/** Return the part of a spectrum that comparisons need. */
function near({ energies, intensities, absolute, normalisation }) {
  const { start, stop } = state.model.energies;
  const wide = state.model.origin === "e0" ? [start, stop] : [-MARGIN, MARGIN];
  const kept = energies.map((e, k) => k).filter((k) => {
    const relative = energies[k] - normalisation.e0_ev;
    return relative > wide[0] - MARGIN && relative < wide[1] + MARGIN;
  });
  if (kept.length < 10) return { energies, intensities, absolute };
  return { energies: kept.map((k) => energies[k]), intensities: kept.map((k) => intensities[k]), absolute };
}

const SCALED = { factor: (factor) => `scaled by ${factor.toPrecision(3)}`, line: (factor) => `scaled by ${factor.toPrecision(3)} on a straight line, because it is not normalised` };

async function align() {
  const { measured, predicted } = state;
  if (!measured) return;
  const { edge_step: step, normalisation } = measured.normalisation;
  const own = `${measured.name}: ${step === null ? normalisation : `edge step ${step.toPrecision(4)}`}`;
  if (!predicted) return status(own);
  const { energies, mean, std, e0, origin } = predicted;
  try {
    const shift = byHand ? -(numberIn("shift") ?? 0) : null;
    const found = await ask("/api/align", { experiment: measured.curve, predicted: { energies, mean, std, e0 }, origin, scale: measured.scale, shift, max_shift: maxShift() });
    if (measured !== state.measured || predicted !== state.predicted) return; // one of them has changed meanwhile
    state.placed = found;
    if (!byHand) by("shift").value = (-found.shift).toFixed(2);
    const limit = (!byHand && Math.abs(found.shift) >= found.max_shift - 1e-6) || found.error_percent > 50;
    const moved = `shifted by ${(-found.shift).toFixed(2)} eV${byHand ? " by hand" : ""}`;
    status(`${own}. Beside the prediction: ${moved}, ${SCALED[measured.scale](found.factor)}; error ${found.error_percent.toFixed(1)} %${usual()}${limit ? ` – no good match within ${found.max_shift} eV` : ""}.`);
  } catch (error) {
    if (measured !== state.measured || predicted !== state.predicted) return;
    state.placed = unaligned(measured, predicted);
    status(`${own}. ${error.message}`, true);
  }
  changed("measurement");
}

/** Return how large the model's own errors are. */
function usual() {
  const { error_percent: error } = state.model.training;
  return error === null ? "" : ` (the model's own on held-out sites: ${error.toFixed(1)} %)`;
}

/** Return a place for a spectrum that cannot be aligned: as high as the prediction. */
function unaligned(measured, predicted) {
  const highest = (values) => values.reduce((most, value) => Math.max(most, value), -Infinity);
  const factor = highest(predicted.mean) / (highest(measured.curve.intensities) || 1);
  return { shift: 0, factor, offset: 0, slope: 0, error_percent: null, energies: [], residual: [] };
}

function remove() {
  state.measured = state.placed = null;
  by("notes-box").hidden = true;
  status("");
  changed("measurement");
  changed("curve");
  by("measured").focus();
}

function enabled() {
  const { measured, predicted } = state;
  by("measured-drop").disabled = !measured;
  by("shift").disabled = by("align").disabled = !(predicted && measured);
}

export function startMeasurement() {
  by("measured").addEventListener("change", (event) => { measure(event.target.files[0]); event.target.value = ""; });
  by("max-shift").addEventListener("change", () => changed("curve"));
  by("align").addEventListener("click", () => { byHand = false; align(); });
  by("shift").addEventListener("input", () => { byHand = true; align(); });
  by("measured-drop").addEventListener("click", remove);
  by("max-shift").value = restoredNumber("max-shift") ?? 10;
  remember("max-shift", () => (maxShift() === 10 ? null : maxShift()));
  remember("measured", () => state.measured?.name);
  remember("shift", () => (state.measured && byHand ? by("shift").value : null));
  when("prediction measurement", enabled);
  when("prediction curve", align);
  enabled();
}
