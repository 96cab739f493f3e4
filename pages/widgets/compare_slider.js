// @ts-check
/// <reference types="./scripts.d.ts" />
// Two pictures of one size, one over the other; the slider moves the cut between them. The cut stays with the reader:
// no rerun moves it, and new pictures keep it.

// A mark such as ● is for eyes; a screen reader would read "black circle".
function spoken(label) {
  return label.replace(/^[^\p{L}\p{N}]+/u, "");
}

function cutAt(figure, percent, data) {
  const input = figure.querySelector("input");
  input.value = percent;
  figure.style.setProperty("--cut", `${percent}%`);
  input.setAttribute("aria-valuetext", `${Math.round(percent)} % ${spoken(data.labels[0])}, ${Math.round(100 - percent)} % ${spoken(data.labels[1])}`);
}

export default function ({ parentElement, data }) {
  const figure = parentElement.querySelector(".ued-compare");
  const input = figure.querySelector("input");
  const stage = figure.querySelector(".stage");
  const [before, after] = [figure.querySelector("img.before"), figure.querySelector("img.after")];
  if (before.getAttribute("src") !== data.before) before.src = data.before;
  if (after.getAttribute("src") !== data.after) after.src = data.after;
  after.alt = data.alt;
  figure.querySelector(".first").textContent = data.labels[0];
  figure.querySelector(".second").textContent = data.labels[1];
  const caption = figure.querySelector("figcaption");
  caption.textContent = data.caption;
  caption.hidden = !data.caption;
  input.setAttribute("aria-label", `Cut between ${spoken(data.labels[0])} and ${spoken(data.labels[1])}`);
  cutAt(figure, Number(input.value), data);
  input.oninput = () => cutAt(figure, Number(input.value), data);
  const follow = (event) => {
    const box = stage.getBoundingClientRect();
    cutAt(figure, Math.min(100, Math.max(0, (100 * (event.clientX - box.left)) / box.width)), data);
  };
  stage.onpointerdown = (event) => {
    stage.setPointerCapture(event.pointerId);
    follow(event);
  };
  stage.onpointermove = (event) => {
    if (stage.hasPointerCapture(event.pointerId)) follow(event);
  };
}
