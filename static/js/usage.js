// Draws memory and cpu as they come. The server keeps the last sample only, so the page remembers those it saw.
const KEEP = 240;
const POWERS = Array.from({ length: 24 }, (_, n) => 2 ** (n + 20));
const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
const charts = new Map();
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const binary = (bytes) => (bytes >= 1073741824 ? `${(bytes / 1073741824).toFixed(1)} GiB` : `${Math.round(bytes / 1048576)} MiB`);
const cores = (millis) => `${(millis / 1000).toFixed(2)}`;

function remembered(key) {
  try { return JSON.parse(sessionStorage.getItem(`usage:${key}`)) ?? []; } catch { return []; }
}

function remember(key, at, value) {
  const samples = remembered(key);
  if (samples.length && samples.at(-1)[0] >= at) return samples;
  samples.push([at, value]);
  const kept = samples.slice(-KEEP);
  try { sessionStorage.setItem(`usage:${key}`, JSON.stringify(kept)); } catch { /* full: this page only */ }
  return kept;
}

function spark(svg, samples) {
  if (samples.length < 2) return;
  const values = samples.map(([, value]) => value);
  const top = Math.max(...values) * 1.15 || 1;
  const points = values.map((value, n) => `${((n / (values.length - 1)) * 100).toFixed(1)} ${(24 - (value / top) * 22).toFixed(1)}`);
  svg.querySelector("path").setAttribute("d", `M${points.join("L")}`);
}

function options(place, kind) {
  const ink = colour("--b-quiet");
  const line = colour(kind === "memory" ? "--b-series-1" : "--b-series-2");
  const grid = { stroke: colour("--b-line"), width: 1 };
  const show = kind === "memory" ? binary : cores;
  return {
    width: place.clientWidth,
    height: place.clientHeight,
    padding: [8, 20, 0, 0],
    cursor: { y: false, drag: { x: false, y: false } },
    legend: { show: false },
    // A minute at least, so that the first samples are a short line and not a stretched one.
    scales: { x: { range: (u, low, high) => [Math.min(low, high - 60), high] }, y: { range: (u, low, high) => [0, Math.max(high * 1.2, kind === "memory" ? 33554432 : 50)] } },
    axes: [
      { stroke: ink, grid: { show: false }, ticks: { show: false }, size: 24, space: 100, font: "11px system-ui",
        values: (u, marks) => marks.map((mark) => clock.format(mark * 1000)) },
      { stroke: ink, grid, ticks: { show: false }, size: 62, space: 28, font: "11px system-ui",
        incrs: kind === "memory" ? POWERS : undefined, values: (u, marks) => marks.map((mark) => show(mark)) },
    ],
    series: [{}, { stroke: line, width: 1.75, fill: `${line}22`, points: { show: false } }],
  };
}

function chart(place, samples) {
  const kind = place.dataset.chart;
  if (samples.length < 2) return;
  const data = [samples.map(([at]) => at), samples.map(([, value]) => value)];
  const known = charts.get(kind);
  if (known && known.place === place && place.contains(known.plot.root)) {
    known.plot.setData(data);
    return;
  }
  known?.plot.destroy();
  place.replaceChildren();
  charts.set(kind, { place, plot: new window.uPlot(options(place, kind), data, place) });
}

function sample() {
  document.querySelectorAll("[data-sample]").forEach((place) => {
    const samples = remember(place.dataset.sample, Number(place.dataset.at), Number(place.dataset.value));
    const svg = place.querySelector("svg.spark");
    if (svg) spark(svg, samples);
    const drawn = place.dataset.draws && document.getElementById(place.dataset.draws);
    if (drawn) chart(drawn, samples);
  });
}

function redraw() {
  charts.forEach(({ plot }) => plot.destroy());
  charts.clear();
  sample();
}

let settle;
addEventListener("resize", () => { clearTimeout(settle); settle = setTimeout(redraw, 150); });
addEventListener("berth:theme", redraw);
document.addEventListener("htmx:after:swap", sample);
sample();
