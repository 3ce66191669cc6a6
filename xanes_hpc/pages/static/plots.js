// Plots of the page, in the colours of its theme.

import { by, dark, ink } from "./elements.js";

/** Draw a plot in an element, and call an action on one of its events, if any. */
export function plot(id, traces, layout, event = null, action = null, options = {}) {
  const place = by(id);
  Plotly.react(place, traces, { paper_bgcolor: "rgba(0,0,0,0)", ...layout }, { displayModeBar: false, showTips: false, responsive: true, ...options });
  if (!event || place.listening) return;
  place.listening = true;
  place.on(event, action);
}

/** Remove a plot. */
export function clear(id) {
  Plotly.purge(id);
  by(id).listening = false;
}

/** Return what the layouts of charts share. */
export const chartLayout = (size = 12) => ({
  plot_bgcolor: "rgba(0,0,0,0)", font: { color: ink(), size }, hoverlabel: { bgcolor: dark() ? "#222" : "#fff" },
});

/** Return what the axes of charts share. */
export const chartAxis = () => ({ gridcolor: dark() ? "#fff2" : "#0002", zeroline: false });
