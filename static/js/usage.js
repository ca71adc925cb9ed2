// Draws memory and cpu over the last hour: first what the server remembers, then each sample as it comes.
const SPAN = 3600;
const GAP = 300; // seconds without a sample, from which on the line is broken: nothing ran
const POWERS = Array.from({ length: 24 }, (_, n) => 2 ** (n + 20));
const ROUND = [10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000]; // thousandths of a core, told in two places
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const exact = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
let ahead = 0; // seconds that the server's clock, which samples go by, is ahead of ours
const charts = new Map(); // by the place's id: samples, and what draws them
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const binary = (bytes) => (bytes >= 1073741824 ? `${(bytes / 1073741824).toFixed(1)} GiB` : `${Math.round(bytes / 1048576)} MiB`);
const now = () => Math.floor(Date.now() / 1000 + ahead);
const cores = (millis) => `${(millis / 1000).toFixed(2)}`;
const KINDS = {
  memory: { column: 1, ink: "--b-series-1", least: 33554432, say: binary, mark: binary, marks: POWERS },
  cpu: { column: 2, ink: "--b-series-2", least: 100, say: (millis) => `${cores(millis)} cores`, mark: cores, marks: ROUND },
};

function known(place) {
  if (!charts.has(place.id)) {
    const { column } = KINDS[place.dataset.chart];
    const rows = JSON.parse(place.dataset.history || "[]");
    charts.set(place.id, { samples: rows.map((row) => [row[0], row[column]]) });
  }
  return charts.get(place.id);
}

function take(place, chart) {
  if (chart.told !== place.dataset.now) {
    chart.told = place.dataset.now;
    ahead = Number(chart.told) - Date.now() / 1000;
  }
  const at = Number(place.dataset.at);
  if (at && at > (chart.samples.at(-1)?.[0] ?? 0)) chart.samples.push([at, Number(place.dataset.value)]);
  chart.samples = chart.samples.filter(([then]) => then > now() - SPAN);
}

// What has slept since then is not sampled: it uses what it kept, until now.
function drawn(place, chart) {
  const since = Number(place.dataset.held), value = Number(place.dataset.value);
  if (!since) return columns(chart.samples);
  const [times, values] = columns(chart.samples.filter(([then]) => then < since));
  return [[...times, Math.max(since, now() - SPAN), now()], [...values, value, value]];
}

function columns(samples) {
  const times = [], values = [];
  for (const [at, value] of samples) {
    if (times.length && at - times.at(-1) > GAP) {
      times.push(at - 1);
      values.push(null);
    }
    times.push(at);
    values.push(value);
  }
  return [times, values];
}

function options(place) {
  const kind = KINDS[place.dataset.chart];
  const ink = colour("--b-quiet"), line = colour(kind.ink);
  const top = () => Number(place.dataset.top) || 0;
  const reading = document.createElement("div");
  reading.className = "chart-reading";
  const font = `11px ${getComputedStyle(document.body).fontFamily}`;
  return {
    width: place.clientWidth,
    height: place.clientHeight,
    padding: [8, 14, 0, 0],
    cursor: { y: false, drag: { x: false, y: false }, points: { size: 6 } },
    legend: { show: false },
    // Until now, and ten minutes at least, so that the first samples are a short line and not a stretched one.
    scales: {
      x: { range: (u, low) => [Math.min(low, now() - 600), now()] },
      y: { range: (u, low, high) => [0, top() || Math.max((high ?? 0) * 1.2, kind.least)] },
    },
    axes: [
      { stroke: ink, grid: { show: false }, ticks: { show: false }, size: 22, space: 80, font,
        values: (u, marks) => marks.map((mark) => clock.format(mark * 1000)) },
      { stroke: ink, grid: { stroke: colour("--b-line"), width: 1 }, ticks: { show: false }, size: 58, space: 26, font,
        incrs: kind.marks, values: (u, marks) => marks.map(kind.mark) },
    ],
    series: [{}, { stroke: line, width: 1.5, fill: `${line}1f`, points: { show: false } }],
    hooks: {
      ready: [(u) => u.over.append(reading)],
      setCursor: [(u) => {
        const value = u.cursor.idx == null ? null : u.data[1][u.cursor.idx];
        reading.textContent = value == null ? "" : `${kind.say(value)} at ${exact.format(u.data[0][u.cursor.idx] * 1000)}`;
      }],
    },
  };
}

function draw(place) {
  const chart = known(place);
  take(place, chart);
  const data = drawn(place, chart);
  if (data[0].length < 2 || !place.clientWidth) return;
  if (chart.plot && place.contains(chart.plot.root)) {
    chart.plot.setData(data);
    return;
  }
  chart.plot?.destroy();
  place.replaceChildren();
  chart.plot = new window.uPlot(options(place), data, place);
  sizes.observe(place);
}

const drawAll = () => document.querySelectorAll("[data-chart]").forEach(draw);

function afresh() {
  charts.forEach((chart) => { chart.plot?.destroy(); chart.plot = undefined; });
  drawAll();
}

const sizes = new ResizeObserver((entries) => {
  for (const { target } of entries) {
    const plot = charts.get(target.id)?.plot;
    if (plot && plot.width !== target.clientWidth && target.clientWidth) {
      plot.setSize({ width: target.clientWidth, height: target.clientHeight });
    }
  }
});
addEventListener("berth:theme", afresh);
document.addEventListener("htmx:after:swap", drawAll);
setInterval(drawAll, 30000); // where nothing is sampled, time goes on all the same
drawAll();
