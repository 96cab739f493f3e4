// @ts-check
/// <reference types="./scripts.d.ts" />
// A row of tiles that follows a slider: while it is dragged, the row is computed here from the row that it is made of,
// with the server's own draws; the server's picture takes over when it comes.

const LIVE = new WeakMap();

// RGBA bytes of every tile of a strip of N pictures beside each other.
async function pixelsOf(png, count) {
  const image = await createImageBitmap(new Blob([png], { type: "image/png" }), { colorSpaceConversion: "none" });
  const canvas = document.createElement("canvas");
  canvas.width = image.width;
  canvas.height = image.height;
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  pen.drawImage(image, 0, 0);
  const width = image.width / count;
  return Array.from({ length: count }, (_, n) => pen.getImageData(n * width, 0, width, image.height));
}

function canvasOn(tile, width, height) {
  let canvas = tile.querySelector("canvas");
  if (!canvas) {
    canvas = document.createElement("canvas");
    canvas.className = "live";
    canvas.setAttribute("aria-hidden", "true");
    tile.append(canvas);
  }
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
  return canvas;
}

function paint(live, value) {
  live.tiles.forEach(({ pen, source, target, canvas }, n) => {
    operate(live.operation, source.data, target.data, source.width, source.height, value,
      live.draws && live.draws.subarray(n * live.each, (n + 1) * live.each));
    pen.putImageData(target, 0, 0);
    canvas.hidden = false;
  });
}

// deno-lint-ignore no-unused-vars -- tile_rows.js calls it: this script is put before it
function unfollowTiles(figure) {
  LIVE.get(figure)?.end();
}

// deno-lint-ignore no-unused-vars -- tile_rows.js calls it: this script is put before it
async function followTiles(figure, strips, data, parts) {
  const given = data.live;
  const before = LIVE.get(figure);
  if (!given) {
    before?.end();
    return;
  }
  const name = JSON.stringify([given, parts.map((part) => part?.name), strips[given.row].childElementCount]);
  if (before?.name === name && before.strip === strips[given.row]) {
    before.at(given.value);
    return;
  }
  before?.end();
  const call = { name, strip: strips[given.row], end: () => void LIVE.delete(figure), at: (_value) => {} };
  LIVE.set(figure, call);
  const [png, drawn] = parts;
  const sources = await pixelsOf(png.content, strips[given.row].childElementCount);
  // A newer call, or the page's end, may have come meanwhile.
  if (LIVE.get(figure) !== call) return;
  // A copy, since the bytes may begin anywhere and halves of numbers cannot be read.
  const draws = drawn && new Float32Array(drawn.content.slice().buffer);
  const live = {
    operation: given.operation, draws, each: draws ? draws.length / sources.length : 0,
    tiles: sources.map((source, n) => {
      const canvas = canvasOn(call.strip.children[n], source.width, source.height);
      canvas.hidden = true;
      return { canvas, pen: canvas.getContext("2d"), source, target: new ImageData(source.width, source.height) };
    }),
  };
  let served = given.value, shown = given.value;
  const settle = () => {
    // The server's own picture of this value is below.
    if (Math.abs(shown - served) < 1e-9) live.tiles.forEach(({ canvas }) => (canvas.hidden = true));
  };
  call.at = (value) => {
    served = value;
    settle();
  };
  const stop = follow(given.slider, (value) => {
    shown = value;
    if (Math.abs(value - served) < 1e-9) settle();
    else paint(live, value);
  });
  call.end = () => {
    stop();
    live.tiles.forEach(({ canvas }) => canvas.remove());
    LIVE.delete(figure);
  };
}
