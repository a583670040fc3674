// The page: follows the center, its pairs and the emulator's links, and tells the panels.

import * as api from "./api.js";
import { PRESETS } from "./presets.js";
import { absence, grownMost, overall, recordingTrouble } from "./reasons.js";
import { Stream } from "./stream.js";
import { ViewPanel } from "./view_panel.js";

const POLL = 1000;
const REFRESH = 200;
const SILENCE = 1000; // without an answer of the center: a request that fails takes five times as long
const RATE_WINDOW = 3000;
const FIRST_PICTURE = 3000; // how long a camera may take from its connection to a picture here
const VIEWS = ["left", "right"];

const each = (of) => Object.fromEntries(VIEWS.map((view) => [view, of(view)]));
const element = (id) => document.getElementById(id);
const panels = each((view) => new ViewPanel(view, element("view-template")));
const wished = new URLSearchParams(location.search).get("rig");

const state = {
  rig: wished, // null until one is known
  open: false,
  everOpen: false,
  center: null,
  centerError: "",
  symbols: null, // of a picture, as the newest message says
  asked: null, // when the center was asked and has not answered yet
  links: [],
  linksError: "",
  emulatorAway: false,
  drops: null, // frames of the rig that the center has dropped so far, by reason
  dropped: null, // the reason that has grown since
  connectedAt: each(() => null), // since when each camera is
  arrivals: new Map(), // when pairs came, by capture time: a pair comes again when it has been measured
};

const stream = new Stream(showMessage, (open) => {
  state.open = open;
  state.everOpen ||= open;
}, api.toLogin);

// Messages are of the rig that the stream was opened for, or of the first one that shows something.
function showMessage(message) {
  state.rig ??= message.rig;
  if (message.views.length && !state.arrivals.has(message.captured_at_ms)) {
    state.arrivals.set(message.captured_at_ms, message.arrived);
  }
  state.symbols = message.views[0]?.symbols ?? state.symbols;
  for (const frame of message.views) panels[frame.view].showFrame(frame, message.pairing, message.arrived);
  for (const measured of message.measured) panels[measured.view].showMeasurement(measured, message.arrived);
}

function choose(rig) {
  state.rig = rig;
  state.drops = state.dropped = state.symbols = null;
  state.arrivals.clear();
  state.connectedAt = each(() => null);
  for (const view of VIEWS) {
    panels[view].clear();
    panels[view].link.show(rig, linkOf(view), state.linksError, performance.now());
  }
  const url = new URL(location.href);
  url.searchParams.set("rig", rig);
  history.replaceState(null, "", url); // a page that is loaded again shows the same rig
  stream.open(rig);
}

async function poll() {
  if (!document.hidden) {
    await followCenter();
    await followLinks();
  }
  setTimeout(poll, POLL);
}

async function followCenter() {
  state.asked = performance.now();
  try {
    state.center = await api.status();
    state.centerError = "";
  } catch (error) {
    if (state.centerError && state.open) stream.open(state.rig ?? ""); // a socket that nobody closed
    state.centerError = error.message;
    return;
  } finally {
    state.asked = null;
  }
  const rigs = knownRigs();
  if (state.rig === null && rigs.length > 1) choose(rigs[0]);
  const drops = liveRig()?.drops ?? null;
  state.dropped = grownMost(state.drops, drops);
  state.drops = drops;
  showWho(state.center.who);
  for (const panel of Object.values(panels)) {
    panel.link.readOnly = mayNotSet();
    panel.link.symbols = symbols();
    panel.link.showTrained(state.center.trained_snr_db);
  }
}

async function followLinks() {
  const asked = performance.now();
  try {
    state.links = await api.links();
    state.linksError = "";
  } catch (error) {
    state.linksError = error.message;
  }
  state.emulatorAway = Boolean(state.linksError) && Boolean(state.center?.emulator);
  const rig = shownRig();
  for (const view of VIEWS) panels[view].link.show(rig, linkOf(view), state.linksError, asked);
}

function knownRigs() {
  const shown = state.rig === null ? [] : [state.rig]; // it may be gone: the others can still be picked
  return [...new Set([...shown, ...(state.center?.rigs ?? []), ...state.links.map((link) => link.rig)])].sort();
}

function shownRig() {
  return state.rig ?? knownRigs()[0] ?? null;
}

function linkOf(view) {
  return state.links.find((link) => link.rig === shownRig() && link.view === view) ?? null;
}

function liveRig() {
  return (state.center?.live_rigs ?? []).find((each) => each.rig === shownRig());
}

// Of a picture of the shown rig.
function symbols() {
  return state.symbols ?? liveRig()?.symbols ?? state.center.symbols;
}

// By the emulator's word, or by the center's where cameras come without an emulator.
function connected(view) {
  return linkOf(view)?.connected ?? Boolean(liveRig()?.connected.includes(view));
}

function refresh() {
  const now = performance.now();
  for (const view of VIEWS) state.connectedAt[view] = connected(view) ? (state.connectedAt[view] ?? now) : null;
  const situation = {
    ...state,
    centerSilent: state.asked !== null && now - state.asked > SILENCE,
    link: each(linkOf),
    connected: each(connected),
    justConnected: each((view) => state.connectedAt[view] !== null && now - state.connectedAt[view] < FIRST_PICTURE),
    fresh: each((view) => panels[view].fresh(now)),
    ever: each((view) => Boolean(panels[view].live)),
  };
  showTitle(now, overall(situation));
  showRecording(recordingTrouble(situation));
  const usable = VIEWS.every((view) => linkOf(view)) && !state.linksError && !mayNotSet();
  for (const button of element("presets").querySelectorAll("button")) button.disabled = !usable;
  for (const view of VIEWS) panels[view].refresh(now, absence(view, situation));
}

function showTitle(now, { tone, text }) {
  write("state", text);
  element("state").dataset.tone = tone;
  document.title = `${text} · vergence`;
  write("rate", rate(now));
  write("codec", [state.center?.codec, state.center?.codec_hash].filter(Boolean).join(" "));
  element("codec").title = element("codec").textContent;
  write("engine", state.center?.engine);
  write("definition", state.center ? `${state.center.ms_ssim}.` : "");
  if (state.center) write("symbols", symbols().toLocaleString("en"));
  showRigs();
}

// trouble: of the recording, or null
function showRecording(trouble) {
  write("recording-title", trouble?.title ?? "");
  write("recording-why", trouble?.text ?? "");
  element("recording").hidden = !trouble; // shown after it has its words, so that all of them are read out
}

// Writing only what changed keeps the live region and selections quiet.
function write(id, text) {
  const shown = text === "" || text ? String(text) : "–";
  if (element(id).textContent !== shown) element(id).textContent = shown;
}

function rate(now) {
  for (const [key, arrived] of state.arrivals) if (arrived < now - RATE_WINDOW) state.arrivals.delete(key);
  return state.arrivals.size ? (state.arrivals.size / (RATE_WINDOW / 1000)).toFixed(1) : "0";
}

function showRigs() {
  const rigs = knownRigs();
  const list = element("rigs");
  const several = rigs.length > 1;
  list.hidden = !several;
  element("rig").hidden = several;
  write("rig", shownRig());
  if (!several) return;
  if (rigs.join("\n") !== [...list.options].map((option) => option.value).join("\n")) {
    list.replaceChildren(...rigs.map((rig) => new Option(rig, rig)));
  }
  if (document.activeElement !== list) list.value = shownRig();
}

const mayNotSet = () => state.center?.who?.may_set_links === false;

// who: null where nobody needs a login
function showWho(who) {
  element("login").hidden = !who;
  if (!who) return;
  write("who", `${who.name} (${who.role})`);
  element("read-only").hidden = who.may_set_links;
}

function addPresets() {
  for (const preset of PRESETS) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = preset.name;
    button.addEventListener("click", () => {
      for (const view of VIEWS) panels[view].link.ask(preset[view]);
      write("lead", preset.text);
    });
    element("presets").append(button);
  }
}

function followVisibility() {
  if (document.hidden) stream.close(); // nobody looks: the center need not encode pictures
  else stream.open(state.rig ?? "");
}

addPresets();
element("log-out").addEventListener("click", () => api.logOut().catch((error) => write("who", error.message)));
element("views").append(...VIEWS.map((view) => panels[view].root));
element("rigs").addEventListener("change", (event) => choose(event.target.value));
document.addEventListener("visibilitychange", followVisibility);
new ResizeObserver(() => VIEWS.forEach((view) => panels[view].redrawPictures())).observe(element("views"));
setInterval(refresh, REFRESH);
followVisibility();
refresh();
poll();
