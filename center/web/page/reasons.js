// What the page is looking at, in words. Pure: the state of things goes in, text comes out.
//
// state: { open, everOpen, center, centerError, centerSilent, linksError, emulatorAway, dropped, link: {left, right},
//          connected: {left, right}, justConnected: {left, right}, fresh: {left, right}, ever: {left, right} }
// dropped: why the center has dropped frames of this rig since it was asked before, or null

import { count } from "./format.js";

const VIEWS = ["left", "right"];
const capital = (text) => text[0].toUpperCase() + text.slice(1);
const some = (state) => VIEWS.some((view) => state.fresh[view]);
const silent = (state) => state.centerSilent && !some(state);
const alone = (state) => (some(state) ? "The other view goes on alone. " : "");

// The one state in the title line: { tone, text }.
export function overall(state) {
  if (state.centerError || !state.open) return { tone: "bad", text: state.everOpen ? "reconnecting" : "connecting" };
  const missing = VIEWS.filter((view) => !state.fresh[view]);
  if (!missing.length) return { tone: "good", text: "live" };
  if (state.center && !state.center.ready) return { tone: "warn", text: "center warming up" };
  if (silent(state)) return { tone: "bad", text: "center silent" };
  if (missing.length === 2 && state.emulatorAway) return { tone: "bad", text: "emulator away" };
  if (missing.length === 2) {
    const cut = VIEWS.every((view) => state.link[view]?.settings.outage);
    if (cut) return { tone: "warn", text: "both links are in outage" };
    const connected = VIEWS.every((view) => state.connected[view]);
    return { tone: "warn", text: connected ? "waiting for frames" : "waiting for both cameras" };
  }
  const [view] = missing;
  if (state.link[view]?.settings.outage) return { tone: "warn", text: `${view} link is in outage` };
  return { tone: "warn", text: state.connected[view] ? `waiting for ${view} frames` : `waiting for ${view} camera` };
}

// Why a view shows nothing new: null, or { title, text, command? }.
export function absence(view, state) {
  if (state.fresh[view]) return null;
  return centerReason(state) ?? linkReason(view, state);
}

const DROPPED = {
  late: "They come too late to be shown: this machine or its network is too slow, or a camera's clock is wrong.",
  overload: "The decoder has more to do than it can: send fewer frames a second, or give it more cores.",
};

function dropped(reason) {
  return DROPPED[reason] ?? `The center gives “${reason}” as the reason; its log and the camera's say more.`;
}

// What is wrong with the recording: null, or { title, text }.
export function recordingTrouble(state) {
  const recording = state.center?.recording;
  if (recording?.state !== "stopped" || state.centerError) return null;
  const lost = recording.pairs.failed;
  const pairs = `${count(lost)} ${lost === 1 ? "pair is" : "pairs are"} missing so far. `;
  return { title: "Recording has stopped", text: `${capital(recording.why)}. ${pairs}The center tries again by itself.` };
}

// Which reason for dropped frames has grown most between two answers of the center: { reason: frames } each, or null.
export function grownMost(before, after) {
  if (!before || !after) return null;
  const grown = Object.entries(after).map(([reason, frames]) => [frames - (before[reason] ?? 0), reason]);
  const [most, reason] = grown.sort(([a], [b]) => b - a)[0] ?? [0, null];
  return most > 0 ? reason : null;
}

function centerReason(state) {
  if (state.centerError || silent(state) || (state.everOpen && !state.open)) {
    return { title: "The center does not answer", text: "This page reconnects by itself as soon as the center is back.",
      command: "vergence-center run" };
  }
  if (!state.open || !state.center) return { title: "Connecting …", text: "" };
  if (!state.center.ready) return { title: "The center is warming up", text: state.center.why || "The decoder gets ready." };
  return null;
}

function linkReason(view, state) {
  const link = state.link[view];
  if (state.emulatorAway) {
    return { title: "The channel emulator is away",
      text: `Nothing answers at ${state.center.emulator}; pictures need it to come through.`, command: "vergence-emulator run" };
  }
  if (link?.settings.outage) return { title: "Outage", text: `The ${view} link passes no frame. Switch the outage off below.` };
  if (link?.settings.loss >= 1) return { title: "Every frame is lost", text: `The loss of the ${view} link is set to 100 %. Reset the link below.` };
  if (state.connected[view]) {
    if (state.dropped) return { title: "Connected, but its frames are dropped", text: alone(state) + dropped(state.dropped) };
    if (state.justConnected[view]) return { title: "Connected", text: `${alone(state)}The first picture of the ${view} camera is on its way.` };
    return { title: "Connected, but no frame comes",
      text: `${alone(state)}The ${view} camera is connected, yet no frame of it reaches the decoder; the logs of edge and center say why.` };
  }
  if (link || state.ever[view] || state.ever.left || state.ever.right) {
    return { title: `${capital(view)} camera is not connected`, text: `${alone(state)}Start this camera:`,
      command: `VERGENCE_EDGE__VIEW=${view} vergence-edge run --config deploy/config/edge.yaml` };
  }
  return { title: `No ${view} camera yet`, text: "Nothing has connected so far. Start everything at once with",
    command: "vergence demo" };
}
