// @ts-check
/// <reference types="./scripts.d.ts" />
// What a slider of the page says while it is dragged. Streamlit tells the server on release only; the value under the
// finger stands in the range input inside the slider, whose aria-valuetext every slider keeps for those who cannot see it.

const followed = (window.uedFollowed ??= new Map());

function thumbOf(key) {
  return document.querySelector(`.st-key-${CSS.escape(key)} input[type="range"]`);
}

function valueOf(thumb) {
  const value = Number(thumb?.value);
  return thumb && Number.isFinite(value) ? value : null;
}

function watch(key) {
  const slider = { listeners: new Set(), thumb: null, value: null, frame: 0 };
  const tell = () => {
    slider.frame = 0;
    slider.listeners.forEach((listener) => listener(slider.value));
  };
  const seen = () => {
    const value = valueOf(slider.thumb);
    if (value === null || value === slider.value) return;
    slider.value = value;
    // However often the finger moves, each picture on the screen is computed once.
    slider.frame ||= requestAnimationFrame(tell);
  };
  const inner = new MutationObserver(seen);
  const find = () => {
    if (slider.thumb?.isConnected) return;
    slider.thumb = thumbOf(key);
    inner.disconnect();
    if (!slider.thumb) return;
    inner.observe(slider.thumb, { attributes: true, attributeFilter: ["aria-valuetext", "value"] });
    seen();
  };
  // Streamlit may take a slider off the page and put another one there.
  const outer = new MutationObserver(find);
  outer.observe(document.body, { childList: true, subtree: true });
  find();
  slider.stop = () => {
    outer.disconnect();
    inner.disconnect();
    cancelAnimationFrame(slider.frame);
  };
  return slider;
}

// Calls `listener` with the value of the slider with this key now and whenever it moves, at most once per frame; returns
// what ends that.
// deno-lint-ignore no-unused-vars -- components call it: this script is put before theirs
function follow(key, listener) {
  if (!followed.has(key)) followed.set(key, watch(key));
  const slider = followed.get(key);
  slider.listeners.add(listener);
  if (slider.value !== null) listener(slider.value);
  return () => {
    slider.listeners.delete(listener);
    if (slider.listeners.size || followed.get(key) !== slider) return;
    slider.stop();
    followed.delete(key);
  };
}

// The straight line between measured points; constant beyond them.
// deno-lint-ignore no-unused-vars -- components call it: this script is put before theirs
function between(xs, ys, x) {
  if (x <= xs[0]) return ys[0];
  for (let i = 1; i < xs.length; i++) {
    if (x <= xs[i]) return ys[i - 1] + ((ys[i] - ys[i - 1]) * (x - xs[i - 1])) / (xs[i] - xs[i - 1]);
  }
  return ys[ys.length - 1];
}
