// @ts-check
/// <reference types="./scripts.d.ts" />
// Each row of tiles is one picture; a tile is a window on it, so gaps, marks and clicks are the page's business.

const drawn = new WeakMap();
const calls = new WeakMap();
// Tiles beside each other, on a desk and where there is less room; the style sheet says where which one holds.
const WIDE = 10;
const NARROW = 5;

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

function label(row) {
  const made = element("div", "label", row.role ? "" : row.label);
  if (row.role) {
    const role = element("span", "role", `${row.mark}\u00a0${row.label}`);
    role.style.color = `var(--ued-${row.role}-text)`;
    made.append(role);
  }
  if (row.more) made.append(" ", element("small", "", row.more));
  return made;
}

function numbered(made, numbers) {
  for (const [name, value] of Object.entries(numbers)) made.style.setProperty(`--${name}`, value);
  return made;
}

function build(figure, data) {
  const columns = Math.max(...data.rows.map((row) => row.count));
  const wide = Math.min(WIDE, columns);
  const narrow = Math.min(NARROW, columns);
  const named = data.names.length ? 1 : 0;
  const body = element("div", "body");
  numbered(body, { rows: data.rows.length, named, wide, narrow });
  const places = Array.from({ length: columns }, (_, column) => ({
    "wide-band": Math.floor(column / wide), "wide-place": column % wide, band: Math.floor(column / narrow), place: column % narrow,
  }));
  if (named) {
    const names = element("div", "names");
    data.names.forEach((name, column) => {
      const made = element("span", "name", name);
      made.dataset.band = places[column].band;
      made.dataset.wideBand = places[column]["wide-band"];
      names.append(numbered(made, { ...places[column], y: 0 }));
    });
    body.append(names);
  }
  data.rows.forEach((row, y) => {
    const strip = element("div", "strip");
    if (row.role) {
      strip.dataset.role = row.role;
      strip.style.setProperty("--role", `var(--ued-${row.role})`);
    }
    for (let column = 0; column < row.count; column++) {
      strip.append(numbered(tile(row, column, data, y), { ...places[column], y: y + named }));
    }
    // One name per band; where bands hold ten, the names between them are hidden.
    for (let column = 0; column < row.count; column += narrow) {
      const made = numbered(label(row), { ...places[column], y: y + named });
      if (places[column]["wide-place"]) made.classList.add("again");
      body.append(made);
    }
    body.append(strip);
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
  const live = data.live ? [data.parts[data.live.source], data.parts[data.live.draws]] : [];
  // What is computed here stays until the server's picture can be seen.
  Promise.all(shown).then(() => drawn.get(figure) && followTiles(figure, strips, data, live));
}

export default async function ({ parentElement, data: packet, setTriggerValue }) {
  const figure = parentElement.querySelector(".ued-tiles");
  const call = {};
  calls.set(figure, call);
  const data = await opened(packet, () => setTriggerValue("lost", Date.now()));
  // A newer call may have come while pictures were fetched.
  const end = () => calls.get(figure) === call && unfollowTiles(figure);
  if (!data || calls.get(figure) !== call) return end;
  const shape = JSON.stringify([data.rows.map((row) => [row.label, row.more, row.count, row.role]), data.names, data.clickable]);
  if (drawn.get(figure) !== shape) {
    build(figure, data);
    drawn.set(figure, shape);
  }
  fill(figure, data);
  figure.classList.toggle("above", data.above);
  figure.onclick = (event) => {
    const hit = event.target.closest("button.tile");
    if (hit) setTriggerValue("picked", { row: Number(hit.dataset.row), column: Number(hit.dataset.column) });
  };
  return end;
}
