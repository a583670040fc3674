// One view: its live picture, its newest original, its figures, its last minute.

import { MINUTE, drawHistory, drawPicture, drawStages, stageList } from "./charts.js";
import { count, decibels, milliseconds, ratio, stageTime } from "./format.js";
import { LinkPanel } from "./link_panel.js";

const PATIENCE = 1500; // ms without a picture until the view counts as missing
const PAIRING_WINDOW = 2000;

export class ViewPanel {
  constructor(view, template) {
    this.view = view;
    this.root = template.content.firstElementChild.cloneNode(true);
    this.root.dataset.view = view;
    this.parts = Object.fromEntries([...this.root.querySelectorAll("[data-part]")].map((part) => [part.dataset.part, part]));
    this.title = view === "left" ? "Left camera" : "Right camera";
    this.parts.name.textContent = this.title;
    this.parts["details-name"].textContent = `${this.title}, measured`;
    this.parts["slider-label"].textContent = `SNR of the ${view} link`;
    this.link = new LinkPanel(view, this.parts);
    this.picture = this.original = null;
    this.clear();
  }

  // Forget everything of the rig shown so far.
  clear() {
    this.live = null; // newest frame
    this.picture?.close();
    this.original?.close();
    this.picture = this.original = null;
    this.measurement = null;
    this.every = null; // one frame in `every` is referenced
    this.snr = [];
    this.psnr = [];
    this.pairings = [];
    this.interval = 0;
    this.parts["original-caption"].textContent = "Original: none has come yet";
    this.parts["original-caption"].title = "";
    this.redrawPictures();
  }

  // frame: one of a message's `views`
  showFrame(frame, pairing, arrived) {
    if (this.live?.sequence === frame.sequence) return frame.picture.close(); // again, now with its measurement
    if (this.live) this.interval += 0.1 * (arrived - this.live.arrived - this.interval);
    this.picture?.close();
    this.picture = frame.picture;
    this.root.style.setProperty("--shape", String(frame.picture.width / frame.picture.height));
    this.live = { ...frame, arrived };
    this.pairings.push([arrived, pairing === "paired" ? 1 : 0]);
    if (typeof frame.snr_db === "number") this.snr.push([arrived, frame.snr_db]);
    drawPicture(this.parts.picture, this.picture);
  }

  // measured: one of a message's `measured`
  showMeasurement(measured, arrived) {
    const step = this.measurement ? measured.sequence - this.measurement.sequence : 0;
    if (step > 0) this.every = Math.min(step, this.every ?? step);
    this.measurement = measured;
    if (typeof measured.psnr_db === "number") this.psnr.push([arrived, measured.psnr_db]);
    if (!measured.reference) return;
    this.original?.close();
    this.original = measured.reference;
    drawPicture(this.parts.original, this.original);
  }

  fresh(now) {
    return Boolean(this.live) && now - this.live.arrived < Math.max(PATIENCE, 3 * this.interval);
  }

  age(now) {
    return this.live ? this.live.age_ms + (now - this.live.arrived) : null;
  }

  // A few times a second: everything but the pictures. absence: null, or why nothing comes.
  refresh(now, absence) {
    for (const points of [this.snr, this.psnr]) forget(points, now - MINUTE);
    forget(this.pairings, now - PAIRING_WINDOW);
    this.showAbsence(absence);
    this.showBadge(absence);
    this.showFigures(now, absence);
    this.showCaption();
    this.showHistory(now);
    const stages = this.live && !absence ? stageList(this.live.stages_ms, this.live.latency_ms) : [];
    drawStages(this.parts.bar, this.parts.legend, stages, stageTime);
  }

  redrawPictures() {
    drawPicture(this.parts.picture, this.picture);
    drawPicture(this.parts.original, this.original);
  }

  showAbsence(absence) {
    const { notice, picture } = this.parts;
    notice.hidden = !absence;
    picture.parentElement.toggleAttribute("data-stale", Boolean(absence));
    picture.ariaLabel = absence ? `${this.title}: ${absence.title}` : `${this.title}: live reconstruction`;
    if (!absence) return;
    this.parts["notice-title"].textContent = absence.title;
    this.parts["notice-text"].textContent = absence.text;
    this.parts["notice-command"].textContent = absence.command ?? "";
    this.parts["notice-command"].hidden = !absence.command;
  }

  showBadge(absence) {
    const { badge } = this.parts;
    badge.hidden = Boolean(absence) || !this.pairings.length;
    if (badge.hidden) return;
    const share = this.pairings.reduce((sum, [, paired]) => sum + paired, 0) / this.pairings.length;
    badge.textContent = share === 1 ? "paired" : share === 0 ? "alone" : `paired ${Math.floor(share * 100)} %`;
    badge.title = share === 0 ? "decoded without the other view" : "decoded together with the other view";
    badge.dataset.tone = share === 1 ? "good" : "warn";
  }

  showFigures(now, absence) {
    const { parts } = this;
    const live = absence ? null : this.live;
    const measurement = absence ? null : this.measurement;
    const { link } = this.link;
    parts.frame.textContent = this.live ? `frame ${count(this.live.sequence)}` : "";
    figure(parts.snr, decibels(live?.snr_db));
    figure(parts.psnr, decibels(measurement?.psnr_db));
    figure(parts["ms-ssim"], ratio(measurement?.ms_ssim));
    figure(parts.latency, milliseconds(live?.latency_ms));
    figure(parts.age, milliseconds(this.age(now)));
    figure(parts.lost, link ? count(link.lost) : "–", link ? ` of ${count(link.frames + link.lost)}` : "");
  }

  showCaption() {
    if (!this.measurement) {
      this.parts.original.ariaLabel = "No original has come yet";
      return;
    }
    const which = `Original of frame ${count(this.measurement.sequence)}`;
    const often = this.every > 1 ? `sent for 1 in ${this.every}` : "";
    this.parts["original-caption"].textContent = often ? `Original, ${often} frames` : which;
    this.parts["original-caption"].title = which;
    this.parts.original.ariaLabel = which;
  }

  showHistory(now) {
    const { history } = this.parts;
    drawHistory(history, [
      { names: ["PSNR", "1 minute"], points: this.psnr, span: [20, 35], colour: "--text", share: 0.56 },
      { names: ["Link SNR"], points: this.snr, span: [-5, 20], colour: "--accent", share: 0.44 },
    ], now);
    history.ariaLabel = `The last minute: PSNR ${range(this.psnr)}, link SNR ${range(this.snr)}`;
  }
}

function figure(part, text, small = "") {
  const [value, unit = ""] = text.split(" ");
  part.textContent = value;
  if (!unit && !small) return;
  const after = document.createElement("small");
  after.textContent = unit ? ` ${unit}` : small;
  part.append(after);
}

function forget(points, before) {
  const keep = points.findIndex(([time]) => time >= before);
  points.splice(0, keep < 0 ? points.length : keep);
}

function range(points) {
  if (!points.length) return "unknown";
  const values = points.map((point) => point[1]);
  return `${decibels(Math.min(...values))} to ${decibels(Math.max(...values))}`;
}
