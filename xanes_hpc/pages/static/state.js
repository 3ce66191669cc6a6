// What the page knows, and who wants to hear when it changes.

export const state = {
  model: null,
  structures: [],
  predicted: null,
  kept: [],
  measured: null,
  shift: 0,
  factor: 1,
  asked: 0,
  noAbsorber: "",
};

const listeners = {};

/** Call an action whenever a topic changes: structure, site, prediction, measurement or kept. */
export function when(topic, action) {
  (listeners[topic] ||= []).push(action);
}

/** Tell all listeners that a topic has changed. */
export function changed(topic) {
  for (const action of listeners[topic] || []) action();
}
