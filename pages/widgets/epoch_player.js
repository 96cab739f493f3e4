// @ts-check
/// <reference types="./scripts.d.ts" />
// The film is decoded once; a frame is one pass over typed arrays and a stamp for every point.

const films = new WeakMap();
const EPOCH_MS = 900;
const SVG = "http://www.w3.org/2000/svg";
const PAD = 16;
const CROWD = 3000;

function bytes(text) {
  return Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
}

function decode(data) {
  const places = new Int16Array(bytes(data.points).buffer);
  const frames = places.length / (2 * data.size);
  const colours = bytes(data.colours);
  const own = places.length / frames;
  const reach = [0, 0];
  for (let i = 0; i < places.length; i++) reach[i & 1] = Math.max(reach[i & 1], Math.abs(places[i]));
  return { places, frames, colours, own, reach, colourFrames: colours.length / data.size, now: new Float32Array(own) };
}

// ---- words ---------------------------------------------------------------------------------

// Text nodes only: class names come from readers' folders.
function rich(place, text) {
  place.replaceChildren();
  for (const part of text.split(/(\*\*.+?\*\*|[_^]\{[^}]*\})/)) {
    const bold = part.startsWith("**") && part.length > 4;
    if (!bold && !/^[_^]\{/.test(part)) {
      place.append(part);
      continue;
    }
    const element = document.createElement(bold ? "strong" : part[0] === "_" ? "sub" : "sup");
    if (bold) rich(element, part.slice(2, -2));
    else element.textContent = part.slice(2, -1);
    place.append(element);
  }
}

function svg(tag, attributes, text) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

// ---- points --------------------------------------------------------------------------------

function trace(pen, symbol, r) {
  pen.beginPath();
  if (symbol === "x") {
    pen.moveTo(-r, -r);
    pen.lineTo(r, r);
    pen.moveTo(r, -r);
    pen.lineTo(-r, r);
  } else if (symbol === "diamond") {
    pen.moveTo(0, -1.3 * r);
    pen.lineTo(1.3 * r, 0);
    pen.lineTo(0, 1.3 * r);
    pen.lineTo(-1.3 * r, 0);
    pen.closePath();
  } else if (symbol === "square") {
    pen.rect(-r, -r, 2 * r, 2 * r);
  } else {
    pen.arc(0, 0, 1.1 * r, 0, 2 * Math.PI);
  }
}

// One picture for every colour and symbol: stamping it is ten times quicker than drawing a path a point.
function stamps(film, radius, ratio, ink) {
  const side = Math.ceil((2.6 * radius + 4) * ratio);
  return film.data.copies.map(({ symbol }) =>
    film.data.palette.map((colour) => {
      const stamp = document.createElement("canvas");
      stamp.width = stamp.height = side;
      const pen = stamp.getContext("2d");
      pen.translate(side / 2, side / 2);
      pen.scale(ratio, ratio);
      trace(pen, symbol, radius);
      pen.globalAlpha = 0.9;
      if (symbol === "x") {
        pen.lineWidth = radius * 0.7;
        pen.strokeStyle = colour;
        pen.stroke();
      } else {
        pen.fillStyle = colour;
        pen.fill();
        pen.lineWidth = 0.5;
        pen.strokeStyle = ink;
        pen.stroke();
      }
      return stamp;
    }),
  );
}

function prepare(film) {
  const { canvas } = film;
  const width = canvas.clientWidth;
  if (!width) return false;
  const ratio = Math.min(window.devicePixelRatio || 1, 2);
  const style = getComputedStyle(film.root);
  const ink = style.getPropertyValue("--st-text-color").trim() || style.color;
  const wanted = JSON.stringify([width, ratio, ink, film.data.palette, film.data.copies, film.data.height, film.data.size]);
  if (film.prepared === wanted) return true;
  film.prepared = wanted;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(film.data.height * ratio);
  canvas.style.height = `${film.data.height}px`;
  const radius = film.data.size > CROWD ? 2 : 3.4;
  Object.assign(film, { ratio, ink, radius, stamps: stamps(film, radius, ratio, ink) });
  film.crowd = film.data.size > CROWD ? crowd(film) : null;
  const [x, y] = film.decoded.reach;
  // The same scale on both axes: distances are what the picture is about.
  film.scale = Math.min((canvas.width / 2 - PAD * ratio) / Math.max(x, 1), (canvas.height / 2 - PAD * ratio) / Math.max(y, 1));
  return true;
}

// Thousands of points are set pixel by pixel into one image: quick also where no GPU draws the canvas.
function crowd(film) {
  const image = film.canvas.getContext("2d").createImageData(film.canvas.width, film.canvas.height);
  const cut = (stamp) => {
    const { width, height } = stamp;
    const source = new Uint32Array(stamp.getContext("2d").getImageData(0, 0, width, height).data.buffer);
    const [offsets, words] = [[], []];
    source.forEach((word, i) => {
      if (word >>> 24 < 110) return;
      offsets.push((Math.floor(i / width) - (height >> 1)) * image.width + (i % width) - (width >> 1));
      words.push((word | 0xff000000) >>> 0);
    });
    return { offsets: Int32Array.from(offsets), words: Uint32Array.from(words) };
  };
  return { image, pixels: new Uint32Array(image.data.buffer), cuts: film.stamps.map((own) => own.map(cut)) };
}

function fillCrowd(film, now, frame, cx, cy) {
  const { image, pixels, cuts } = film.crowd;
  const { colours } = film.decoded;
  const { width, height } = image;
  const count = film.data.size / film.data.copies.length;
  const edge = film.stamps[0][0].width;
  pixels.fill(0);
  for (let i = 0; i < film.data.size; i++) {
    const x = Math.round(cx + now[2 * i] * film.scale);
    const y = Math.round(cy - now[2 * i + 1] * film.scale);
    if (x < edge || y < edge || x >= width - edge || y >= height - edge) continue;
    const { offsets, words } = cuts[Math.floor(i / count)][colours[frame * film.data.size + i]];
    const middle = y * width + x;
    for (let k = 0; k < offsets.length; k++) pixels[middle + offsets[k]] = words[k];
  }
  film.canvas.getContext("2d").putImageData(image, 0, 0);
}

function between(film) {
  const { places, own, now, frames } = film.decoded;
  const first = Math.min(Math.floor(film.at), frames - 1);
  const second = Math.min(first + 1, frames - 1);
  let share = film.at - first;
  share = share * share * (3 - 2 * share);
  const [a, b] = [first * own, second * own];
  for (let i = 0; i < own; i++) now[i] = places[a + i] + share * (places[b + i] - places[a + i]);
  return now;
}

function lines(film, pen, now, images, cx, cy) {
  const count = film.data.size / film.data.copies.length;
  pen.beginPath();
  for (const image of images) {
    for (let copy = 0; copy < film.data.copies.length; copy++) {
      const i = 2 * (copy * count + image);
      pen[copy ? "lineTo" : "moveTo"](cx + now[i] * film.scale, cy - now[i + 1] * film.scale);
    }
  }
  pen.stroke();
}

function paint(film) {
  if (!prepare(film)) return;
  const { canvas, data, ratio } = film;
  const pen = canvas.getContext("2d");
  const now = between(film);
  const [cx, cy] = [canvas.width / 2, canvas.height / 2];
  const count = data.size / data.copies.length;
  const frame = film.decoded.colourFrames > 1 ? Math.min(Math.round(film.at), film.decoded.colourFrames - 1) : 0;
  const colours = film.decoded.colours;
  pen.globalAlpha = 1;
  if (film.crowd) fillCrowd(film, now, frame, cx, cy);
  else pen.clearRect(0, 0, canvas.width, canvas.height);
  pen.strokeStyle = film.ink;
  if (data.joined) {
    pen.globalAlpha = 0.25;
    pen.lineWidth = 0.7 * ratio;
    lines(film, pen, now, Array.from({ length: count }, (_, i) => i), cx, cy);
  }
  pen.globalAlpha = data.marked.length ? 0.4 : 1;
  for (let copy = 0; copy < data.copies.length && !film.crowd; copy++) {
    const own = film.stamps[copy];
    const half = own[0].width / 2;
    for (let i = copy * count; i < (copy + 1) * count; i++) {
      pen.drawImage(own[colours[frame * data.size + i]], cx + now[2 * i] * film.scale - half, cy - now[2 * i + 1] * film.scale - half);
    }
  }
  pen.globalAlpha = 1;
  if (data.marked.length) {
    pen.lineWidth = 1.2 * ratio;
    lines(film, pen, now, data.marked, cx, cy);
    for (const image of data.marked) {
      for (let copy = 0; copy < data.copies.length; copy++) {
        const i = copy * count + image;
        const own = film.stamps[copy][colours[frame * data.size + i]];
        const [x, y] = [cx + now[2 * i] * film.scale, cy - now[2 * i + 1] * film.scale];
        pen.drawImage(own, x - own.width / 2, y - own.width / 2);
        pen.beginPath();
        pen.arc(x, y, 7 * ratio, 0, 2 * Math.PI);
        pen.stroke();
      }
    }
  }
  film.root.dataset.drawn = Number(film.root.dataset.drawn || 0) + 1;
}

// ---- charts beside it ----------------------------------------------------------------------

const BOX = { width: 400, height: 150, left: 42, right: 8, top: 6, bottom: 30 };

function sample(colour, dash) {
  const made = svg("svg", { width: 22, height: 8 });
  made.append(svg("line", { x1: 0, x2: 22, y1: 4, y2: 4, stroke: colour, "stroke-width": 2.5, "stroke-dasharray": dash }));
  return made;
}

function steps(low, high, most) {
  const rough = (high - low) / most;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((f) => f * power).find((s) => s >= rough - 1e-12);
  const found = [];
  for (let v = Math.ceil(low / step - 1e-9) * step; v <= high + 1e-9; v += step) found.push(Math.round(v / step) * step);
  return found;
}

function strip(film, part) {
  const [low, high] = [film.data.epochs[0], film.data.epochs.at(-1)];
  const x = (v) => BOX.left + ((v - low) / Math.max(1e-9, high - low)) * (BOX.width - BOX.left - BOX.right);
  const y = (v) => BOX.height - BOX.bottom - ((v - part.low) / (part.high - part.low)) * (BOX.height - BOX.top - BOX.bottom);
  const place = document.createElement("div");
  place.className = "strip";
  const title = document.createElement("div");
  title.className = "strip-title";
  title.textContent = part.title;
  const chart = svg("svg", { class: "chart", viewBox: `0 0 ${BOX.width} ${BOX.height}`, "aria-hidden": "true" });
  for (const v of steps(part.low, part.high, 4)) {
    chart.append(svg("line", { class: "grid", x1: BOX.left, x2: BOX.width - BOX.right, y1: y(v), y2: y(v) }));
    chart.append(svg("text", { x: BOX.left - 6, y: y(v) + 4, "text-anchor": "end" }, `${Number(v.toPrecision(6))}`));
  }
  for (const v of steps(low, high, 8).filter(Number.isInteger)) {
    chart.append(svg("text", { x: x(v), y: BOX.height - BOX.bottom + 14, "text-anchor": "middle" }, `${v}`));
  }
  chart.append(svg("text", { x: (BOX.left + BOX.width) / 2, y: BOX.height - 3, "text-anchor": "middle" }, "epoch"));
  const values = document.createElement("div");
  values.className = "values";
  const outputs = part.lines.map((line) => {
    const d = line.x.map((v, i) => `${i ? "L" : "M"}${x(v).toFixed(1)} ${y(line.y[i]).toFixed(1)}`).join("");
    chart.append(svg("path", { d, fill: "none", stroke: line.colour, "stroke-width": 2.5, "stroke-dasharray": line.dash }));
    const entry = document.createElement("span");
    const output = document.createElement("output");
    entry.append(sample(line.colour, line.dash), `${line.name} `, output);
    values.append(entry);
    return output;
  });
  const cursor = svg("line", { class: "cursor", y1: BOX.top, y2: BOX.height - BOX.bottom });
  chart.append(cursor);
  place.append(title, chart, values);
  return { place, cursor, outputs, x, part };
}

function latest(line, epoch) {
  let found = null;
  line.x.forEach((v, i) => {
    if (v <= epoch + 1e-6) found = line.y[i];
  });
  return found;
}

// ---- downloads -----------------------------------------------------------------------------

function png(film) {
  const picture = document.createElement("canvas");
  Object.assign(picture, { width: film.canvas.width, height: film.canvas.height });
  const pen = picture.getContext("2d");
  pen.fillStyle = getComputedStyle(film.root).getPropertyValue("--st-background-color").trim() || "#ffffff";
  pen.fillRect(0, 0, picture.width, picture.height);
  pen.drawImage(film.canvas, 0, 0);
  picture.toBlob((blob) => saveFile(`${film.data.filename}.png`, [blob], "image/png"));
}

function vector(film) {
  const { data, canvas, scale } = film;
  const now = between(film);
  const count = data.size / data.copies.length;
  const frame = film.decoded.colourFrames > 1 ? Math.min(Math.round(film.at), film.decoded.colourFrames - 1) : 0;
  const picture = svg("svg", { xmlns: SVG, viewBox: `0 0 ${canvas.width} ${canvas.height}` });
  picture.append(svg("title", {}, film.canvas.getAttribute("aria-label")), svg("rect", { width: "100%", height: "100%", fill: "#ffffff" }));
  const r = film.radius * film.ratio;
  const shapes = {
    x: `M${-r} ${-r}L${r} ${r}M${r} ${-r}L${-r} ${r}`, diamond: `M0 ${-1.3 * r}L${1.3 * r} 0L0 ${1.3 * r}L${-1.3 * r} 0Z`,
    square: `M${-r} ${-r}H${r}V${r}H${-r}Z`, circle: `M${-r} 0A${r} ${r} 0 1 0 ${r} 0A${r} ${r} 0 1 0 ${-r} 0Z`,
  };
  for (let i = 0; i < data.size; i++) {
    const symbol = data.copies[Math.floor(i / count)].symbol;
    const colour = data.palette[film.decoded.colours[frame * data.size + i]];
    const place = [canvas.width / 2 + now[2 * i] * scale, canvas.height / 2 - now[2 * i + 1] * scale].map((v) => v.toFixed(1));
    const open = symbol === "x";
    picture.append(svg("path", {
      d: shapes[symbol] ?? shapes.circle, transform: `translate(${place})`, fill: open ? "none" : colour,
      stroke: open ? colour : "none", "stroke-width": 0.7 * r,
    }));
  }
  saveFile(`${data.filename}.svg`, [new XMLSerializer().serializeToString(picture)], "image/svg+xml");
}

function table(film) {
  const { data, decoded } = film;
  const count = data.size / data.copies.length;
  const rows = [["epoch", "what", "image", "x", "y"]];
  data.epochs.forEach((epoch, e) => {
    for (let i = 0; i < data.size; i++) {
      const at = e * decoded.own + 2 * i;
      const place = [decoded.places[at], decoded.places[at + 1]].map((v) => (v * data.unit).toPrecision(6));
      rows.push([epoch, data.copies[Math.floor(i / count)].name, i % count, ...place]);
    }
  });
  for (const part of data.strips) {
    for (const line of part.lines) line.x.forEach((epoch, i) => rows.push([epoch, `${part.title}: ${line.name}`, "", "", line.y[i]]));
  }
  saveFile(`${data.filename}.csv`, ["\ufeff", rows.map((row) => row.map(csvCell).join(",")).join("\r\n"), "\r\n"], "text/csv");
}

function keepers(film) {
  const place = film.root.querySelector(".keep");
  for (const { name, title, work } of [
    { name: "PNG", title: "Download the picture as PNG", work: png },
    { name: "SVG", title: "Download the picture as SVG", work: vector },
    { name: "CSV", title: "Download places and curves of all epochs as CSV", work: table },
  ]) {
    const button = document.createElement("button");
    Object.assign(button, { type: "button", textContent: name, title });
    button.addEventListener("click", () => work(film));
    place.append(button);
  }
}

// ---- time ----------------------------------------------------------------------------------

function epochAt(film) {
  const { epochs } = film.data;
  const first = Math.min(Math.floor(film.at), epochs.length - 1);
  const next = Math.min(first + 1, epochs.length - 1);
  return epochs[first] + (film.at - first) * (epochs[next] - epochs[first]);
}

function show(film) {
  const { root, range, clock, data } = film;
  const epoch = epochAt(film);
  const near = data.epochs[Math.round(film.at)];
  root.dataset.at = film.at.toFixed(3);
  range.value = film.at;
  const words = near === 0 ? "before training" : `epoch ${near} of ${data.epochs.at(-1)}`;
  if (clock.textContent !== words) {
    clock.textContent = words;
    range.setAttribute("aria-valuetext", words);
    film.canvas.setAttribute("aria-label", `${data.alt} Shown: ${words}.`);
  }
  for (const { cursor, outputs, x, part } of film.strips) {
    cursor.setAttribute("x1", x(epoch));
    cursor.setAttribute("x2", x(epoch));
    outputs.forEach((output, i) => {
      const value = latest(part.lines[i], near);
      output.textContent = value === null ? "–" : `${value.toFixed(part.digits)}${part.unit}`;
    });
  }
  paint(film);
}

function stop(film) {
  cancelAnimationFrame(film.request);
  film.playing = false;
  label(film);
}

function label(film) {
  film.play.textContent = film.playing ? "❚❚ Pause" : "▶ Play";
  film.play.setAttribute("aria-pressed", film.playing);
}

function start(film) {
  const last = film.decoded.frames - 1;
  if (film.at >= last) film.at = 0;
  film.playing = true;
  label(film);
  let before = performance.now();
  let exact = film.at;
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const step = (time) => {
    if (!film.playing) return;
    exact = Math.min(last, exact + (Math.max(0, time - before) / EPOCH_MS) * film.pace);
    before = time;
    const wanted = still ? Math.floor(exact) : exact;
    if (wanted !== film.at) {
      film.at = wanted;
      show(film);
    }
    if (exact >= last) return stop(film);
    film.request = requestAnimationFrame(step);
  };
  film.request = requestAnimationFrame(step);
}

function go(film, at) {
  stop(film);
  film.at = Math.min(Math.max(at, 0), film.decoded.frames - 1);
  show(film);
}

function keys(film, event) {
  const moves = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1 };
  const last = film.decoded.frames - 1;
  if (event.target.tagName === "SELECT") return;
  // From between two epochs, the next whole one in that direction.
  if (moves[event.key] > 0) go(film, Math.floor(film.at + 1e-6) + 1);
  else if (moves[event.key] < 0) go(film, Math.ceil(film.at - 1e-6) - 1);
  else if (event.key === "Home") go(film, 0);
  else if (event.key === "End") go(film, last);
  else if (event.key === " " && event.target.tagName !== "BUTTON") film.playing ? stop(film) : start(film);
  else return;
  event.preventDefault();
}

// ---- life ----------------------------------------------------------------------------------

function mount(root) {
  const find = (selector) => root.querySelector(selector);
  const film = {
    root, canvas: find("canvas"), play: find(".play"), range: find("input"), clock: find(".bar > output"),
    at: 0, pace: 1, playing: false, strips: [], drawn: "",
  };
  film.play.addEventListener("click", () => (film.playing ? stop(film) : start(film)));
  film.range.addEventListener("input", () => go(film, Number(film.range.value)));
  film.range.addEventListener("change", () => go(film, Math.round(Number(film.range.value))));
  find("select").addEventListener("change", (event) => (film.pace = Number(event.target.value)));
  root.addEventListener("keydown", (event) => keys(film, event));
  keepers(film);
  film.observer = new ResizeObserver(() => film.decoded && paint(film));
  film.observer.observe(film.canvas.parentElement);
  films.set(root, film);
  return film;
}

function unmount(film) {
  stop(film);
  film.observer.disconnect();
  films.delete(film.root);
}

function legend(film) {
  const place = film.root.querySelector(".legend");
  place.replaceChildren();
  const entry = (name, symbol, colour) => {
    const made = document.createElement("span");
    const mark = svg("svg", { width: 10, height: 10, viewBox: "-5 -5 10 10" });
    const shapes = {
      x: "M-4-4L4 4M4-4L-4 4", diamond: "M0-5L5 0L0 5L-5 0Z", square: "M-4-4H4V4H-4Z", circle: "M-4 0A4 4 0 1 0 4 0A4 4 0 1 0-4 0Z",
    };
    const open = symbol === "x";
    mark.append(svg("path", { d: shapes[symbol] ?? shapes.circle, fill: open ? "none" : colour, stroke: open ? colour : "none", "stroke-width": 2 }));
    made.append(mark, name);
    place.append(made);
  };
  const byCopy = film.data.legend.length === 0 && film.data.palette.length === film.data.copies.length;
  film.data.copies.forEach(({ name, symbol }, i) => entry(name, symbol, byCopy ? film.data.palette[i] : "currentColor"));
  film.data.legend.forEach(([name, colour]) => entry(name, "square", colour));
}

export default function ({ parentElement, data }) {
  const root = parentElement.querySelector(".ued-film");
  const film = films.get(root) ?? mount(root);
  const call = (film.calls = (film.calls ?? 0) + 1);
  const wanted = JSON.stringify(data);
  if (film.drawn !== wanted) {
    const other = !film.data || film.data.epochs.join() !== data.epochs.join();
    film.drawn = wanted;
    film.data = data;
    film.decoded = decode(data);
    film.prepared = "";
    film.range.max = film.decoded.frames - 1;
    // A film of other epochs starts at its end: that is the network the reader knows.
    if (other) film.at = film.decoded.frames - 1;
    film.strips = data.strips.map((part) => strip(film, part));
    root.querySelector(".right").replaceChildren(...film.strips.map(({ place }) => place));
    rich(root.querySelector(".question"), data.question);
    rich(root.querySelector(".formula"), data.formula);
    rich(root.querySelector("figcaption"), data.caption);
    film.canvas.setAttribute("aria-label", data.alt);
    legend(film);
    label(film);
  }
  show(film);
  // Streamlit also runs the end of a call that was overtaken by a newer one.
  return () => film.calls === call && unmount(film);
}
