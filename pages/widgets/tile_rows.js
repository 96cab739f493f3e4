// @ts-check
/// <reference types="./scripts.d.ts" />
// Each row of tiles is one picture; a tile is a window on it, so gaps, marks and clicks are the page's business.

const drawn = new WeakMap();
const calls = new WeakMap();

function element(tag, name, text = "") {
  const made = document.createElement(tag);
  if (name) made.className = name;
  made.textContent = text;
  return made;
}

function bold(place, text) {
  text.split(/(\*\*.+?\*\*)/).forEach((part) => {
    const strong = part.startsWith("**") && part.length > 4;
    place.append(strong ? element("strong", "", part.slice(2, -2)) : part);
  });
}

function tile(row, column, data, y) {
  const made = element(data.clickable ? "button" : "span", "tile");
  made.style.backgroundSize = `${100 * row.count}% 100%`;
  made.style.backgroundPosition = `${row.count > 1 ? (100 * column) / (row.count - 1) : 0}% 0`;
  if (data.clickable) {
    made.type = "button";
    made.dataset.row = y;
    made.dataset.column = column;
    made.setAttribute("aria-label", [data.names[column], row.label].filter(Boolean).join(", ") || `${column + 1}`);
  }
  return made;
}

// Decoded before it is shown: a background that is still loading would flash empty. By a short
// address: the whole picture as text would be read again for every tile.
function show(strip, { name, content }) {
  if (strip.wanted === name) return strip.ready;
  strip.wanted = name;
  const image = new Image();
  image.src = URL.createObjectURL(new Blob([content], { type: "image/png" }));
  return (strip.ready = image.decode().then(() => {
    if (strip.wanted !== name) return URL.revokeObjectURL(image.src);
    if (strip.shown) URL.revokeObjectURL(strip.shown.src);
    strip.shown = image;
    strip.style.setProperty("--source", `url("${image.src}")`);
  }));
}

function build(figure, data) {
  const columns = Math.max(...data.rows.map((row) => row.count));
  const body = element("div", "body");
  body.style.setProperty("--columns", columns);
  if (data.names.length) {
    body.append(element("span"));
    const names = element("div", "names");
    data.names.forEach((name) => names.append(element("span", "", name)));
    body.append(names);
  }
  data.rows.forEach((row, y) => {
    const label = element("div", "label", row.label);
    if (row.more) label.append(element("small", "", row.more));
    const strip = element("div", "strip");
    for (let column = 0; column < row.count; column++) strip.append(tile(row, column, data, y));
    body.append(label, strip);
  });
  body.setAttribute("role", data.clickable ? "group" : "img");
  body.setAttribute("aria-label", data.alt);
  const caption = element("figcaption", "caption");
  figure.replaceChildren(body, caption);
}

function fill(figure, data) {
  const strips = [...figure.querySelectorAll(".strip")];
  const shown = strips.map((strip, y) => {
    [...strip.children].forEach((tile, column) => {
      const on = data.selected.includes(column);
      tile.classList.toggle("on", on);
      if (data.clickable) tile.setAttribute("aria-pressed", on);
    });
    return show(strip, data.parts[y]);
  });
  figure.querySelector(".body").setAttribute("aria-label", data.alt);
  const caption = figure.querySelector(".caption");
  caption.replaceChildren();
  bold(caption, data.caption);
  caption.hidden = !data.caption;
  const live = data.live ? [data.parts[data.live.source], data.parts[data.rows.length]] : [];
  // What is computed here stays until the server's picture can be seen.
  Promise.all(shown).then(() => drawn.get(figure) && followTiles(figure, strips, data, live));
}

export default async function ({ parentElement, data: packet, setTriggerValue }) {
  const figure = parentElement.querySelector(".ued-tiles");
  const call = {};
  calls.set(figure, call);
  const data = await opened(packet, () => setTriggerValue("lost", Date.now()));
  // A newer call may have come while pictures were fetched.
  if (!data || calls.get(figure) !== call) return;
  const shape = JSON.stringify([data.rows.map((row) => [row.label, row.more, row.count]), data.names, data.clickable]);
  if (drawn.get(figure) !== shape) {
    build(figure, data);
    drawn.set(figure, shape);
  }
  fill(figure, data);
  figure.onclick = (event) => {
    const hit = event.target.closest("button.tile");
    if (hit) setTriggerValue("picked", { row: Number(hit.dataset.row), column: Number(hit.dataset.column) });
  };
}
