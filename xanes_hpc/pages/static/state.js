// What the page knows, and who wants to hear when it changes.

export const state = {
  model: null,
  structures: [],
  predicted: null, // the chosen site's prediction
  kept: [], // predictions kept for comparison
  measured: null, // the measured spectrum, as read and normalised
  placed: null, // how it is placed beside the prediction: shift, factor, offset, slope, error, residual
  zoom: null, // energies shown; null for all
  effects: null, // what the spectrum loses without each atom, and the energies looked at
  asked: 0,
  noAbsorber: "",
};

/** Return the prediction, or else the first of the kept spectra, if any. */
export const shown = () => state.predicted || state.kept[0];

const listeners = {};

/** Call an action whenever one of some topics changes: structure, site, broadening, prediction,
 * upload, measurement, curve, kept, zoom or effects. */
export function when(topics, action) {
  for (const topic of topics.split(" ")) (listeners[topic] ||= []).push(action);
}

/** Tell all listeners that a topic has changed. */
export function changed(topic) {
  for (const action of listeners[topic] || []) action();
}
