// The center's JSON interface. A failure is an Error whose message is one line for a person.

export class CenterAway extends Error {}

// Of every request; a change without it is refused, for no other site can make a browser send it.
const OURS = { "X-Requested-With": "vergence" };

// path: beside the page, wherever a proxy has put that
async function ask(path, options = {}) {
  let response;
  try {
    const headers = { ...OURS, ...options.headers };
    response = await fetch(beside(path), { ...options, headers, signal: AbortSignal.timeout(5000) });
  } catch {
    throw new CenterAway("the center does not answer");
  }
  if (response.status === 401) toLogin();
  const body = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(body.error ?? `the center answered ${response.status}`);
  return body;
}

export const beside = (path) => new URL(path, document.baseURI);

// The form; whoever is logged in is led back from there.
export const toLogin = () => location.assign(beside("login").href);

export async function logOut() {
  await ask("logout", { method: "POST" });
  toLogin();
}

export const status = () => ask("api/status");

export const links = async () => (await ask("api/links")).links;

const place = (rig, view) => `api/links/${encodeURIComponent(rig)}/${view}`;

export async function changeLink(rig, view, settings) {
  const headers = { "Content-Type": "application/json" };
  return (await ask(place(rig, view), { method: "PATCH", headers, body: JSON.stringify(settings) })).link;
}

export async function resetLink(rig, view) {
  return (await ask(`${place(rig, view)}/reset`, { method: "POST" })).link;
}
