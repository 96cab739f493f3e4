// @ts-check
/// <reference types="./scripts.d.ts" />
// What was measured along a slider, drawn over its track: dots are trained models, straight lines join their means.

const HILLS = new WeakMap();
const SVG = "http://www.w3.org/2000/svg";
const HEIGHT = 64, TOP = 8, FLOOR = 2;

function shape(tag, attributes, text = "") {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, String(value));
  made.textContent = text;
  return made;
}

const percent = (value) => `${Math.round(100 * value)} %`;

function places(hill) {
  const { low, high, inset } = hill.data;
  const width = hill.svg.clientWidth || 300;
  const top = Math.max(0.5, ...hill.data.points.flatMap(([, all]) => all)) * 1.02;
  return {
    width,
    x: (value) => inset + ((width - 2 * inset) * (value - low)) / (high - low),
    y: (value) => TOP + (HEIGHT - TOP - FLOOR) * (1 - value / top),
  };
}

const mean = (values) => values.reduce((a, b) => a + b, 0) / values.length;

function drawHill(hill) {
  const { points, guess } = hill.data;
  const { width, x, y } = places(hill);
  hill.svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
  hill.svg.replaceChildren();
  const line = points.map(([value, all], i) => `${i ? "L" : "M"}${x(value).toFixed(1)} ${y(mean(all)).toFixed(1)}`).join("");
  if (points.length > 1) {
    const ends = [x(points[points.length - 1][0]), x(points[0][0])];
    hill.svg.append(shape("path", { class: "area", d: `${line}L${ends[0]} ${HEIGHT}L${ends[1]} ${HEIGHT}Z` }));
    hill.svg.append(shape("path", { class: "line", d: line }));
  }
  if (points.length) hill.svg.append(shape("line", { class: "guess", x1: x(hill.data.low), x2: x(hill.data.high), y1: y(guess), y2: y(guess) }));
  for (const [value, all] of points) {
    for (const one of all) hill.svg.append(shape("circle", { class: "model", cx: x(value), cy: y(one), r: 2 }));
  }
  hill.cursor = shape("line", { class: "cursor", y1: 0, y2: HEIGHT });
  hill.now = shape("circle", { class: "now", r: 5.5 });
  hill.svg.append(hill.cursor, hill.now);
}

// Words and number at one value; what lies between two measured values is said to be between them.
function measured({ points, step }, value) {
  if (!points.length) return null;
  const values = points.map(([at]) => at);
  if (value < values[0] - step / 2 || value > values[values.length - 1] + step / 2) return null;
  const exact = points.find(([at]) => Math.abs(at - value) < step / 2);
  if (exact) {
    const n = exact[1].length;
    return { level: mean(exact[1]), how: n > 1 ? `mean of ${n} models` : "one model" };
  }
  const above = values.findIndex((at) => at > value);
  return {
    level: between(values, points.map(([, all]) => mean(all)), value),
    how: `between measured ${values[above - 1]} and ${values[above]}`,
  };
}

function verdict(points, value, level) {
  if (points.length < 3) return "";
  const levels = points.map(([, all]) => mean(all));
  const best = Math.max(...levels);
  if (level >= 0.95 * best) return "best range";
  if (value < points[levels.indexOf(best)][0]) return "too little";
  return level < best / 2 ? "too much" : "a lot";
}

function moveHill(hill, value) {
  const { figure, data } = hill;
  const { x, y } = places(hill);
  const found = measured(data, value);
  hill.cursor.setAttribute("x1", x(value));
  hill.cursor.setAttribute("x2", x(value));
  hill.now.style.display = found ? "" : "none";
  if (found) {
    hill.now.setAttribute("cx", x(value));
    hill.now.setAttribute("cy", y(found.level));
  }
  const say = (name, text) => (figure.querySelector(`.${name}`).textContent = text);
  say("value", `${data.symbol} = ${value.toFixed(data.digits)}${data.unit ? ` ${data.unit}` : ""}`);
  say("level", found ? percent(found.level) : "not measured");
  say("how", found ? found.how : data.points.length ? "beyond what was measured" : data.missing);
  say("verdict", found ? verdict(data.points, value, found.level) : "");
  hill.svg.setAttribute("aria-label", `${data.label}: ${value.toFixed(data.digits)} ${data.unit}; ${data.of}: ${found ? `${percent(found.level)}, ${found.how}` : "not measured"}`);
}

export default async function ({ parentElement, data: packet, setTriggerValue }) {
  const figure = parentElement.querySelector(".ued-hill");
  const hill = HILLS.get(figure) ?? { figure, calls: 0, svg: figure.querySelector("svg"), value: null, stop: () => {} };
  HILLS.set(figure, hill);
  const call = ++hill.calls;
  const end = () => {
    if (hill.calls !== call) return;
    hill.stop();
    hill.observer?.disconnect();
    HILLS.delete(figure);
  };
  const data = await opened(packet, () => setTriggerValue("lost", Date.now()));
  if (!data || hill.calls !== call) return end;
  data.points = data.points.sort((a, b) => a[0] - b[0]);
  hill.data = data;
  figure.querySelector(".label").textContent = data.label;
  figure.querySelector(".of").textContent = data.of;
  figure.querySelector(".note").textContent = data.note;
  drawHill(hill);
  moveHill(hill, hill.value ?? data.value);
  hill.stop();
  hill.stop = follow(data.slider, (value) => {
    hill.value = value;
    moveHill(hill, value);
  });
  hill.observer ??= new ResizeObserver(() => {
    drawHill(hill);
    moveHill(hill, hill.value ?? hill.data.value);
  });
  hill.observer.observe(hill.svg);
  return end;
}
