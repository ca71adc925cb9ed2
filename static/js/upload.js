// Sends an archive with its progress shown. Without this file the form works as any form does.
const ARCHIVE = /\.(tar|tar\.gz|tgz|zip)$/i;
const TYPES = { zip: "application/zip", tar: "application/x-tar" };
const typeOf = (name) => TYPES[name.split(".").pop().toLowerCase()] || "application/gzip";
const size = (bytes) => (bytes < 1048576 ? `${Math.ceil(bytes / 1024)} KiB` : `${(bytes / 1048576).toFixed(1)} MiB`);

function start(form) {
  const input = form.querySelector("input[type=file]");
  const zone = form.querySelector(".drop");
  const note = form.querySelector("[data-note]");
  const bar = form.querySelector("progress");
  const stop = form.querySelector("[data-stop]");
  form.querySelector("[type=submit]").hidden = true;

  const fail = (text) => {
    zone.dataset.state = "failed";
    note.textContent = text;
    note.className = "field-error";
    bar.hidden = stop.hidden = true;
    input.value = "";
  };

  const send = (file) => {
    if (!ARCHIVE.test(file.name)) return fail(`${file.name} is no .tar.gz, .tar or .zip. Pack your folder first.`);
    const most = Number(form.dataset.max);
    if (file.size > most) return fail(`${file.name} has ${size(file.size)}; at most ${size(most)} are taken.`);
    const request = new XMLHttpRequest();
    zone.dataset.state = "sending";
    bar.hidden = stop.hidden = false;
    note.className = "";
    stop.onclick = () => request.abort();
    request.upload.onprogress = (event) => {
      bar.max = event.total;
      bar.value = event.loaded;
      note.textContent = event.loaded < event.total
        ? `Sending ${file.name}: ${size(event.loaded)} of ${size(event.total)}`
        : "Checking the archive…";
    };
    request.onabort = () => fail("Stopped. Nothing was deployed.");
    request.onerror = () => fail("The connection broke. Choose the file again.");
    request.onload = () => {
      let answer = {};
      try { answer = JSON.parse(request.responseText); } catch { /* not ours: the status says it */ }
      if (request.status === 201) return location.assign(answer.location);
      return fail(answer.said || (request.status === 413 ? `${file.name} is too large.` : `The server answered ${request.status}.`));
    };
    // The archive itself is the body: the server writes it straight to its place, without a copy on the way.
    request.open("POST", `${form.action}?name=${encodeURIComponent(file.name)}`);
    request.setRequestHeader("Accept", "application/json");
    request.setRequestHeader("Content-Type", typeOf(file.name));
    request.setRequestHeader("X-CSRFToken", form.elements.csrfmiddlewaretoken.value);
    request.send(file);
    return undefined;
  };

  input.addEventListener("change", () => input.files[0] && send(input.files[0]));
  form.addEventListener("submit", (event) => event.preventDefault());
  let depth = 0; // dragenter and dragleave come for each child as well
  zone.addEventListener("dragenter", () => { depth += 1; zone.dataset.over = ""; });
  zone.addEventListener("dragleave", () => { depth -= 1; if (depth < 1) delete zone.dataset.over; });
  zone.addEventListener("dragover", (event) => event.preventDefault());
  zone.addEventListener("drop", (event) => {
    event.preventDefault();
    depth = 0;
    delete zone.dataset.over;
    const file = event.dataTransfer.files[0];
    if (file) send(file);
  });
}

document.querySelectorAll("form[data-upload]").forEach(start);
