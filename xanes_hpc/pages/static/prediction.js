// The prediction of the chosen site.

import { broadening, widths } from "./broadening.js";
import { by } from "./elements.js";
import { ask } from "./requests.js";
import { changed, state, when } from "./state.js";
import { absorber, averaged, structure } from "./structures.js";

/** Return a structure as a part of a request. */
export function asked(own) {
  const given = { name: own.name, numbers: own.numbers, positions: own.positions, cell: own.cell };
  for (const name of ["charge", "spin"]) if (own[name] !== undefined) given[name] = own[name];
  for (const name of state.model.properties) {
    if (by(name) && by(name).value !== "") given[name] = Number(by(name).value);
  }
  return given;
}

/** Return a request for the chosen site. */
export const site = () => ({ structure: asked(structure()), absorber: absorber(), edge: by("edge").value, average: averaged() });

export const request = () => ({ ...site(), broadening: broadening() });

/** Return the element and edge of the prediction, or else the model's first. */
export function elementAndEdge() {
  const { predicted, model } = state;
  if (predicted) return { element: predicted.element, edge: predicted.edge };
  const [element, [edge]] = Object.entries(model.absorbers)[0];
  return { element, edge };
}

/** Return the name of a prediction for legends and tables. */
function labelOf(wanted, found) {
  const sites = wanted.average ? `all ${found.element}` : `${found.element} ${wanted.absorber}`;
  return `${wanted.structure.name}, ${sites}${widths(wanted.broadening)}`;
}

/** Ask for a prediction, and return it with its label, its request, and a key that is the same for the same request. */
export async function predictionOf(wanted) {
  const found = await ask("/api/predict", wanted);
  return { ...found, label: labelOf(wanted, found), asked: wanted, key: JSON.stringify(wanted) };
}

/** Return a prediction as a part of a request. */
export const asGiven = ({ label, energies, mean, std, e0, distrust }) => ({
  name: label.slice(0, 400), energies, mean, std, e0, flag: distrust.slice(0, 1000),
});

function verdict(className, textContent) {
  Object.assign(by("trust"), { className, textContent });
}

function multiplicities({ sites, element }) {
  if (sites.length === 1) return ` Average of ${sites[0].weight} equivalent ${element}.`;
  return ` Average of ${sites.length} different ${element} (${sites.map(({ atom, weight }) => `${weight} × atom ${atom}`).join(", ")}).`;
}

async function predict() {
  const number = ++state.asked;
  if (!state.predicted) verdict("", "Predicting …");
  try {
    const wanted = request();
    const found = await predictionOf(wanted);
    if (number !== state.asked) return; // a later request is pending
    state.predicted = found;
    const average = wanted.average ? multiplicities(found) : "";
    if (found.distrust) verdict("no", `Out of domain – ${found.distrust}. Do not trust this spectrum.${average}`);
    else verdict("yes", `This structure is similar to the training set.${average}`);
  } catch (error) {
    if (number !== state.asked) return;
    state.predicted = null;
    verdict("no", error.message);
  }
  changed("prediction");
}

export function startPrediction() {
  when("site", predict);
  when("broadening", () => state.predicted && predict());
}
