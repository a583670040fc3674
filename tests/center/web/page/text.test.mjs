import assert from "node:assert/strict";
import { test } from "node:test";

import { stageList } from "../../../../center/web/page/charts.js";
import { count, decibels, milliseconds, ratio, stageTime } from "../../../../center/web/page/format.js";
import { PRESETS } from "../../../../center/web/page/presets.js";
import { absence, grownMost, overall, recordingTrouble } from "../../../../center/web/page/reasons.js";

const each = (left, right = left) => ({ left, right });
const LIVE = {
  open: true, everOpen: true, center: { ready: true, emulator: "127.0.0.1:50052" }, centerError: "", centerSilent: false,
  linksError: "", emulatorAway: false, link: each(null), connected: each(true),
  justConnected: each(false), fresh: each(true), ever: each(true),
};
const without = (view, more = {}) => ({ ...LIVE, fresh: { ...LIVE.fresh, [view]: false }, ...more });

test("figures are text with their unit, and words where there is no number", () => {
  assert.deepEqual([decibels(-3.25), decibels("noiseless"), decibels("identical"), decibels(null)], ["−3.3 dB", "∞ dB", "∞ dB", "–"]);
  assert.deepEqual([milliseconds(41.6), milliseconds(1234), milliseconds(-12345), milliseconds(null)], ["42 ms", "1.2 s", "−12 s", "–"]);
  assert.deepEqual([stageTime(0.04), stageTime(9.96)], ["0.0", "10"]);
  assert.deepEqual([ratio(0.97149), ratio(undefined), count(12345), count(null)], ["0.971", "–", "12,345", "–"]);
});

test("stages stand in the order of the journey, and what they leave of the latency is other", () => {
  assert.deepEqual(stageList({ decode: 25, capture: 5, encode: 7 }, 50), [["capture", 5], ["encode", 7], ["decode", 25], ["other", 13]]);
  assert.deepEqual(stageList({ encode: 7 }, 7.2), [["encode", 7]]);
  assert.deepEqual(stageList({}, 50), []);
});

test("the title line says the one thing that is wrong", () => {
  assert.deepEqual(overall(LIVE), { tone: "good", text: "live" });
  assert.equal(overall({ ...LIVE, open: false }).text, "reconnecting");
  assert.equal(overall({ ...LIVE, open: false, everOpen: false }).text, "connecting");
  assert.equal(overall(without("left", { center: { ready: false } })).text, "center warming up");
  assert.equal(overall(without("left", { link: each({ settings: { outage: true } }, null) })).text, "left link is in outage");
  assert.equal(overall(without("right", { connected: each(true, false) })).text, "waiting for right camera");
  assert.equal(overall({ ...LIVE, fresh: each(false), emulatorAway: true }).text, "emulator away");
});

test("a view without pictures says why, and what to do", () => {
  assert.equal(absence("left", LIVE), null);
  const missing = absence("right", without("right", { connected: each(true, false), link: each({ settings: {} }) }));
  assert.match(missing.title, /Right camera is not connected/);
  assert.match(missing.text, /goes on/);
  assert.match(missing.command, /^VERGENCE_EDGE__VIEW=right vergence-edge run --config /);
  assert.equal(absence("left", without("left", { link: each({ settings: { outage: true } }) })).title, "Outage");
  assert.match(absence("left", without("left", { centerError: "it does not answer" })).title, /center does not answer/);
  const nothing = { ...LIVE, fresh: each(false), ever: each(false), connected: each(false) };
  assert.equal(absence("left", nothing).command, "vergence demo");
});

test("a camera whose frames are dropped is told apart from one that sends none", () => {
  const state = without("left", { dropped: "late" });
  assert.equal(absence("left", state).title, "Connected, but its frames are dropped");
  assert.match(absence("left", state).text, /too late/);
  assert.match(absence("left", { ...state, dropped: "power" }).text, /power/);
  assert.equal(absence("left", { ...state, dropped: null }).title, "Connected, but no frame comes");
  const fresh = { ...state, justConnected: each(true) };
  assert.equal(absence("left", { ...fresh, dropped: null }).title, "Connected");
  assert.equal(absence("left", fresh).title, "Connected, but its frames are dropped");
});

test("a recording that has stopped says why, and what is missing", () => {
  const why = "no space left on device; make room or set record.folder to another disk";
  const recording = (state, failed = 0) => ({ ...LIVE, center: { recording: { state, why, pairs: { recorded: 7, dropped: 0, failed } } } });
  assert.deepEqual(recordingTrouble(recording("stopped", 1234)), {
    title: "Recording has stopped",
    text: "No space left on device; make room or set record.folder to another disk. 1,234 pairs are missing so far. The center tries again by itself.",
  });
  assert.match(recordingTrouble(recording("stopped", 1)).text, /1 pair is missing/);
  assert.equal(recordingTrouble(recording("recording")), null);
  assert.equal(recordingTrouble({ ...recording("stopped", 1), centerError: "it does not answer" }), null, "nothing is known then");
  for (const center of [null, {}, { recording: { state: "off" } }]) assert.equal(recordingTrouble({ ...LIVE, center }), null);
});

test("the reason that has grown most since the last look counts", () => {
  assert.equal(grownMost({ late: 2 }, { late: 3, overload: 9 }), "overload");
  assert.equal(grownMost({ late: 3 }, { late: 3 }), null);
  assert.equal(grownMost(null, { late: 3 }), null, "the first look knows no before");
  assert.equal(grownMost({ late: 90 }, { late: 1 }), null, "another rig, or the center began anew");
  assert.equal(grownMost({}, {}), null);
});

test("whatever is tried says what is to be seen, and leaves no link in outage by mistake", () => {
  for (const { name, text, left, right } of PRESETS) {
    assert.ok(name && text.endsWith("."), name);
    for (const settings of [left, right]) assert.ok(settings === "reset" || typeof settings.outage === "boolean", name);
  }
});
