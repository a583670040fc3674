import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { Stream, socketUrl } from "../../../../center/web/page/stream.js";
import { FakeBitmap, FakeSocket, install, message, page } from "./browser.mjs";

const left = (picture, sequence = 1) => ({ view: "left", sequence, picture });

let shown, states, stream;

beforeEach(() => {
  install();
  shown = [];
  states = [];
  stream = new Stream((each) => shown.push(each), (open) => states.push(open));
});

async function deliver(socket, data) {
  socket.onmessage({ data });
  await stream.shown;
}

const newest = () => FakeSocket.made.at(-1);

test("a message brings its pictures, and is answered when it is shown", async () => {
  stream.open("lab");
  const socket = newest();
  assert.equal(socket.url.searchParams.get("rig"), "lab");
  await deliver(socket, message({ views: [left("picture")], measured: [{ view: "left", reference: "original" }] }));
  assert.equal(shown[0].views[0].picture.bytes, "picture");
  assert.equal(shown[0].measured[0].reference.bytes, "original");
  assert.deepEqual(socket.sent, ["shown"]);
});

test("the first rig that shows something is followed by a socket of its own", async () => {
  stream.open("");
  const [first] = FakeSocket.made;
  await deliver(first, message({ rig: "barn", views: [left("barn's")] }));
  assert.equal(shown.length, 1);
  assert.equal(FakeSocket.made.length, 2);
  assert.equal(newest().url.searchParams.get("rig"), "barn");
  assert.notEqual(first.readyState, FakeSocket.OPEN);
  assert.deepEqual(states, [], "nobody is told of a lost socket");
});

test("a socket that comes back asks for the same rig again", async (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  stream.open("barn");
  newest().close();
  assert.deepEqual(states, [false]);
  context.mock.timers.tick(5000);
  assert.equal(FakeSocket.made.length, 2);
  assert.equal(newest().url.searchParams.get("rig"), "barn");
});

test("picking another rig closes the socket of the one before", () => {
  stream.open("lab");
  stream.open("barn");
  const [lab, barn] = FakeSocket.made;
  assert.notEqual(lab.readyState, FakeSocket.OPEN);
  assert.equal(barn.url.href, "ws://center.example:8080/ws?rig=barn");
  assert.deepEqual(states, [], "nobody is told of a lost socket");
});

test("another rig's pictures are never decoded, and its message is answered", async () => {
  stream.open("lab");
  await deliver(newest(), message({ rig: "barn", views: [left("barn's")] }));
  assert.deepEqual([shown, FakeBitmap.made, newest().sent.length], [[], [], 1]);
  await deliver(newest(), message({ rig: "lab", views: [left("lab's")] }));
  assert.equal(shown[0].views[0].picture.bytes, "lab's");
});

test("what comes for a rig that is no longer picked is closed", async () => {
  stream.open("lab");
  const socket = newest();
  let decoded;
  const gate = new Promise((resolve) => { decoded = resolve; });
  page.bitmap = async (blob) => {
    const bitmap = new FakeBitmap(await blob.text());
    await gate;
    return bitmap;
  };
  socket.onmessage({ data: message({ views: [left("late")], measured: [{ view: "left", reference: "original" }] }) });
  while (FakeBitmap.made.length < 2) await new Promise(setImmediate);
  stream.open("barn");
  decoded();
  await stream.shown;
  assert.deepEqual(shown, []);
  assert.deepEqual(FakeBitmap.made.map((bitmap) => bitmap.closed), [true, true]);
});

test("a picture that cannot be decoded leaks none of the others, and ends the socket", async (context) => {
  context.mock.method(console, "error", () => {});
  page.bitmap = async (blob) => {
    const text = await blob.text();
    if (text === "damaged") throw new Error("damaged");
    return new FakeBitmap(text);
  };
  stream.open("lab");
  const socket = newest();
  await deliver(socket, message({ views: [left("whole"), { view: "right", sequence: 1, picture: "damaged" }] }));
  assert.deepEqual(shown, []);
  assert.deepEqual(FakeBitmap.made.map((bitmap) => bitmap.closed), [true]);
  assert.notEqual(socket.readyState, FakeSocket.OPEN);
  stream.close();
});

test("the socket is beside the page, also under a prefix and over https", () => {
  assert.equal(socketUrl("a b"), "ws://center.example:8080/ws?rig=a+b");
  page.baseURI = "https://example.org/cameras/two/?rig=lab#top";
  assert.equal(socketUrl("lab"), "wss://example.org/cameras/two/ws?rig=lab");
});
