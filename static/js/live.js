// Hears what changed and tells the page; parts that care fetch themselves again (hx-trigger="live:release from:body").
// Only a page that is looked at listens: over HTTP/1.1 a browser has six connections for all of its tabs.
const KINDS = ["app", "config", "build", "release", "containers", "usage", "run", "push", "isolation"];
const { app, tenant } = document.body.dataset;
const about = tenant ? `?${new URLSearchParams({ tenant, app: app ?? "" })}` : "";
const badge = document.getElementById("offline");
const PATIENCE = 2500; // milliseconds: a stream that is back by then is not worth a word
const STEADY = 5000; // one that broke off sooner is asked for again less and less often
let source, retry, warn, steady, wait = 1000, missed = false;

const tell = (what) => document.body.dispatchEvent(new CustomEvent(`live:${what}`));

function offline(is) {
  clearTimeout(warn);
  warn = undefined;
  if (badge) badge.hidden = !is;
}

function open() {
  clearTimeout(retry);
  if (document.hidden || source) return;
  source = new EventSource(`/streams/live/${about}`);
  source.addEventListener("open", () => {
    steady = setTimeout(() => { wait = 1000; }, STEADY);
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
    warn ??= setTimeout(() => offline(!document.hidden), PATIENCE);
    retry = setTimeout(open, wait);
    wait = Math.min(wait * 2, 30000);
  });
}

function close() {
  clearTimeout(retry);
  clearTimeout(steady);
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
