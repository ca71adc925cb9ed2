// Shows <time> in the reader's own zone, and tells the server that zone for the next page.
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
if (zone) document.cookie = `tz=${zone}; path=/; max-age=31536000; samesite=lax`;

const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const near = new Intl.RelativeTimeFormat(undefined, { numeric: "auto", style: "short" });
const steps = [["second", 60], ["minute", 60], ["hour", 24], ["day", 30], ["month", 12], ["year", Infinity]];

function ago(then) {
  let amount = (then - Date.now()) / 1000;
  if (Math.abs(amount) < 10) return "just now";
  for (const [unit, size] of steps) {
    if (Math.abs(amount) < size) return near.format(Math.round(amount), unit);
    amount /= size;
  }
}

function length(seconds) {
  if (seconds < 60) return `${Math.max(0, Math.floor(seconds))} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
}

function show() {
  document.querySelectorAll("time[data-time]").forEach((place) => {
    const then = new Date(place.dateTime);
    if (Number.isNaN(then.getTime())) return;
    const text = place.dataset.time === "since" ? length((Date.now() - then) / 1000) : ago(then.getTime());
    if (place.textContent !== text) place.textContent = text;
    place.title = exact.format(then);
  });
}

show();
setInterval(() => { if (!document.hidden) show(); }, 1000);
document.addEventListener("htmx:after:swap", show);
