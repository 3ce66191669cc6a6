// The prediction of the chosen site.

import { broadening, widths } from "./broadening.js";
import { by } from "./elements.js";
import { ask } from "./requests.js";
import { changed, state, when } from "./state.js";
import { absorber, structure } from "./structures.js";

/** Return a request for the chosen site. */
export function request() {
  const own = structure();
  const given = { name: own.name, numbers: own.numbers, positions: own.positions, cell: own.cell };
  for (const name of ["charge", "spin"]) if (own[name] !== undefined) given[name] = own[name];
  for (const name of state.model.properties) {
    if (by(name) && by(name).value !== "") given[name] = Number(by(name).value);
  }
  return { structure: given, absorber: absorber(), edge: by("edge").value, broadening: broadening() };
}

export const labelOf = (asked, found) => `${asked.structure.name}, ${found.element} ${asked.absorber}${widths(asked.broadening)}`;

function verdict(className, textContent) {
  Object.assign(by("trust"), { className, textContent });
}

export async function predict() {
  const number = ++state.asked;
  try {
    const asked = request();
    const found = await ask("/api/predict", asked);
    if (number !== state.asked) return; // a later request is pending
    state.predicted = { ...found, label: labelOf(asked, found), asked, key: JSON.stringify(asked) };
    if (found.distrust) verdict("no", `Out of domain – ${found.distrust}. Do not trust this spectrum.`);
    else verdict("yes", "This structure is similar to the training set.");
  } catch (error) {
    if (number !== state.asked) return;
    state.predicted = null;
    verdict("no", error.message);
  }
  changed("prediction");
}

export function startPrediction() {
  when("site", predict);
}
