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

function template(theme, size = 13) {
  const axis = {
    gridcolor: theme.grid, zerolinecolor: theme.grid, linecolor: theme.muted, tickcolor: theme.muted,
    tickfont: { color: theme.muted }, title: { font: { color: theme.ink, size }, standoff: 8 }, automargin: true,
  };
  const bar = {
    outlinewidth: 0, tickfont: { color: theme.muted }, thickness: 12, title: { font: { color: theme.ink, size } },
  };
  const data = {};
  for (const type of ["heatmap", "contour", "histogram2d", "surface"]) data[type] = [{ colorbar: bar }];
  return {
    data,
    layout: {
      font: { color: theme.ink, family: theme.font, size },
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
  figure.layout = { ...figure.layout, template: template(theme, theme.size), autosize: true };
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

function printable(chart, look = {}) {
  const figure = parse(chart.data, { ...PRINT, ...look });
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
  const safe = (text) => text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);
  const said = captionOf(chart);
  saveFile(`${chart.data.filename}.html`, [
    `<!doctype html><meta charset="utf-8"><title>${safe(said.title)}</title><figure style="margin:0">`,
    `<div id="c" style="height:85vh"></div><figcaption style="font:14px sans-serif"><p>${safe(said.words)}</p>`,
    `<p>${safe(said.whence)}</p></figcaption></figure><script>`, source,
    `</script><script>const f=${figure};Plotly.newPlot("c",f.data,f.layout,${JSON.stringify({ ...PRIVATE, responsive: true, displaylogo: false })})</script>`,
  ], "text/html");
}

// ---- tools ---------------------------------------------------------------------------------

let paperWidth = "84";

function modes(chart) {
  const pick = chart.data.clickable ? [["select", "Select by a box"], ["lasso", "Select by a lasso"]] : [];
  return [["zoom", "Drag to zoom"], ["pan", "Drag to move"], ...pick];
}

function resetView(Plotly, chart) {
  const { layout } = parse(chart.data, PRINT);
  const update = {};
  for (const name of Object.keys(chart.node._fullLayout)) {
    if (!/^[xy]axis\d*$/.test(name)) continue;
    if (layout[name]?.range) update[`${name}.range`] = [...layout[name].range];
    else update[`${name}.autorange`] = layout[name]?.autorange ?? true;
  }
  Plotly.relayout(chart.node, update);
}

// One button, so one stop of the keyboard, beside the plot and not over it; what it opens is a menu.
function tools(Plotly, chart) {
  const place = chart.node.closest(".ued-figure").querySelector(".ued-tools");
  const menu = document.createElement("div");
  menu.className = "ued-menu";
  menu.setAttribute("role", "menu");
  menu.setAttribute("aria-label", "Chart tools");
  menu.popover = "auto";
  const open = document.createElement("button");
  open.type = "button";
  open.className = "ued-open";
  open.textContent = "⋯";
  open.title = "Zoom, and take this chart along";
  open.setAttribute("aria-label", "Chart tools");
  open.setAttribute("aria-haspopup", "menu");
  open.setAttribute("aria-expanded", "false");
  const said = document.createElement("div");
  said.className = "ued-said";
  said.setAttribute("role", "status");
  const item = (name, act, { role = "menuitem", checked = false } = {}) => {
    const button = document.createElement("button");
    button.type = "button";
    button.tabIndex = -1;
    button.setAttribute("role", role);
    if (role === "menuitemradio") button.setAttribute("aria-checked", String(checked));
    button.textContent = name;
    button.addEventListener("click", () => act());
    return button;
  };
  const heading = (text) => {
    const element = document.createElement("div");
    element.className = "ued-part";
    element.textContent = text;
    return element;
  };
  // What takes a moment says so, and what fails says why.
  const file = (name, make) => item(name, async () => {
    said.textContent = "One moment …";
    try {
      await make();
      menu.hidePopover();
    } catch (error) {
      said.textContent = error.message;
    }
  });
  const fill = () => {
    said.textContent = "";
    const flat = Object.keys(chart.node._fullLayout ?? {}).some((name) => /^xaxis\d*$/.test(name));
    const look = flat
      ? [heading("Look"), ...modes(chart).map(([mode, name]) => item(name, () => {
          chart.dragmode = mode;
          Plotly.relayout(chart.node, { dragmode: mode });
          menu.hidePopover();
        }, { role: "menuitemradio", checked: chart.node._fullLayout.dragmode === mode })),
        item("Whole view", () => { resetView(Plotly, chart); menu.hidePopover(); })]
      : [];
    const name = chart.data.filename;
    menu.replaceChildren(
      ...look,
      heading("Take along, for a paper"),
      ...Object.entries(COLUMNS).map(([mm, words]) => item(`${mm} mm, ${words}`, () => {
        paperWidth = mm;
        fill();
        /** @type {HTMLElement[]} */ ([...menu.querySelectorAll("[role=menuitemradio]")]).find((b) => b.textContent.startsWith(mm))?.focus();
      }, { role: "menuitemradio", checked: paperWidth === mm })),
      file("Download as PDF", async () =>
        saveFile(`${name}.pdf`, [await pdfFile(Plotly, chart, paperWidth)], "application/pdf")),
      file("Download as SVG", async () =>
        saveFile(`${name}.svg`, [await svgText(Plotly, chart, paperWidth)], "image/svg+xml")),
      file("Download the caption", () =>
        saveFile(`${name}-caption.txt`, captionFile(chart, paperWidth), "text/plain")),
      heading("As shown"),
      file("Download as PNG", async () => saveFile(`${name}.png`, await pngParts(Plotly, chart), "image/png")),
      file("Download as interactive HTML", () => html(chart)),
      file("Download the data as CSV", () => saveFile(`${name}.csv`, ["\ufeff", csv(chart.node)], "text/csv")),
      said,
    );
  };
  open.addEventListener("click", () => menu.togglePopover());
  // Before it is seen: the event after it comes some time later, and an empty menu would stand there until then.
  menu.addEventListener("beforetoggle", (event) => {
    if (/** @type {any} */ (event).newState === "open") fill();
  });
  menu.addEventListener("toggle", (event) => {
    const opened = /** @type {any} */ (event).newState === "open";
    open.setAttribute("aria-expanded", String(opened));
    if (!opened) return;
    const at = open.getBoundingClientRect();
    menu.style.left = `${Math.max(8, at.right - menu.offsetWidth)}px`;
    menu.style.top = `${Math.max(8, Math.min(at.bottom + 4, innerHeight - menu.offsetHeight - 8))}px`;
    menu.querySelector("button")?.focus();
  });
  menu.addEventListener("keydown", (event) => {
    const all = [...menu.querySelectorAll("button")];
    const now = all.indexOf(/** @type {any} */ (document.activeElement));
    const to = { ArrowDown: now + 1, ArrowUp: now - 1, Home: 0, End: all.length - 1 }[event.key];
    if (event.key === "Tab") menu.hidePopover();
    if (to === undefined) return;
    event.preventDefault();
    all[(to + all.length) % all.length].focus();
  });
  place.replaceChildren(open, menu);
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
  if (chart.dragmode) layout.dragmode = chart.dragmode;
  node.classList.remove("ued-failed");
  // Below it the words in a figure would lie over each other; the figure scrolls sideways instead.
  node.style.minWidth = layout.meta?.least_width ? `${layout.meta.least_width}px` : "";
  const drawn = Plotly.react(node, figure.data, layout, {
    // Plotly's bar would lie over the plot and be a stop of the keyboard for each of its buttons.
    ...PRIVATE, displaylogo: false, displayModeBar: false, scrollZoom: false, doubleClick: "reset+autosize",
  });
  if (first) {
    chart.wired = true;
    tools(Plotly, chart);
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
    frame = requestAnimationFrame(() => chart.drawing
      .then(() => chart.wired && window.Plotly.Plots.resize(node))
      .then(() => chart.data && describe(node, chart.data.alt))
      .catch(() => {}));
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
