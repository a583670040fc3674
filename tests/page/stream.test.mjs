// The page's stream, without a browser: what it asks for, and what becomes of pictures that are not shown.

import assert from "node:assert/strict";
import test from "node:test";

import { discard, socketUrl, Stream } from "../../center/web/page/stream.js";

test("the socket stands beside the page, wherever that is", () => {
  assert.equal(socketUrl("http://host:8080/", "lab"), "ws://host:8080/ws?rig=lab");
  assert.equal(socketUrl("https://host/cameras/one/", "a b"), "wss://host/cameras/one/ws?rig=a%20b");
});

test("pictures that are not shown are closed", () => {
  const closed = [];
  const bitmap = (name) => ({ close: () => closed.push(name) });
  discard({ views: [{ picture: bitmap("left") }, { picture: undefined }], measured: [{ reference: bitmap("original") }] });
  assert.deepEqual(closed, ["left", "original"]);
});

class FakeSocket {
  static OPEN = 1;
  static made = [];
  constructor(url) {
    this.url = url;
    this.readyState = FakeSocket.OPEN;
    this.sent = [];
    FakeSocket.made.push(this);
  }
  send(text) { this.sent.push(text); }
  close() { this.closed = true; }
}

function message(header) {
  const text = new TextEncoder().encode(JSON.stringify(header));
  const data = new Uint8Array(4 + text.length);
  new DataView(data.buffer).setUint32(0, text.length, true);
  data.set(text, 4);
  return data.buffer;
}

function fakeBrowser() {
  globalThis.WebSocket = FakeSocket;
  globalThis.document = { baseURI: "http://host/" };
  globalThis.requestAnimationFrame = (draw) => setTimeout(draw, 0);
  FakeSocket.made.length = 0;
}

test("picking another rig closes the socket of the one before", () => {
  fakeBrowser();
  const stream = new Stream(() => {}, () => {});
  stream.open("lab");
  stream.open("barn");
  const [lab, barn] = FakeSocket.made;
  assert.ok(lab.closed);
  assert.equal(barn.url, "ws://host/ws?rig=barn");
  stream.close();
});

test("credit goes back once a message is shown, and what came for the rig before is not shown", async () => {
  fakeBrowser();
  const shown = [];
  const stream = new Stream((parcel) => shown.push(parcel.rig), () => {});
  stream.open("lab");
  const [lab] = FakeSocket.made;
  lab.onmessage({ data: message({ rig: "lab", views: [], measured: [] }) });
  await stream.shown;
  assert.deepEqual(shown, ["lab"]);
  assert.deepEqual(lab.sent, ["shown"]);
  lab.onmessage({ data: message({ rig: "lab", views: [], measured: [] }) });
  stream.open("barn");
  await stream.shown;
  assert.deepEqual(shown, ["lab"]);
  stream.close();
});
