import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { LinkPanel } from "../../../../center/web/page/link_panel.js";
import { install } from "./browser.mjs";

// A panel without a document: what it shows is left out.
function panel(rig) {
  const made = Object.assign(Object.create(LinkPanel.prototype), {
    view: "left", rig, link: null, wanted: null, busy: false, held: false,
    touched: -Infinity, confirmedAt: -Infinity, failure: "", unreachable: "",
  });
  made.follow = made.showConfirmed = () => {};
  return made;
}

const link = (rig) => ({ rig, view: "left", settings: { model: "awgn", snr_db: 7 } });

let asked, deliver;

beforeEach(() => {
  install();
  asked = [];
  globalThis.fetch = (address) => {
    asked.push(new URL(address).pathname);
    return new Promise((resolve) => {
      deliver = (body, ok = true) => resolve({ ok, json: async () => body });
    });
  };
});

test("a change shows the link as it is confirmed", async () => {
  const shown = panel("lab");
  const asking = shown.ask({ snr_db: 7 });
  deliver({ link: link("lab") });
  await asking;
  assert.equal(shown.link.rig, "lab");
});

test("a change of one rig is neither shown nor repeated on another that was picked meanwhile", async () => {
  const shown = panel("lab");
  const asking = shown.ask({ snr_db: 3 });
  shown.ask({ snr_db: 2 }); // waits for the one under way
  shown.show("barn", link("barn"), "", performance.now());
  deliver({ link: link("lab") });
  await asking;
  assert.equal(shown.link.rig, "barn");
  assert.deepEqual(asked, ["/api/links/lab/left"]);
});

test("a change of one rig that is refused is not told of another", async () => {
  const shown = panel("lab");
  const asking = shown.ask({ snr_db: 300 });
  shown.show("barn", link("barn"), "", performance.now());
  deliver({ error: "snr_db must lie between -50 and 100 (got 300)" }, false);
  await asking;
  assert.equal(shown.failure, "");
});

test("what was told of the rig before is gone with it", () => {
  const shown = panel("lab");
  Object.assign(shown, { failure: "refused", confirmedAt: performance.now() + 1000, link: link("lab") });
  shown.show("barn", null, "", performance.now());
  assert.equal(shown.failure, "");
  assert.equal(shown.link, null);
});
