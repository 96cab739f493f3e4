// @ts-check
/// <reference types="./scripts.d.ts" />
// Marks of a chart that follow a slider while it is dragged: points on curves, and one upright line. Plotly would take
// too long to draw the chart anew for every picture on the screen; moving what it has drawn takes next to nothing.

const MARKED = new WeakMap();

function markOf(node, uid) {
  return node.querySelector(`.trace${CSS.escape(uid)} .points path`);
}

function moveMarks({ node, data: { follows } }, value) {
  const { _fullData: traces, _fullLayout: layout } = node;
  if (!traces || !layout) return;
  const axis = (name) => layout[name.replace(/^([xy])/, "$1axis")];
  for (const [point, curve] of follows.points) {
    if (!traces[point] || !traces[curve]) continue;
    const [across, up] = [axis(traces[curve].xaxis ?? "x"), axis(traces[curve].yaxis ?? "y")];
    // As Plotly placed it, when the slider stands where the server last saw it: a drawn sample lies beside the curve.
    const y = value === follows.value ? traces[point].y[0] : between(traces[curve].x, traces[curve].y, value);
    markOf(node, traces[point].uid)?.setAttribute("transform", `translate(${across.c2p(value)},${up.c2p(y)})`);
  }
  const at = layout.shapes?.[0]?.x0;
  const lines = node.querySelectorAll(".shapelayer path");
  if (at !== undefined) lines.forEach((line) => (line.style.transform = `translateX(${layout.xaxis.c2p(value) - layout.xaxis.c2p(at)}px)`));
}

// deno-lint-ignore no-unused-vars -- live_chart.js calls it: this script is put before it
function followMarks(chart) {
  const { follows } = chart.data;
  const before = MARKED.get(chart.node);
  if (before && follows && before.slider === follows.slider && before.chart === chart) return before.again();
  unfollowMarks(chart.node);
  if (!follows) return;
  let last = follows.value;
  const stop = follow(follows.slider, (value) => {
    last = value;
    if (chart.data.follows) moveMarks(chart, value);
  });
  MARKED.set(chart.node, { slider: follows.slider, chart, stop, again: () => moveMarks(chart, last) });
}

function unfollowMarks(node) {
  MARKED.get(node)?.stop();
  MARKED.delete(node);
}
