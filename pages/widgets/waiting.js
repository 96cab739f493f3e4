// @ts-check
/// <reference types="./scripts.d.ts" />
// Asks the server, without running the page, whether one of some pieces of work is done; then the page is run once.

const waits = new WeakMap();
const calls = new WeakMap();

async function wait(data, signal, done) {
  const address = `${data.address}?${data.keys.map((key) => `key=${encodeURIComponent(key)}`).join("&")}`;
  while (!signal.aborted) {
    try {
      const answer = await fetch(address, { signal, cache: "no-store" });
      if (!answer.ok || (await answer.json()).done) break;
    } catch {
      if (signal.aborted) return;
      await new Promise((next) => setTimeout(next, 1000));
    }
  }
  // A run that is asked for while another one is being put together can be lost; a page that has run no longer waits for this.
  for (let pause = 3000; !signal.aborted; pause *= 2) {
    done();
    await new Promise((next) => setTimeout(next, pause));
  }
}

export default function ({ parentElement, data, setTriggerValue }) {
  const node = parentElement.querySelector(".ued-wait");
  const wanted = data.keys.join("\n");
  const call = {};
  calls.set(node, call);
  if (waits.get(node)?.wanted !== wanted) {
    waits.get(node)?.stop.abort();
    const stop = new AbortController();
    waits.set(node, { wanted, stop });
    if (data.keys.length) wait(data, stop.signal, () => setTriggerValue("done", wanted));
  }
  return () => {
    // Streamlit also runs the end of a call that was overtaken by a newer one: the wait is the newer one's then.
    if (calls.get(node) !== call) return;
    waits.get(node)?.stop.abort();
    waits.delete(node);
  };
}
