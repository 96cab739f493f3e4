// @ts-check
// Opens what delivery.py packs. A part comes with a message the first time and is only named afterwards: it is kept
// here, and fetched where it is not.

const KEPT_BYTES = 32 * 2 ** 20;
const kept = new Map();
let keptBytes = 0;

function keep(name, content) {
  if (kept.has(name)) kept.delete(name);
  else keptBytes += content.byteLength;
  kept.set(name, content);
  for (const [oldest, bytes] of kept) {
    if (keptBytes <= KEPT_BYTES || oldest === name) break;
    kept.delete(oldest);
    keptBytes -= bytes.byteLength;
  }
  return content;
}

async function fetched(address) {
  try {
    const answer = await fetch(address);
    return answer.ok ? new Uint8Array(await answer.arrayBuffer()) : null;
  } catch {
    return null;
  }
}

// The words of a message and its parts, each with `name` and `content`. Null when a part is neither here nor on the
// server; `lost` is then called, and a message with everything follows.
// deno-lint-ignore no-unused-vars -- components call it: this script is put before theirs
async function opened(packet, lost) {
  const length = new DataView(packet.buffer, packet.byteOffset).getUint32(0, true);
  const head = JSON.parse(new TextDecoder().decode(packet.subarray(4, 4 + length)));
  const contents = new Map();
  let at = 4 + length;
  for (const [name, size] of head.parts) {
    if (size !== null) contents.set(name, packet.slice(at, (at += size)));
    else if (kept.has(name)) contents.set(name, kept.get(name));
  }
  const missing = [...new Set(head.parts.map(([name]) => name))].filter((name) => !contents.has(name));
  if (missing.length) {
    const found = await Promise.all(missing.map((name) => fetched(head.from + name)));
    if (found.includes(null)) {
      lost();
      return null;
    }
    missing.forEach((name, i) => contents.set(name, found[i]));
  }
  contents.forEach((content, name) => keep(name, content));
  return { ...head.words, parts: head.parts.map(([name]) => ({ name, content: contents.get(name) })) };
}

// A component's style sheet, put on the page once however many of it there are.
// deno-lint-ignore no-unused-vars -- delivery.py writes the call behind the script of a component
function styled(name, text) {
  if (document.querySelector(`style[data-component="${name}"]`)) return;
  const style = document.createElement("style");
  style.dataset.component = name;
  style.textContent = text;
  document.head.append(style);
}
