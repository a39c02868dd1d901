"use strict";
// A slider that redraws boxes and counts of a viewer. Without scripts, boxes and counts are at the chosen thresholds.
for (const viewer of document.querySelectorAll("[data-viewer]")) {
  const { counts, truths, chosen, thresholds } = JSON.parse(viewer.dataset.viewer);
  const slider = viewer.querySelector("input[type=range]"), output = viewer.querySelector("output");
  const boxes = [...viewer.querySelectorAll("rect")], classes = [...viewer.querySelectorAll("input[type=checkbox]")];
  const rows = [...viewer.querySelectorAll(".counts tbody tr")], photos = [...viewer.querySelectorAll("figure")];
  const captions = photos.map((photo) => photo.querySelector("figcaption").textContent.split(":")[0]);
  const words = (hit, alarms, missed) =>
    `${hit} found, ${alarms} false alarm${alarms === 1 ? "" : "s"}, ${missed} missed`;

  // `level` is 0 to 100, or null for each class's own threshold.
  function redraw(level) {
    const least = thresholds.map((value) => (level === null ? value : level / 100));
    for (const box of boxes) {
      const name = Number(box.dataset.class), above = Number(box.dataset.score) >= least[name];
      const shown = (!classes.length || classes[name].checked) && above !== box.classList.contains("missed");
      box.toggleAttribute("data-above", above);
      if (shown) box.removeAttribute("display");
      else box.setAttribute("display", "none");
    }
    rows.forEach((row, name) => {
      const [hit, alarms] = level === null ? chosen[name] : counts[level][name];
      const share = (part, whole) => (whole ? (part / whole).toFixed(3) : "–");
      const values = [hit, alarms, truths[name] - hit].map((value) => value.toLocaleString("en"));
      const cells = [least[name].toFixed(2), ...values, share(hit, hit + alarms), share(hit, truths[name])];
      cells.forEach((text, i) => (row.cells[i + 1].textContent = text));
    });
    const where = level === null ? "the chosen thresholds" : `confidence ${(level / 100).toFixed(2)}`;
    viewer.querySelector("caption").textContent = `Counts at ${where}`;
    output.textContent = level === null ? "chosen thresholds" : (level / 100).toFixed(2);
    photos.forEach((photo, i) => {
      const visible = (kind) => photo.querySelectorAll(`rect.${kind}:not([display])`).length;
      const text = `${captions[i]}: ${words(visible("hit"), visible("false"), visible("missed"))}`;
      photo.querySelector("figcaption").textContent = text;
      photo.querySelector("svg").setAttribute("aria-label", `Photo ${text}.`);
    });
  }

  let level = null;
  slider.addEventListener("input", () => redraw((level = Number(slider.value))));
  viewer.querySelector(".controls button").addEventListener("click", () => redraw((level = null)));
  for (const box of classes) box.addEventListener("change", () => redraw(level));
  slider.value = Math.round((100 * thresholds.reduce((sum, value) => sum + value, 0)) / thresholds.length);
  viewer.querySelector(".controls").hidden = false;
  redraw(level);
}

// Every picture opens large in a dialogue, in which + and - zoom and Escape closes.
const dialog = document.createElement("dialog");
dialog.setAttribute("aria-label", "Enlarged picture");
const bar = document.createElement("p"), stage = document.createElement("div");
stage.className = "stage";
stage.tabIndex = 0;
let zoom = 1;
function setZoom(value) {
  zoom = Math.min(8, Math.max(1, value));
  stage.firstElementChild.style.width = `${100 * zoom}%`;
}
const actions = [
  ["Close", () => dialog.close()],
  ["Zoom in", () => setZoom(zoom * 1.5)],
  ["Zoom out", () => setZoom(zoom / 1.5)],
];
for (const [name, action] of actions) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = name;
  button.addEventListener("click", action);
  bar.append(button);
}
dialog.append(bar, stage);
dialog.addEventListener("keydown", (event) => {
  if (event.key === "+" || event.key === "=") setZoom(zoom * 1.5);
  if (event.key === "-") setZoom(zoom / 1.5);
});
document.body.append(dialog);
for (const picture of document.querySelectorAll(".zoomable")) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "enlarge";
  button.textContent = "Enlarge";
  const caption = picture.parentElement.querySelector("figcaption").textContent;
  button.setAttribute("aria-label", `Enlarge: ${caption}`);
  const open = () => {
    const copy = picture.cloneNode(true);
    copy.removeAttribute("width");
    copy.removeAttribute("height");
    stage.replaceChildren(copy);
    setZoom(1);
    dialog.showModal();
  };
  button.addEventListener("click", open);
  picture.addEventListener("click", open);
  picture.after(button);
}

// A table that is wider than the page fades at its right end until one has scrolled there.
for (const table of document.querySelectorAll(".table")) {
  const mark = () =>
    table.toggleAttribute("data-more", table.scrollLeft + table.clientWidth < table.scrollWidth - 4);
  table.addEventListener("scroll", mark, { passive: true });
  new ResizeObserver(mark).observe(table);
}

// On paper, what is folded is shown only where it is meant to be.
const opened = new Set();
addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("details.printed:not([open])")) {
    details.open = true;
    opened.add(details);
  }
});
addEventListener("afterprint", () => {
  for (const details of opened) details.open = false;
  opened.clear();
});
