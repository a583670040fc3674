import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { FakeSocket, install, page } from "./browser.mjs";

const html = readFileSync(new URL("../../../../center/web/page/index.html", import.meta.url), "utf8");

function parts() {
  return [...html.matchAll(/data-part="([^"]+)"/g)].map(([, name]) => {
    const made = element();
    made.dataset.part = name;
    return made;
  });
}

// An element that has every property and every method, and keeps what it is given and who listens.
function element() {
  const listeners = {};
  const own = { listeners, querySelectorAll: parts, addEventListener: (name, listener) => { listeners[name] = listener; } };
  return new Proxy(() => {}, {
    get: (_, key) => {
      if (key === Symbol.toPrimitive) return () => "0";
      if (key === Symbol.iterator) return function* nothing() {};
      return (own[key] ??= element());
    },
    set: (_, key, value) => { own[key] = value; return true; },
    apply: () => element(),
  });
}

test("the rig that is picked gets a socket of its own, and the address of the page names it", async () => {
  install();
  const elements = {};
  const addresses = [];
  Object.assign(page, {
    hidden: false,
    activeElement: null,
    getElementById: (id) => (elements[id] ??= element()),
    createElement: element,
    addEventListener: () => {},
  });
  Object.assign(globalThis, {
    location: new URL("http://center.example:8080/?rig=lab"),
    history: { replaceState: (_, __, url) => addresses.push(url.href) },
    ResizeObserver: class { observe() {} },
    Option: element,
    window: { devicePixelRatio: 1 },
    getComputedStyle: element,
    setInterval: () => 0,
    fetch: () => new Promise(() => {}), // a center that never answers: what is shown does not hang on it
  });
  await import("../../../../center/web/page/page.js");
  assert.deepEqual(FakeSocket.made.map((socket) => socket.url.searchParams.get("rig")), ["lab"]);
  elements.rigs.listeners.change({ target: { value: "barn" } });
  const [lab, barn] = FakeSocket.made;
  assert.notEqual(lab.readyState, FakeSocket.OPEN);
  assert.equal(barn.url.searchParams.get("rig"), "barn");
  assert.deepEqual(addresses, ["http://center.example:8080/?rig=barn"]);
});
