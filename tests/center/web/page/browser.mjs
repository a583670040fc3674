// What the page's scripts need of a browser, as far as the tests look at it: sockets, bitmaps, animation frames.

export class FakeSocket {
  static OPEN = 1;
  static made = [];

  constructor(url) {
    this.url = new URL(url);
    this.readyState = FakeSocket.OPEN;
    this.sent = [];
    FakeSocket.made.push(this);
  }

  send(text) { this.sent.push(text); }

  close() {
    this.readyState = 3;
    this.onclose?.();
  }
}

export class FakeBitmap {
  static made = [];

  constructor(bytes) {
    this.bytes = bytes;
    this.closed = false;
    FakeBitmap.made.push(this);
  }

  close() { this.closed = true; }
}

export const page = { baseURI: "http://center.example:8080/" };

export function install() {
  FakeSocket.made = [];
  FakeBitmap.made = [];
  page.baseURI = "http://center.example:8080/";
  page.bitmap = async (blob) => new FakeBitmap(await blob.text());
  Object.assign(globalThis, {
    WebSocket: FakeSocket,
    document: page,
    createImageBitmap: (blob) => page.bitmap(blob),
    requestAnimationFrame: (callback) => setTimeout(callback, 0),
  });
}

// A message as center/web/stream.py makes it; files: texts in place of JPEGs.
export function message({ rig = "lab", views = [], measured = [], captured_at_ms = 1 }) {
  const files = [];
  let offset = 0;
  const place = (text) => {
    files.push(text);
    offset += text.length;
    return [offset - text.length, text.length];
  };
  const header = {
    rig, captured_at_ms, pairing: "paired",
    views: views.map((view) => ({ ...view, picture: place(view.picture) })),
    measured: measured.map((view) => ({ ...view, reference: place(view.reference) })),
  };
  const text = new TextEncoder().encode(JSON.stringify(header));
  const whole = new Uint8Array(4 + text.length + offset);
  new DataView(whole.buffer).setUint32(0, text.length, true);
  whole.set(text, 4);
  whole.set(new TextEncoder().encode(files.join("")), 4 + text.length);
  return whole.buffer;
}
