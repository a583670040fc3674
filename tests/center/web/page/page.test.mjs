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

const elements = {};
const asked = []; // requests that are not answered yet
let refresh;

const turn = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

// Answer a request as soon as there is one.
async function answer(path, body) {
  const found = () => asked.findIndex(({ url }) => url.pathname === path);
  while (found() < 0) await turn(10);
  const [{ resolve }] = asked.splice(found(), 1);
  resolve({ ok: true, status: 200, json: async () => body });
  await turn(0); // what waits for it goes on
}

test("the rig that is picked gets a socket of its own, and the address of the page names it", async () => {
  install();
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
    setInterval: (callback) => { refresh = callback; },
    fetch: (url) => new Promise((resolve) => asked.push({ url, resolve })), // what is shown does not hang on an answer
  });
  await import("../../../../center/web/page/page.js");
  assert.deepEqual(FakeSocket.made.map((socket) => socket.url.searchParams.get("rig")), ["lab"]);
  elements.rigs.listeners.change({ target: { value: "barn" } });
  const [lab, barn] = FakeSocket.made;
  assert.notEqual(lab.readyState, FakeSocket.OPEN);
  assert.equal(barn.url.searchParams.get("rig"), "barn");
  assert.deepEqual(addresses, ["http://center.example:8080/?rig=barn"]);
});

test("a recording that stops is said where everybody sees it, until it goes on", async () => {
  assert.equal(elements.recording.hidden, true);
  const status = {
    ready: true, why: "", codec: "small-joint", codec_hash: "0123", engine: "fake", rigs: ["lab"], live_rigs: [], emulator: null,
    symbols: 5120, trained_snr_db: [-2, 12], ms_ssim: "MS-SSIM", who: null,
    recording: { state: "stopped", why: "no space left on device; make room", pairs: { recorded: 3, dropped: 0, failed: 2 } },
  };
  await answer("/api/status", status);
  refresh();
  assert.equal(elements.recording.hidden, false);
  assert.equal(elements["recording-title"].textContent, "Recording has stopped");
  assert.match(elements["recording-why"].textContent, /^No space left on device; make room\. 2 pairs are missing/);
  await answer("/api/links", { links: [] });
  await answer("/api/status", { ...status, recording: { state: "recording", why: "", pairs: { recorded: 4, dropped: 0, failed: 2 } } });
  refresh();
  assert.equal(elements.recording.hidden, true);
});
