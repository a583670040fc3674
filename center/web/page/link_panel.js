// One link's controls. They follow the link as the emulator confirms it, except while a person holds them.

import { changeLink, resetLink } from "./api.js";
import { decibels, minus } from "./format.js";

const CLEAN = 24; // the slider's last stop
const LOUDEST = 20; // the largest SNR with noise
const PAUSE = 50; // ms between two changes while dragging
const HOLD = 400; // ms after a touch during which the controls stay where they are
const MODELS = {
  clean: { label: "clean", settings: { model: "clean" } },
  awgn: { label: "AWGN", settings: { model: "awgn" } },
  fast: { label: "Rayleigh, fast", settings: { model: "rayleigh", coherence: 1 } },
  block: { label: "Rayleigh, block", settings: { model: "rayleigh" } }, // coherence: the symbols of a frame
  rician: { label: "Rician", settings: { model: "rician" } },
  jakes: { label: "Jakes", settings: { model: "jakes" } },
};

const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export class LinkPanel {
  constructor(view, parts) {
    this.view = view;
    this.parts = parts;
    this.rig = null;
    this.link = null;
    this.symbols = 5120;
    this.noisy = MODELS.awgn.settings;
    this.wanted = null;
    this.busy = false;
    this.held = false;
    this.touched = this.confirmedAt = -Infinity;
    this.readOnly = false; // a viewer's login: shows, and sets nothing
    this.failure = this.unreachable = "";
    this.between = new Option("", "between"); // a coherence that the list has not
    this.addScale();
    for (const [name, model] of Object.entries(MODELS)) parts.model.add(new Option(model.label, name));
    parts.model.value = "";
    parts.slider.style.setProperty("--fill", "0%");
    this.listen();
  }

  addScale() {
    const { scale } = this.parts;
    for (const tick of [-5, 0, 5, 10, 15, 20]) this.place(scale, minus(tick), tick);
    this.place(scale, "clean", CLEAN).className = "last";
    this.mark = this.place(scale, "", 0);
    this.mark.className = "mark";
    this.mark.hidden = true;
  }

  place(scale, text, value) {
    const tick = document.createElement("span");
    tick.textContent = text;
    tick.style.left = percent(value);
    scale.append(tick);
    return tick;
  }

  // The range of SNRs that the network has been trained for, drawn under the slider.
  showTrained([low, high]) {
    if (this.band) return;
    this.band = this.place(this.parts.scale, "", low);
    this.band.className = "trained";
    this.band.style.width = `calc(${percent(high)} - ${percent(low)})`;
    this.parts.trained.textContent = `trained for ${minus(low)} to ${minus(high)} dB`;
  }

  listen() {
    const { slider, model, outage, reset, link } = this.parts;
    link.addEventListener("submit", (event) => event.preventDefault());
    slider.addEventListener("pointerdown", () => { this.held = true; });
    for (const name of ["pointerup", "pointercancel", "blur"]) {
      slider.addEventListener(name, () => { this.held = false; this.touched = performance.now(); });
    }
    slider.addEventListener("keydown", (event) => this.crossGap(event));
    slider.addEventListener("input", () => this.slide(snap(Number(slider.value))));
    model.addEventListener("change", () => model.value in MODELS && this.ask(this.settingsOf(model.value)));
    outage.addEventListener("change", () => this.ask({ outage: outage.checked }));
    reset.addEventListener("click", () => this.ask("reset"));
  }

  // Arrow keys step over the empty stretch between the largest SNR and clean.
  crossGap(event) {
    const value = Number(this.parts.slider.value);
    const up = ["ArrowRight", "ArrowUp"].includes(event.key) && value === LOUDEST;
    const down = ["ArrowLeft", "ArrowDown"].includes(event.key) && value === CLEAN;
    if (!up && !down) return;
    event.preventDefault();
    this.slide(up ? CLEAN : LOUDEST);
  }

  slide(value) {
    this.showSlider(value);
    if (value === CLEAN) return this.ask({ model: "clean" });
    const wasClean = (this.wanted?.model ?? this.link?.settings.model) === "clean";
    return this.ask(wasClean ? { ...this.noisy, snr_db: value } : { snr_db: value });
  }

  settingsOf(name) {
    return name === "block" ? { model: "rayleigh", coherence: this.symbols } : MODELS[name].settings;
  }

  // Changes go out one at a time; what is asked meanwhile is merged, so that the last wish counts.
  async ask(change) {
    this.touched = performance.now();
    this.wanted = change === "reset" ? change : { ...(this.wanted === "reset" ? {} : this.wanted), ...change };
    if (this.busy) return;
    this.busy = true;
    while (this.wanted) await this.send();
    this.busy = false;
    this.follow();
  }

  async send() {
    const { rig, wanted: change } = this;
    this.wanted = null;
    try {
      const link = change === "reset" ? await resetLink(rig, this.view) : await changeLink(rig, this.view, change);
      if (rig !== this.rig) return; // another was picked meanwhile
      this.link = link;
      this.failure = "";
    } catch (error) {
      if (rig !== this.rig) return;
      this.failure = error.message;
      this.touched = -Infinity; // back to what is confirmed
    }
    this.confirmedAt = performance.now();
    this.showConfirmed();
    await wait(PAUSE);
  }

  // What a poll brought; asked: when it was sent. An answer older than our own change says nothing new.
  show(rig, link, error, asked) {
    if (rig !== this.rig) this.turnTo(rig);
    else if (asked < this.confirmedAt || this.busy) return;
    if (this.failure && !error && asked - this.confirmedAt > 4000) this.failure = "";
    this.link = link;
    this.unreachable = error;
    this.follow();
  }

  // What was wished and told of the rig before does not count for this one.
  turnTo(rig) {
    this.rig = rig;
    this.wanted = null;
    this.held = false;
    this.touched = this.confirmedAt = -Infinity;
    this.failure = "";
  }

  follow() {
    const { slider, model, outage, reset } = this.parts;
    const usable = Boolean(this.link) && !this.unreachable && !this.readOnly;
    for (const control of [slider, model, outage, reset]) control.disabled = !usable;
    this.showConfirmed();
    if (!this.link || this.held || this.busy || performance.now() - this.touched < HOLD) return;
    const { settings } = this.link;
    this.showSlider(settings.model === "clean" ? CLEAN : nearest(this.link));
    this.showModel(settings);
    outage.checked = Boolean(settings.outage);
    if (settings.model !== "clean") this.noisy = noise(settings);
  }

  showSlider(value) {
    const { slider, asked } = this.parts;
    slider.value = value;
    slider.style.setProperty("--fill", percent(value));
    asked.textContent = value === CLEAN ? "clean" : decibels(value);
    slider.ariaValueText = value === CLEAN ? "clean, no noise" : decibels(value);
  }

  showModel(settings) {
    const { model } = this.parts;
    const coherence = settings.coherence ?? 1;
    const between = settings.model === "rayleigh" && coherence !== 1 && coherence !== this.symbols;
    this.between.remove();
    if (between) {
      this.between.textContent = `Rayleigh, ${coherence} symbols`;
      model.add(this.between);
      model.value = "between";
    } else if (settings.model === "rayleigh") model.value = coherence === 1 ? "fast" : "block";
    else model.value = settings.model ?? "";
  }

  showConfirmed() {
    const { error, confirmed } = this.parts;
    const line = this.failure || this.unreachable;
    error.textContent = line ?? "";
    error.hidden = !line;
    confirmed.textContent = this.link && !this.unreachable ? confirmation(this.link) : "";
    const at = this.link?.settings.model === "clean" ? "noiseless" : this.link?.current_snr_db;
    this.mark.hidden = !this.link || (typeof at !== "number" && at !== "noiseless");
    this.mark.style.left = percent(at === "noiseless" ? CLEAN : clamp(at));
  }
}

function confirmation(link) {
  if (link.settings.outage) return "confirmed: outage";
  if (link.settings.model === "clean") return "confirmed: clean";
  const now = link.current_snr_db;
  const moving = typeof now === "number" && Math.abs(now - (link.settings.snr_db ?? Infinity)) > 0.05;
  return `${moving ? "moving, now" : "confirmed:"} ${decibels(now)}`;
}

function nearest(link) {
  const value = link.settings.snr_db ?? link.current_snr_db;
  if (value === "noiseless") return CLEAN;
  return typeof value === "number" ? clamp(value) : LOUDEST;
}

function noise({ model, coherence }) {
  return model === "rayleigh" ? { model, coherence: coherence ?? 1 } : { model };
}

const clamp = (value) => Math.min(LOUDEST, Math.max(-5, value));
const snap = (value) => (value <= LOUDEST ? value : value > (LOUDEST + CLEAN) / 2 ? CLEAN : LOUDEST);
const percent = (value) => `${((value + 5) / (CLEAN + 5)) * 100}%`;
