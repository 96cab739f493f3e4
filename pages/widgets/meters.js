// @ts-check
/// <reference types="./scripts.d.ts" />
// Bars with a share each, which follow a slider along what was measured at some of its values.

const METERS = new WeakMap();

function barFor({ label, words, role }) {
  const row = document.createElement("div");
  row.className = "meter";
  row.dataset.role = role;
  const text = document.createElement("div");
  const name = document.createElement("strong");
  name.textContent = label;
  text.append(name, ` ${words}`);
  const bar = document.createElement("div");
  bar.className = "bar";
  bar.append(document.createElement("i"));
  const number = document.createElement("span");
  number.className = "share";
  row.append(text, bar, number);
  return row;
}

function moveMeters(figure, data, value) {
  const rows = figure.querySelectorAll(".meter");
  data.meters.forEach(({ values, label }, i) => {
    const share = data.at.length ? between(data.at, values, value) : null;
    const text = share === null ? "…" : `${Math.round(100 * share)} %`;
    rows[i].querySelector("i").style.width = share === null ? "0" : `${100 * share}%`;
    rows[i].querySelector(".share").textContent = text;
    rows[i].setAttribute("aria-label", `${label}: ${text}`);
  });
}

export default async function ({ parentElement, data: packet, setTriggerValue }) {
  const figure = parentElement.querySelector(".ued-meters");
  const meters = METERS.get(figure) ?? { calls: 0, stop: () => {}, value: null };
  METERS.set(figure, meters);
  const call = ++meters.calls;
  const end = () => {
    if (meters.calls !== call) return;
    meters.stop();
    METERS.delete(figure);
  };
  const data = await opened(packet, () => setTriggerValue("lost", Date.now()));
  if (!data || meters.calls !== call) return end;
  const shape = JSON.stringify(data.meters.map(({ label, words, role }) => [label, words, role]));
  if (meters.shape !== shape) figure.querySelector(".rows").replaceChildren(...data.meters.map(barFor));
  meters.shape = shape;
  figure.querySelector("figcaption").textContent = data.note;
  moveMeters(figure, data, meters.value ?? data.value);
  meters.stop();
  meters.stop = follow(data.slider, (value) => {
    meters.value = value;
    moveMeters(figure, data, value);
  });
  return end;
}
