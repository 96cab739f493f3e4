// @ts-check
/// <reference types="./scripts.d.ts" />
// Defences of a few lines, as ued_core.defenses declares them with `live`; tests/browser/test_live_operations.py holds
// both together. Pixels are RGBA bytes, one image; draws are those of this image for one unit of the value.

// Lower neighbour of a place beyond the border, and its upper neighbour, by the rule of ued_core.displacement.
function folded(place, fraction, size, official) {
  if (!official) {
    const low = ((place % size) + size) % size;
    return [low, low + 1 < size ? low + 1 : 0];
  }
  const period = Math.max(size - 1, 1);
  let low = place;
  if (place < 0 || place > size - 1 || (place === size - 1 && fraction > 0)) {
    low = ((place % period) + period) % period;
    if (place < 0 && fraction === 0 && low === 0) low = size - 1;
  }
  return [low, Math.min(low + 1, size - 1)];
}

function displaced(source, target, width, height, dx, dy, settings) {
  const official = settings.boundary === "scipy_wrap";
  for (let y = 0, p = 0; y < height; y++) {
    for (let x = 0; x < width; x++, p++) {
      const wholeX = Math.floor(dx(p)), wholeY = Math.floor(dy(p));
      const fx = dx(p) - wholeX, fy = dy(p) - wholeY;
      const [left, right] = folded(x + wholeX, fx, width, official);
      const [top, bottom] = folded(y + wholeY, fy, height, official);
      const a = 4 * (top * width + left), b = 4 * (top * width + right);
      const c = 4 * (bottom * width + left), d = 4 * (bottom * width + right);
      const wa = (1 - fy) * (1 - fx), wb = (1 - fy) * fx, wc = fy * (1 - fx), wd = fy * fx;
      for (let k = 0; k < 3; k++) {
        const value = wa * source[a + k] + wb * source[b + k] + wc * source[c + k] + wd * source[d + k];
        // A clamped array rounds by itself; a hair more, since float32 may lie below a whole level that float64 meets.
        target[4 * p + k] = settings.truncate ? Math.floor(value + 1e-4) : value;
      }
      target[4 * p + 3] = 255;
    }
  }
}

function byFields(draws, value, part) {
  const size = draws.length / 2;
  const moved = (at) => part(value * draws[at]);
  return [(p) => moved(p), (p) => moved(size + p)];
}

// As torch rounds.
function nearest(value) {
  const low = Math.floor(value);
  if (value - low !== 0.5) return Math.round(value);
  return low % 2 === 0 ? low : low + 1;
}

function mirrored(at, size) {
  if (at < 0) return -at;
  return at >= size ? 2 * (size - 1) - at : at;
}

const OPERATIONS = {
  displace(source, target, width, height, value, settings, draws) {
    const [dx, dy] = byFields(draws, value, (moved) => moved);
    displaced(source, target, width, height, dx, dy, settings);
  },
  shift(source, target, width, height, value, settings, draws) {
    const [dx, dy] = byFields(draws, value, nearest);
    displaced(source, target, width, height, dx, dy, settings);
  },
  interpolate(source, target, width, height, value, settings, draws) {
    const [dx, dy] = byFields(draws, value, (moved) => moved - nearest(moved));
    displaced(source, target, width, height, dx, dy, settings);
  },
  noise(source, target, width, height, value, _settings, draws) {
    const size = width * height;
    const channels = draws.length / size;
    for (let p = 0; p < size; p++) {
      for (let k = 0; k < 3; k++) {
        target[4 * p + k] = source[4 * p + k] + 255 * value * draws[Math.min(k, channels - 1) * size + p];
      }
      target[4 * p + 3] = 255;
    }
  },
  blur(source, target, width, height, value, settings) {
    const reach = settings.size >> 1;
    const weights = Array.from({ length: settings.size }, (_, k) => Math.exp(-0.5 * ((k - reach) / value) ** 2));
    const sum = weights.reduce((a, b) => a + b);
    const rows = new Float32Array(3 * width * height);
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        for (let k = 0; k < settings.size; k++) {
          const from = 4 * (mirrored(y + k - reach, height) * width + x), to = 3 * (y * width + x);
          for (let c = 0; c < 3; c++) rows[to + c] += (weights[k] / sum) * source[from + c];
        }
      }
    }
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const to = 4 * (y * width + x);
        for (let c = 0; c < 3; c++) {
          let blurred = 0;
          for (let k = 0; k < settings.size; k++) {
            blurred += (weights[k] / sum) * rows[3 * (y * width + mirrored(x + k - reach, width)) + c];
          }
          target[to + c] = blurred;
        }
        target[to + 3] = 255;
      }
    }
  },
  bits(source, target, width, height, value, settings) {
    const bin = 1 << (8 - Math.round(value));
    for (let p = 0; p < 4 * width * height; p++) {
      target[p] = (p & 3) === 3 ? 255 : (source[p] & (0x100 - bin)) + (settings.unbiased ? bin >> 1 : 0);
    }
  },
};

// deno-lint-ignore no-unused-vars -- components call it: this script is put before theirs
function operate(operation, source, target, width, height, value, draws) {
  OPERATIONS[operation.name](source, target, width, height, value * operation.scale, operation.settings, draws);
}
