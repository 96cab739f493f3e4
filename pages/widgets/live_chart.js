// @ts-check
/// <reference types="./scripts.d.ts" />
// One Plotly node per mounted chart. Streamlit calls the default export again whenever data or
// theme change; a call that changes neither is ignored.

const charts = new WeakMap();
// The end of what was drawn into a node before: Streamlit may take a chart off its node and mount it there again at once.
const endings = new WeakMap();
// Plotly's bar offers by default to upload a chart to its maker's cloud: the images behind it may be nobody else's business.
const PRIVATE = { showSendToCloud: false, plotlyServerURL: "" };
const MOVE_MS = 350;
const MOST_POINTS = 5000;
let library;

function load(url) {
  library ??= new Promise((done, failed) => {
    if (window.Plotly) return done(window.Plotly);
    const script = document.createElement("script");
    script.src = url;
    script.onload = () => done(window.Plotly);
    script.onerror = () => {
      library = undefined;
      failed(new Error(`The chart library could not be loaded from ${url}. Start the app with: streamlit run app.py`));
    };
    document.head.appendChild(script);
  });
  return library;
}

// ---- colours -------------------------------------------------------------------------------

const known = new Map();

function channels(colour) {
  if (!known.has(colour)) known.set(colour, measured(colour));
  return known.get(colour);
}

function measured(colour) {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 1;
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  pen.fillStyle = colour;
  pen.fillRect(0, 0, 1, 1);
  return [...pen.getImageData(0, 0, 1, 1).data].slice(0, 3);
}

function mix(from, to, share) {
  const [a, b] = [channels(from), channels(to)];
  return `rgb(${a.map((v, i) => Math.round(v + (b[i] - v) * share)).join(",")})`;
}

// Roles and classes have a brighter colour on a dark page; the frame's style sheet knows both.
function pageTheme(node, names) {
  const style = getComputedStyle(node);
  const ink = style.getPropertyValue("--st-text-color").trim() || style.color;
  const paper = style.getPropertyValue("--st-background-color").trim() || "#ffffff";
  const font = style.getPropertyValue("--st-font").trim() || style.fontFamily;
  const theme = { ink, paper, font, muted: mix(ink, paper, 0.3), grid: mix(ink, paper, 0.86) };
  for (const name of names) theme[name] ??= style.getPropertyValue(`--ued-${name}`).trim();
  return theme;
}

const PRINT = { ink: "#1c2431", paper: "#ffffff", font: "sans-serif", muted: "#5c6575", grid: "#e2e5eb" };

function template(theme) {
  const axis = {
    gridcolor: theme.grid, zerolinecolor: theme.grid, linecolor: theme.muted, tickcolor: theme.muted,
    tickfont: { color: theme.muted }, title: { font: { color: theme.ink, size: 13 }, standoff: 8 }, automargin: true,
  };
  const bar = {
    outlinewidth: 0, tickfont: { color: theme.muted }, thickness: 12, title: { font: { color: theme.ink, size: 13 } },
  };
  const data = {};
  for (const type of ["heatmap", "contour", "histogram2d", "surface"]) data[type] = [{ colorbar: bar }];
  return {
    data,
    layout: {
      font: { color: theme.ink, family: theme.font, size: 13 },
      xaxis: axis, yaxis: axis, coloraxis: { colorbar: bar },
      scene: { xaxis: axis, yaxis: axis, zaxis: axis },
      hoverlabel: { bgcolor: theme.paper, bordercolor: theme.muted, font: { color: theme.ink, family: theme.font } },
      legend: { bgcolor: "rgba(0,0,0,0)", font: { color: theme.ink } },
      modebar: { bgcolor: "rgba(0,0,0,0)", color: theme.muted, activecolor: theme.ink },
      newselection: { line: { color: theme.ink, width: 1 } },
      activeselection: { fillcolor: theme.ink, opacity: 0.08 },
      annotationdefaults: { font: { color: theme.ink }, arrowcolor: theme.muted },
      shapedefaults: { line: { color: theme.muted } },
    },
  };
}

// Figures name the page's colours by fixed strings; JSON keeps them verbatim.
function parse({ figure: given, changes, colours }, theme) {
  let text = given;
  for (const [fixed, name] of Object.entries(colours)) {
    const own = theme[name];
    // Away from the app, as in a download, there is no other colour than the fixed one.
    if (!own || channels(own).join() === channels(fixed).join()) continue;
    text = text.replaceAll(`"${fixed}"`, `"${own}"`);
    // The same with an opacity, as bands have it.
    text = text.replaceAll(`"rgba(${channels(fixed).join(", ")}, `, `"rgba(${channels(own).join(", ")}, `);
  }
  const figure = JSON.parse(text);
  for (const [place, value] of Object.entries(changes)) {
    const steps = place.split("/");
    const last = steps.pop();
    steps.reduce((part, step) => part[step], figure)[last] = value;
  }
  figure.layout = { ...figure.layout, template: template(theme), autosize: true };
  delete figure.layout.width;
  delete figure.layout.height;
  return figure;
}

// ---- downloads -----------------------------------------------------------------------------

// Plotly holds lists of numbers as arrays or as typed arrays. Null for what is no list.
function listed(value) {
  if (Array.isArray(value)) return value;
  return ArrayBuffer.isView(value) ? Array.from(/** @type {any} */ (value)) : null;
}

function matrixRows(trace) {
  const columns = Math.max(0, ...Array.from(trace.z, (row) => row.length));
  const x = trace.x ?? Array.from({ length: columns }, (_, i) => i);
  const y = trace.y ?? Array.from(trace.z, (_, i) => i);
  return [["", ...x], ...Array.from(trace.z, (row, i) => [y[i], ...row])];
}

function pointRows(traces) {
  const names = ["x", "y", "z", "text", "customdata"].filter((n) => traces.some((t) => t[n]?.length));
  const rows = [["trace", ...names]];
  traces.forEach((trace, index) => {
    const length = Math.max(0, ...names.map((n) => listed(trace[n])?.length ?? 0));
    const flat = (v) => listed(v)?.join(";") ?? v;
    for (let i = 0; i < length; i++) {
      rows.push([trace.name || index, ...names.map((n) => flat(trace[n]?.[i]))]);
    }
  });
  return rows;
}

function csv(node) {
  const traces = node._fullData.filter((t) => t.visible === true);
  const matrices = traces.filter((t) => t.type === "heatmap" && t.z);
  const rows = matrices.length
    ? matrices.flatMap((t) => (matrices.length > 1 ? [[t.name], ...matrixRows(t)] : matrixRows(t)))
    : pointRows(traces);
  return rows.map((row) => row.map(csvCell).join(",")).join("\r\n") + "\r\n";
}

function printable(chart) {
  const figure = parse(chart.data, PRINT);
  Object.assign(figure.layout, { paper_bgcolor: "#ffffff", plot_bgcolor: "#ffffff" });
  // What the reader has zoomed to is what they want to keep.
  for (const [name, axis] of Object.entries(chart.node._fullLayout)) {
    if (/^[xy]axis\d*$/.test(name) && axis?.range) {
      figure.layout[name] = { ...figure.layout[name], range: [...axis.range], autorange: false };
    }
  }
  return figure;
}

async function html(chart) {
  const source = await (await fetch(chart.data.plotly)).text();
  const { data, layout } = printable(chart);
  const figure = JSON.stringify({ data, layout }).replaceAll("<", "\\u003c");
  const alt = chart.data.alt.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);
  saveFile(`${chart.data.filename}.html`, [
    `<!doctype html><meta charset="utf-8"><title>${alt}</title><div id="c" style="height:95vh"></div><script>`, source,
    `</script><script>const f=${figure};Plotly.newPlot("c",f.data,f.layout,${JSON.stringify({ ...PRIVATE, responsive: true, displaylogo: false })})</script>`,
  ], "text/html");
}

function buttons(Plotly, chart) {
  const picture = (format) => {
    const box = chart.node.getBoundingClientRect();
    Plotly.downloadImage(printable(chart), {
      format, filename: chart.data.filename, scale: format === "png" ? 3 : 1,
      width: Math.round(box.width), height: Math.round(box.height),
    });
  };
  const table = "M1 2h14v12H1zM2.5 5.5v2h3.5v-2zm5 0v2h6v-2zm-5 3.5v3.5h3.5V9zm5 0v3.5h6V9z";
  const curve = "M1 11h4v4H1zM11 1h4v4h-4zM3.4 10 C3.4 5 6 2.3 10 2.3 v1.4 C6.8 3.7 4.8 6 4.8 10z";
  const code = "M5 3.5 6.2 4.7 2.9 8l3.3 3.3L5 12.5.5 8zM11 3.5 9.8 4.7 13.1 8l-3.3 3.3 1.2 1.2L15.5 8z";
  const icon = (path) => ({ width: 16, height: 16, path });
  return [
    { name: "PNG", title: "Download as PNG", icon: Plotly.Icons.camera, click: () => picture("png") },
    { name: "SVG", title: "Download as SVG", icon: icon(curve), click: () => picture("svg") },
    { name: "CSV", title: "Download the data as CSV", icon: icon(table),
      click: () => saveFile(`${chart.data.filename}.csv`, ["\ufeff", csv(chart.node)], "text/csv") },
    { name: "HTML", title: "Download as interactive HTML", icon: icon(code), click: () => html(chart) },
  ];
}

// ---- events --------------------------------------------------------------------------------

function plain(value) {
  if (ArrayBuffer.isView(value)) return listed(value);
  return value === undefined ? null : value;
}

function described(point) {
  const found = { trace: point.curveNumber, point: plain(point.pointIndex ?? point.pointNumber) };
  for (const name of ["x", "y", "z", "text", "customdata"]) {
    if (point[name] !== undefined) found[name] = plain(point[name]);
  }
  return found;
}

function wire(chart) {
  const send = (kind, points) => {
    if (!chart.data.clickable) return;
    // The time tells a second click on the same point from the first one.
    chart.setStateValue("event", kind && { kind, points: points.slice(0, MOST_POINTS).map(described), at: Date.now() });
  };
  chart.node.on("plotly_click", (e) => send("click", e.points));
  chart.node.on("plotly_selected", (e) => {
    // A click that selects fires this too, without range; the click has been sent already.
    if (e && (e.range || e.lassoPoints)) send("select", e.points);
  });
  chart.node.on("plotly_deselect", () => send(null));
}

// ---- words ---------------------------------------------------------------------------------

// Text nodes only: class names come from readers' folders.
function rich(place, text) {
  place.replaceChildren();
  for (const part of text.split(/(\*\*.+?\*\*|[_^]\{[^}]*\})/)) {
    const bold = part.startsWith("**") && part.length > 4;
    const index = /^[_^]\{/.test(part);
    if (!bold && !index) {
      place.append(part);
      continue;
    }
    const element = document.createElement(bold ? "strong" : part[0] === "_" ? "sub" : "sup");
    if (bold) rich(element, part.slice(2, -2));
    else element.textContent = part.slice(2, -1);
    place.append(element);
  }
  place.hidden = !text;
}

function label(frame, data) {
  for (const name of ["question", "formula", "caption"]) {
    const place = frame.querySelector(`.ued-${name}`);
    if (place.dataset.text === data[name]) continue;
    place.dataset.text = data[name];
    rich(place, data[name]);
  }
  frame.querySelector(".ued-head").hidden = !data.question && !data.formula;
}

// ---- drawing -------------------------------------------------------------------------------

function moves(chart, figure) {
  if (!figure.layout.meta?.animate || !chart.shape) return false;
  return !matchMedia("(prefers-reduced-motion: reduce)").matches && chart.shape === shapeOf(figure);
}

function count(values) {
  if (!values) return 0;
  return values.bdata === undefined ? values.length : `${values.dtype}${values.bdata.length}`;
}

function shapeOf(figure) {
  const plotted = figure.data.map((t) => (t.type ?? "scatter") === "scatter" && [count(t.x), count(t.y)]);
  return plotted.every(Boolean) ? JSON.stringify(plotted) : "";
}

function describe(node, alt) {
  node.querySelectorAll("svg.main-svg").forEach((svg, i) => {
    if (i === 0) {
      svg.setAttribute("role", "img");
      svg.setAttribute("aria-label", alt);
    } else {
      svg.setAttribute("aria-hidden", "true");
    }
  });
}

async function draw(Plotly, chart, theme) {
  const { data, node } = chart;
  const figure = parse(data, theme);
  const { layout } = figure;
  layout.uirevision ??= "kept";
  if (data.clickable) layout.clickmode ??= "event+select";
  delete layout.transition;
  if (moves(chart, figure)) layout.transition = { duration: MOVE_MS, easing: "cubic-in-out", ordering: "traces first" };
  chart.shape = shapeOf(figure);
  const first = !chart.wired;
  chart.buttons ??= buttons(Plotly, chart);
  node.classList.remove("ued-failed");
  // Below it the words in a figure would lie over each other; the figure scrolls sideways instead.
  node.style.minWidth = layout.meta?.least_width ? `${layout.meta.least_width}px` : "";
  const drawn = Plotly.react(node, figure.data, layout, {
    ...PRIVATE, displaylogo: false, displayModeBar: true, scrollZoom: false, doubleClick: "reset+autosize",
    modeBarButtonsToRemove: ["toImage", "autoScale2d", ...(data.clickable ? [] : ["select2d", "lasso2d"])],
    modeBarButtonsToAdd: chart.buttons,
  });
  if (first) {
    chart.wired = true;
    wire(chart);
  }
  await drawn;
  describe(node, data.alt);
}

function mount(node) {
  const chart = { node, drawn: "", wired: false, shape: "", calls: 0, drawing: endings.get(node) ?? Promise.resolve() };
  let width = 0;
  let frame = 0;
  chart.observer = new ResizeObserver(([entry]) => {
    const now = Math.round(entry.contentRect.width);
    if (!chart.wired || now === 0 || now === width) return;
    width = now;
    cancelAnimationFrame(frame);
    // Never into a drawing that is under way: Plotly would measure what is not there yet.
    frame = requestAnimationFrame(() => chart.drawing.then(() => chart.wired && window.Plotly.Plots.resize(node)).catch(() => {}));
  });
  chart.observer.observe(node);
  charts.set(node, chart);
  return chart;
}

function unmount(chart) {
  chart.observer.disconnect();
  if (charts.get(chart.node) !== chart) return;
  charts.delete(chart.node);
  unfollowMarks(chart.node);
  const { wired } = chart;
  chart.wired = false;
  // Only when Plotly is done: a drawing that is under way would look for what purging takes away.
  endings.set(chart.node, chart.drawing.catch(() => {}).then(() => wired && window.Plotly.purge(chart.node)));
}

export default async function ({ parentElement, data: packet, setStateValue, setTriggerValue }) {
  const node = parentElement.querySelector(".ued-chart");
  const chart = charts.get(node) ?? mount(node);
  const call = ++chart.calls;
  // Streamlit also runs the end of a call that was overtaken by a newer one; the chart is the newer one's then.
  const end = () => chart.calls === call && unmount(chart);
  const data = await opened(packet, () => setTriggerValue("lost", Date.now()));
  // A newer call, or the page's end, may have come while the figure was fetched.
  if (!data || chart.calls !== call || charts.get(node) !== chart) return end;
  const name = data.parts.map((part) => part.name).join();
  data.figure = data.parts.map((part) => new TextDecoder().decode(part.content)).join("");
  chart.data = data;
  chart.setStateValue = setStateValue;
  node.style.height = `${data.height}px`;
  label(node.closest(".ued-figure"), data);
  try {
    const Plotly = await load(data.plotly);
    // A newer call, or the page's end, may have come while the library was loading.
    if (chart.data !== data || charts.get(node) !== chart) return end;
    const theme = pageTheme(node, Object.values(data.colours));
    const wanted = JSON.stringify([name, data.changes, data.alt, data.clickable, data.height, theme]);
    if (chart.drawn !== wanted) {
      chart.drawn = wanted;
      const due = () => chart.drawn === wanted && charts.get(node) === chart;
      chart.drawing = chart.drawing.catch(() => {}).then(() => due() && draw(Plotly, chart, theme));
      await chart.drawing;
    }
    if (chart.data === data && charts.get(node) === chart) followMarks(chart);
  } catch (error) {
    if (charts.get(node) !== chart) return end;
    node.classList.add("ued-failed");
    node.textContent = error.message;
  }
  return end;
}
