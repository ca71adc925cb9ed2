// Follows a log. Whatever an app wrote is text here: colours are kept, every other control is shown as a sign.
import { AnsiUp } from "../vendor/ansi_up/ansi_up.js";

const MOST = 5000; // lines kept in the page
// eslint-disable-next-line no-control-regex
const COLOUR = /(\x1b\[[\d;]*m)/;
// C0 and C1 controls, and the characters that turn the direction of text around or have no width.
const CONTROL = /[\u0000-\u0008\u000a-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;
const STEP = /^(-----> |==> |Step \d+|Built |Finished |Source )/;

function sign(character) {
  const code = character.codePointAt(0);
  if (code < 0x20) return String.fromCodePoint(0x2400 + code);
  return code === 0x7f ? "␡" : `⟨U+${code.toString(16).toUpperCase().padStart(4, "0")}⟩`;
}

const inert = (text) => text.replace(/\r$/, "").replace(CONTROL, sign);

// ansi_up makes HTML; it is parsed in a template, whose content loads and runs nothing, and only spans with classes
// or plain colours come over.
const apart = document.createElement("template");

function coloured(text) {
  const parts = text.split(COLOUR);
  if (parts.length === 1) return document.createTextNode(inert(text));
  const ansi = new AnsiUp();
  ansi.use_classes = true;
  ansi.url_allowlist = {};
  const html = ansi.ansi_to_html(parts.map((part, n) => (n % 2 ? part : inert(part))).join(""));
  apart.innerHTML = html.replaceAll(" style=", " data-style=");
  const out = document.createDocumentFragment();
  for (const node of apart.content.childNodes) {
    const span = document.createElement("span");
    span.textContent = node.textContent;
    if (node.nodeType === 1) style(span, node);
    out.append(span);
  }
  return out;
}

function style(span, from) {
  span.className = from.className;
  const wanted = from.dataset.style ?? "";
  if (wanted.includes("bold")) span.classList.add("ansi-bold");
  for (const [, name, r, g, b] of wanted.matchAll(/(?:^|;)\s*(color|background-color):\s*rgb\((\d+),\s*(\d+),\s*(\d+)\)/g)) {
    span.style.setProperty(name, `rgb(${r},${g},${b})`);
  }
}

const narrow = matchMedia("(max-width: 47.99rem)");

class Log {
  constructor(root) {
    this.root = root;
    this.lines = root.querySelector(".log-lines");
    this.state = root.querySelector(".log-state");
    this.search = root.querySelector("[data-log-search]");
    this.followButton = root.querySelector("[data-log-follow]");
    this.empty = root.querySelector(".log-empty");
    this.newer = root.querySelector("[data-log-new]");
    this.unseen = 0; // lines that came while it did not follow
    this.wait = [];
    this.id = "";
    this.ended = false;
    this.pause = 1000;
    this.follow = true;
    this.search?.addEventListener("input", () => {
      clearTimeout(this.typing);
      this.typing = setTimeout(() => this.filter(), 120);
    });
    this.followButton?.addEventListener("click", () => this.setFollow(!this.follow));
    root.querySelector("[data-log-wrap]")?.addEventListener("click", (event) => this.wrap(event.currentTarget));
    root.querySelector("[data-log-save]")?.addEventListener("click", () => this.save());
    this.lines.addEventListener("scroll", () => this.scrolled(), { passive: true });
    document.addEventListener("visibilitychange", () => (document.hidden ? this.close() : this.open()));
    addEventListener("pagehide", () => this.close());
    addEventListener("pageshow", () => this.open());
    if (narrow.matches && !root.hasAttribute("data-wrap")) this.wrap(root.querySelector("[data-log-wrap]"));
    this.open();
  }

  open() {
    clearTimeout(this.retry);
    if (this.source || this.ended || document.hidden) return;
    const url = new URL(this.root.dataset.src, location.href);
    if (this.id) url.searchParams.set("after", this.id);
    this.source = new EventSource(url);
    this.on("open", () => {
      this.pause = 1000;
      this.tell();
      setTimeout(() => this.show(), 400); // what there is comes at once, else there is nothing yet
    });
    this.on("lines", (event) => {
      this.id = event.lastEventId;
      this.push(JSON.parse(event.data));
    });
    this.on("skipped", (event) => {
      const { bytes } = JSON.parse(event.data);
      this.note(bytes ? `${bytes.toLocaleString()} bytes before this are left out; download the whole log to read them`
        : "Lines come faster than they can be shown; some are left out");
    });
    this.on("again", () => { this.lines.replaceChildren(); this.note("The build was interrupted and starts again"); });
    this.on("caught-up", () => this.show());
    this.on("end", (event) => this.end(JSON.parse(event.data).status));
    this.on("gone", () => { this.end(""); this.say("You have no access to this log any more"); });
    this.on("error", () => {
      this.close();
      this.say("Connecting again…");
      this.retry = setTimeout(() => this.open(), this.pause);
      this.pause = Math.min(this.pause * 2, 30000);
    });
  }

  on(name, listener) { this.source.addEventListener(name, listener); }

  close() {
    clearTimeout(this.retry);
    this.source?.close();
    this.source = undefined;
  }

  end(status) {
    this.ended = true;
    this.close();
    this.show();
    this.status = status;
    this.tell();
    document.body.dispatchEvent(new CustomEvent("live:build"));
  }

  // What stands beside the buttons: how many lines match, or else how the log goes on.
  tell() {
    const wanted = this.search?.value.trim();
    const all = this.lines.querySelectorAll(".log-line").length;
    if (wanted) this.say(`${this.lines.querySelectorAll(".log-line:not([hidden])").length} of ${all} lines`);
    else if (this.ended) this.say(this.status ? `Ended: ${this.status}` : "Ended");
    else this.say(this.follow ? "Live" : "Paused");
  }

  say(text) { if (this.state && this.state.textContent !== text) this.state.textContent = text; }

  push(lines) {
    this.wait.push(...lines);
    if (this.wait.length > MOST) this.wait = this.wait.slice(-MOST);
    this.frame ??= requestAnimationFrame(() => this.show());
  }

  note(text) { this.push([{ note: text }]); }

  show() {
    cancelAnimationFrame(this.frame);
    this.frame = undefined;
    if (this.wait.length) {
      const added = document.createDocumentFragment();
      const fresh = this.wait.length;
      for (const line of this.wait) added.append(this.line(line));
      this.wait = [];
      this.empty?.remove();
      this.lines.append(added);
      while (this.lines.childElementCount > MOST) this.lines.firstElementChild.remove();
      if (this.follow) this.bottom();
      else this.count(this.unseen + fresh);
      this.mark();
      if (this.search?.value.trim()) this.tell();
    } else if (this.empty?.isConnected) {
      this.empty.textContent = this.ended ? "Nothing was written." : this.root.dataset.nothing;
    }
  }

  line(line) {
    const row = document.createElement("div");
    row.className = "log-line";
    const text = document.createElement("span");
    text.className = "log-text";
    if (line.note) {
      row.classList.add("note");
      text.textContent = line.note;
    } else if (typeof line === "string") {
      text.append(coloured(line));
      if (STEP.test(line)) text.classList.add("log-step");
    } else {
      const [source, at, stream, said] = line;
      const time = document.createElement("time");
      time.dateTime = at;
      const when = new Date(at);
      time.textContent = Number.isNaN(when.getTime()) ? "" : when.toTimeString().slice(0, 8);
      const from = document.createElement("span");
      from.className = "log-source";
      from.textContent = source;
      row.append(time, from);
      if (stream === "stderr") row.classList.add("stderr");
      text.append(coloured(said));
    }
    row.append(text);
    row.hidden = !this.matches(row);
    return row;
  }

  matches(row) {
    const wanted = this.search?.value.trim().toLowerCase();
    return !wanted || row.textContent.toLowerCase().includes(wanted);
  }

  filter() {
    for (const row of this.lines.querySelectorAll(".log-line")) row.hidden = !this.matches(row);
    this.mark();
    this.tell();
    if (this.follow) this.bottom();
  }

  // The words that are looked for, marked without a change to the lines themselves.
  mark() {
    if (!("highlights" in CSS)) return;
    CSS.highlights.delete("log-search");
    const wanted = this.search?.value.trim().toLowerCase();
    if (!wanted) return;
    const found = new Highlight();
    for (const row of this.lines.querySelectorAll(".log-line:not([hidden]) .log-text")) {
      const texts = document.createTreeWalker(row, NodeFilter.SHOW_TEXT);
      for (let node = texts.nextNode(); node; node = texts.nextNode()) {
        const text = node.data.toLowerCase();
        for (let at = text.indexOf(wanted); at >= 0; at = text.indexOf(wanted, at + wanted.length)) {
          found.add(new StaticRange({ startContainer: node, startOffset: at, endContainer: node, endOffset: at + wanted.length }));
        }
      }
    }
    CSS.highlights.set("log-search", found);
  }

  bottom() {
    this.self = true;
    this.lines.scrollTop = this.lines.scrollHeight;
  }

  // Scrolling up stops following, scrolling to the end starts it again.
  scrolled() {
    const atEnd = this.lines.scrollHeight - this.lines.scrollTop - this.lines.clientHeight < 24;
    if (this.self) { this.self = false; return; }
    if (atEnd !== this.follow) this.setFollow(atEnd);
  }

  setFollow(on) {
    this.follow = on;
    this.followButton?.setAttribute("aria-pressed", String(on));
    if (on) {
      this.count(0);
      this.bottom();
    }
    this.tell();
  }

  count(unseen) {
    this.unseen = unseen;
    if (this.newer) this.newer.textContent = unseen ? `${Math.min(unseen, MOST).toLocaleString()} new` : "";
  }

  wrap(button) {
    const on = this.root.toggleAttribute("data-wrap");
    button.setAttribute("aria-pressed", String(on));
  }

  save() {
    const text = [...this.lines.querySelectorAll(".log-line")].map((row) => {
      const parts = [...row.children].map((part) => (part.tagName === "TIME" ? part.dateTime : part.textContent));
      return parts.join(" ");
    }).join("\n");
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([`${text}\n`], { type: "text/plain" }));
    link.download = this.root.dataset.file;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }
}

document.querySelectorAll("[data-log]").forEach((root) => new Log(root));
document.querySelectorAll("[data-ansi]").forEach((place) => {
  for (const row of place.querySelectorAll(".log-text")) row.replaceChildren(coloured(row.textContent));
});
