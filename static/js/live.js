// Hears what changed and tells the page; parts that care fetch themselves again (hx-trigger="live:release from:body").
// Only a page that is looked at listens: over HTTP/1.1 a browser has six connections for all of its tabs.
const KINDS = ["app", "config", "build", "release", "containers", "usage", "run"];
const { app, tenant } = document.body.dataset;
const about = tenant ? `?${new URLSearchParams({ tenant, app: app ?? "" })}` : "";
const badge = document.getElementById("offline");
let source, retry, wait = 1000, missed = false;

const tell = (what) => document.body.dispatchEvent(new CustomEvent(`live:${what}`));

function offline(is) {
  if (badge) badge.hidden = !is;
}

function open() {
  clearTimeout(retry);
  if (document.hidden || source) return;
  source = new EventSource(`/streams/live/${about}`);
  source.addEventListener("open", () => {
    wait = 1000;
    offline(false);
    if (missed) KINDS.forEach(tell); // what happened meanwhile was not heard
    missed = false;
  });
  source.addEventListener("changed", (event) => {
    const { app: id, what } = JSON.parse(event.data);
    if (!app || !id || id === app) tell(what);
  });
  source.addEventListener("ready", () => tell("ready")); // for what changed between the page and its stream
  source.addEventListener("gone", () => location.reload());
  source.addEventListener("error", () => {
    close();
    offline(!document.hidden && wait > 1000);
    retry = setTimeout(open, wait);
    wait = Math.min(wait * 2, 30000);
  });
}

function close() {
  clearTimeout(retry);
  source?.close();
  source = undefined;
  missed = true;
}

document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
addEventListener("offline", () => { close(); offline(true); });
addEventListener("online", open);
addEventListener("pagehide", close);
addEventListener("pageshow", open);
open();
