// Canvases: a picture, the last minute, and the bar of stages.

export const MINUTE = 60000;
const GAP = 3000;
const STAGES = ["capture", "encode", "channel", "network", "pair", "batch", "decode"];

// Make the canvas as fine as the screen; returns its 2D context in CSS pixels.
function prepare(canvas) {
  const scale = window.devicePixelRatio || 1;
  const width = canvas.clientWidth, height = canvas.clientHeight;
  if (canvas.width !== Math.round(width * scale)) canvas.width = Math.round(width * scale);
  if (canvas.height !== Math.round(height * scale)) canvas.height = Math.round(height * scale);
  const context = canvas.getContext("2d");
  context.setTransform(scale, 0, 0, scale, 0, 0);
  return { context, width, height };
}

// bitmap: null clears the canvas
export function drawPicture(canvas, bitmap) {
  const { context, width, height } = prepare(canvas);
  context.clearRect(0, 0, width, height);
  if (!bitmap || !width) return;
  context.imageSmoothingEnabled = true;
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, width, height);
}

// rows: [{names, points: [[time, value]], span, colour, share}], drawn one under the other
export function drawHistory(canvas, rows, now) {
  const { context, width, height } = prepare(canvas);
  context.clearRect(0, 0, width, height);
  const styles = getComputedStyle(canvas);
  const ink = { soft: styles.getPropertyValue("--soft"), line: styles.getPropertyValue("--line"), font: styles.fontFamily };
  let top = 0;
  for (const row of rows) {
    const tall = height * row.share;
    drawRow(context, row, { left: 62, right: width - 46, top: top + 8, bottom: top + tall - 8 }, now, ink,
      styles.getPropertyValue(row.colour));
    top += tall;
  }
}

function drawRow(context, row, box, now, ink, colour) {
  const [low, high] = scaleOf(row);
  const x = (time) => box.right - ((now - time) / MINUTE) * (box.right - box.left);
  const y = (value) => box.bottom - ((value - low) / (high - low)) * (box.bottom - box.top);
  const middle = (box.top + box.bottom) / 2;
  row.names.forEach((name, i) => write(context, ink, name, 0, middle + (i - (row.names.length - 1) / 2) * 15));
  write(context, ink, `${Math.round(high)} dB`.replace("-", "−"), box.right + 8, box.top + 1);
  write(context, ink, `${Math.round(low)}`.replace("-", "−"), box.right + 8, box.bottom - 1);
  context.strokeStyle = ink.line;
  context.lineWidth = 1;
  context.beginPath();
  for (const level of [box.top, box.bottom]) {
    context.moveTo(box.left, Math.round(level) + 0.5);
    context.lineTo(box.right, Math.round(level) + 0.5);
  }
  context.stroke();
  context.strokeStyle = context.fillStyle = colour;
  context.lineWidth = 1.75;
  context.lineJoin = "round";
  context.beginPath();
  row.points.forEach(([time, value], i) => {
    const joined = i > 0 && time - row.points[i - 1][0] < GAP;
    if (joined) context.lineTo(x(time), y(value));
    else context.moveTo(x(time), y(value));
  });
  context.stroke();
  const last = row.points.at(-1);
  if (!last) return;
  context.beginPath();
  context.arc(x(last[0]), y(last[1]), 2.75, 0, 2 * Math.PI);
  context.fill();
}

// The scale: what the row shows at least, widened in steps of 5 dB where its values need it.
function scaleOf({ points, span }) {
  const values = [...points.map((point) => point[1]), ...span];
  return [5 * Math.floor(Math.min(...values) / 5), 5 * Math.ceil(Math.max(...values) / 5)];
}

function write(context, ink, text, x, y) {
  context.fillStyle = ink.soft;
  context.font = `12px ${ink.font}`;
  context.textBaseline = "middle";
  context.fillText(text, x, y);
}

// [[stage, ms]] in the order of the journey; what the stages leave of the latency is "other".
export function stageList(stages, latency) {
  const known = STAGES.filter((stage) => typeof stages[stage] === "number").map((stage) => [stage, stages[stage]]);
  const rest = latency - known.reduce((sum, [, time]) => sum + time, 0);
  return typeof latency === "number" && rest > 0.5 && known.length ? [...known, ["other", rest]] : known;
}

export function drawStages(bar, legend, list, text) {
  if (bar.children.length !== list.length) {
    bar.replaceChildren(...list.map(() => document.createElement("i")));
    legend.replaceChildren(...list.map(legendItem), list.length ? "ms" : "");
  }
  list.forEach(([stage, time], i) => {
    bar.children[i].dataset.stage = legend.children[i].dataset.stage = stage;
    bar.children[i].style.flexGrow = Math.max(time, 0.001);
    legend.children[i].children[1].textContent = stage;
    legend.children[i].children[2].textContent = text(time);
  });
  bar.ariaLabel = `Latency by stage: ${list.map(([stage, time]) => `${stage} ${text(time)} ms`).join(", ") || "unknown"}`;
}

function legendItem() {
  const item = document.createElement("li");
  item.append(document.createElement("i"), document.createElement("span"), document.createElement("b"));
  return item;
}
