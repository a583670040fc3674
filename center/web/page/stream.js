// Decoded pairs over a WebSocket that comes back by itself. The format stands in center/web/stream.py.

const FIRST_WAIT = 300;
const LONGEST_WAIT = 4000;

// onParcel(header): pictures are ImageBitmaps in `picture` and `reference`. onChange(open): the socket's state.
export function socketUrl(base, rig) {
  const url = new URL(`ws?rig=${encodeURIComponent(rig)}`, base);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  return url.href;
}

export class Stream {
  constructor(onParcel, onChange) {
    this.onParcel = onParcel;
    this.onChange = onChange;
    this.rig = "";
    this.failures = 0;
    this.shown = Promise.resolve();
  }

  open(rig) {
    this.close();
    this.rig = rig;
    const socket = new WebSocket(socketUrl(document.baseURI, rig));
    this.socket = socket;
    socket.binaryType = "arraybuffer";
    socket.onopen = () => this.onChange(true);
    socket.onmessage = (event) => this.receive(socket, event.data);
    socket.onclose = () => this.lost(socket);
  }

  close() {
    clearTimeout(this.timer);
    const socket = this.socket;
    this.socket = undefined;
    socket?.close();
  }

  lost(socket) {
    if (socket !== this.socket) return;
    this.onChange(false);
    const wait = Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** this.failures++);
    this.timer = setTimeout(() => this.open(this.rig), wait * (0.5 + Math.random() / 2));
  }

  // One after the other, and the credit goes back only when the picture is shown.
  receive(socket, data) {
    this.failures = 0;
    const arrived = performance.now();
    this.shown = this.shown.then(async () => {
      if (socket !== this.socket) return;
      const parcel = await unpack(data, arrived);
      if (socket !== this.socket) {
        discard(parcel);
        return;
      }
      this.onParcel(parcel);
      await drawn();
      if (socket.readyState === WebSocket.OPEN) socket.send("shown");
    }).catch((error) => {
      console.error(error);
      socket.close();
    });
  }
}

async function unpack(data, arrived) {
  const length = new DataView(data).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, length)));
  const base = 4 + length;
  const picture = (place) => place && createImageBitmap(
    new Blob([new Uint8Array(data, base + place[0], place[1])], { type: "image/jpeg" }));
  for (const view of header.views) view.picture = await picture(view.picture);
  for (const view of header.measured) view.reference = await picture(view.reference);
  return { ...header, arrived };
}

// An ImageBitmap holds its memory until it is closed.
export function discard(parcel) {
  for (const view of parcel.views) view.picture?.close();
  for (const view of parcel.measured) view.reference?.close();
}

// The next animation frame; a page that is not painted must not hold the stream for ever.
const drawn = () => new Promise((resolve) => {
  requestAnimationFrame(resolve);
  setTimeout(resolve, 100);
});
