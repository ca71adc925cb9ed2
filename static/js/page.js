// What every page has: copying, dialogs, menus, showing secrets.

const say = (text) => {
  const place = document.getElementById("announce");
  if (place) place.textContent = text;
};

async function copy(button) {
  const text = button.dataset.copy ?? document.getElementById(button.dataset.copyFrom)?.value ?? "";
  try {
    await navigator.clipboard.writeText(text);
  } catch { // without a secure context there is no clipboard API
    const area = document.createElement("textarea");
    area.value = text;
    (button.closest("dialog") ?? document.body).append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  say("Copied");
  button.dataset.done = "";
  const use = button.querySelector("use");
  const before = use?.getAttribute("href");
  use?.setAttribute("href", before.replace(/#.*/, "#check"));
  setTimeout(() => use?.setAttribute("href", before), 1500);
}

function reveal(button) {
  const input = document.getElementById(button.dataset.reveal);
  const shown = input.type === "text";
  input.type = shown ? "password" : "text";
  button.setAttribute("aria-pressed", String(!shown));
  const use = button.querySelector("use");
  use.setAttribute("href", use.getAttribute("href").replace(/#.*/, shown ? "#eye" : "#eye-off"));
}

document.addEventListener("click", (event) => {
  const at = (selector) => event.target.closest(selector);
  if (at("[data-copy], [data-copy-from]")) copy(at("[data-copy], [data-copy-from]"));
  if (at("[data-reveal]")) reveal(at("[data-reveal]"));
  if (at("[data-opens]")) document.getElementById(at("[data-opens]").dataset.opens)?.showModal();
  if (at("[data-closes]")) at("dialog")?.close();
  if (at("[data-prints]")) print();
  document.querySelectorAll("details.menu[open]").forEach((menu) => {
    if (!menu.contains(event.target)) menu.open = false;
  });
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    const menu = event.target.closest?.("details.menu[open]");
    if (menu) { menu.open = false; menu.querySelector("summary").focus(); }
  }
  const typing = /^(input|textarea|select)$/i.test(event.target.tagName);
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey) {
    const search = document.querySelector("[data-search], [data-log-search]");
    if (search) { event.preventDefault(); search.focus(); }
  }
});
document.addEventListener("input", (event) => {
  // A dangerous button works only when the name is typed.
  if (event.target.matches("[data-must-equal]")) {
    event.target.form.querySelector("[type=submit]").disabled = event.target.value !== event.target.dataset.mustEqual;
  }
});
document.addEventListener("change", (event) => {
  if (event.target.matches("select[data-goes]")) location.assign(event.target.value);
});
// A table is a stop for the Tab key only where it has something to scroll to.
const stops = () => document.querySelectorAll(".scroll-x").forEach((place) => {
  if (place.scrollWidth > place.clientWidth) place.tabIndex = 0;
  else place.removeAttribute("tabindex");
});
addEventListener("resize", stops);
document.addEventListener("htmx:after:swap", stops);
stops();
// A second click on a slow form must not send it twice.
document.addEventListener("submit", (event) => {
  if (event.target.method !== "post" || event.defaultPrevented) return;
  const button = event.submitter ?? event.target.querySelector("[type=submit]");
  setTimeout(() => {
    if (!button) return;
    button.disabled = true;
    button.setAttribute("aria-busy", "true");
  });
});
addEventListener("pageshow", (event) => {
  if (!event.persisted) return;
  document.querySelectorAll("[aria-busy]").forEach((button) => {
    button.disabled = false;
    button.removeAttribute("aria-busy");
  });
});
// On paper nothing can be opened.
addEventListener("beforeprint", () => document.querySelectorAll("main details").forEach((it) => { it.open = true; }));
document.querySelector("[data-opens-now]")?.showModal();
document.querySelector(".tabs [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
document.querySelectorAll("[data-must-equal]").forEach((input) => {
  input.form.querySelector("[type=submit]").disabled = input.value !== input.dataset.mustEqual;
});
