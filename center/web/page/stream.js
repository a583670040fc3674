// Decoded pairs of one rig over a WebSocket that comes back by itself. The format stands in center/web/stream.py.

const FIRST_WAIT = 300;
const LONGEST_WAIT = 4000;
const LOG_IN_AGAIN = "log in again"; // as in center/web/stream.py

// onMessage(message): a header; pictures are ImageBitmaps in `picture` and `reference`, the receiver closes them.
// onChange(open): the socket's state. onRefused(): the login counts no more.
export class Stream {
  constructor(onMessage, onChange, onRefused = () => {}) {
    this.onMessage = onMessage;
    this.onChange = onChange;
    this.onRefused = onRefused;
    this.rig = "";
    this.failures = 0;
    this.shown = Promise.resolve();
  }

  // rig: its name; "" takes the first that shows something, and stays with it.
  open(rig) {
    this.close();
    this.rig = rig;
    const socket = new WebSocket(socketUrl(rig));
    this.socket = socket;
    socket.binaryType = "arraybuffer";
    socket.onopen = () => this.onChange(true);
    socket.onmessage = (event) => this.receive(socket, event.data);
    socket.onclose = (event) => this.lost(socket, event);
  }

  close() {
    clearTimeout(this.timer);
    const socket = this.socket;
    this.socket = undefined;
    socket?.close();
  }

  lost(socket, event) {
    if (socket !== this.socket) return;
    this.onChange(false);
    if (event?.reason === LOG_IN_AGAIN) this.onRefused();
    const wait = Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** this.failures++);
    this.timer = setTimeout(() => this.open(this.rig), wait * (0.5 + Math.random() / 2));
  }

  // One after the other, and the credit goes back only when the picture is shown.
  receive(socket, data) {
    this.failures = 0;
    const arrived = performance.now();
    this.shown = this.shown.then(async () => {
      if (socket !== this.socket) return;
      const header = headerOf(data);
      if (this.rig && header.rig !== this.rig) {
        socket.send("another rig");
        return;
      }
      const message = await withPictures(header, data, arrived);
      if (socket !== this.socket) {
        discard(message);
        return;
      }
      const first = !this.rig;
      this.onMessage(message);
      if (first && socket === this.socket) this.open(header.rig); // the other rigs' pictures need not come
      await drawn();
      if (socket.readyState === WebSocket.OPEN) socket.send("shown");
    }).catch((error) => {
      console.error(error);
      socket.close();
    });
  }
}

// Beside the page, wherever a proxy has put that.
export function socketUrl(rig) {
  const url = new URL("ws", document.baseURI);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  url.search = new URLSearchParams({ rig }).toString();
  url.hash = "";
  return url.href;
}

function headerOf(data) {
  return JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, headerLength(data))));
}

const headerLength = (data) => new DataView(data).getUint32(0, true);

async function withPictures(header, data, arrived) {
  const base = 4 + headerLength(data);
  const picture = (place) => place && createImageBitmap(
    new Blob([new Uint8Array(data, base + place[0], place[1])], { type: "image/jpeg" }));
  const message = { ...header, arrived };
  const made = [
    ...message.views.map((view) => fill(view, "picture", picture)),
    ...message.measured.map((view) => fill(view, "reference", picture)),
  ];
  const failed = (await Promise.allSettled(made)).find((result) => result.status === "rejected");
  if (!failed) return message;
  discard(message);
  throw failed.reason;
}

async function fill(view, name, picture) {
  const place = view[name];
  view[name] = null;
  view[name] = await picture(place);
}

// An ImageBitmap holds its memory until it is closed.
function discard(message) {
  for (const view of message.views) view.picture?.close();
  for (const view of message.measured) view.reference?.close();
}

// The next animation frame; a page that is not painted must not hold the stream for ever.
const drawn = () => new Promise((resolve) => {
  requestAnimationFrame(resolve);
  setTimeout(resolve, 100);
});
