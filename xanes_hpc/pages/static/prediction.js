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

/** Return the name of a prediction for legends and tables. */
export function labelOf(wanted, found) {
  const sites = wanted.average ? `all ${found.element}` : `${found.element} ${wanted.absorber}`;
  return `${wanted.structure.name}, ${sites}${widths(wanted.broadening)}`;
}

function verdict(className, textContent) {
  Object.assign(by("trust"), { className, textContent });
}

function multiplicities({ sites, element }) {
  if (sites.length === 1) return ` Average of ${sites[0].weight} equivalent ${element}.`;
  return ` Average of ${sites.length} different ${element} (${sites.map(({ atom, weight }) => `${weight} × atom ${atom}`).join(", ")}).`;
}

async function predict() {
  const number = ++state.asked;
  try {
    const wanted = request();
    const found = await ask("/api/predict", wanted);
    if (number !== state.asked) return; // a later request is pending
    state.predicted = { ...found, label: labelOf(wanted, found), asked: wanted, key: JSON.stringify(wanted) };
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
