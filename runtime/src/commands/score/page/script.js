"use strict";
const table = document.querySelector("table"), body = table.tBodies[0], rows = [...body.rows];
const element = id => document.getElementById(id);
const slider = element("threshold"), calibrated = parseFloat(table.dataset.threshold);
const scores = rows.map(row => parseFloat(row.dataset.score));
const highest = scores.reduce((high, score) => score > high ? score : high, 0);

function judge(threshold) {
  let anomalous = 0, failed = 0;
  rows.forEach((row, i) => {
    if (Number.isNaN(scores[i])) { failed += 1; return; }
    const above = scores[i] > threshold;
    anomalous += above;
    row.className = (above ? "anomalous" : "good") + (row.classList.contains("large") ? " large" : "");
    row.lastElementChild.textContent = Number.isNaN(threshold) ? "no threshold" : above ? "anomalous" : "good";
  });
  element("level").textContent = Number.isNaN(threshold) ? "none" : threshold.toPrecision(4);
  element("summary").textContent = `${rows.length} images, ${anomalous} anomalous` + (failed ? `, ${failed} failed` : "");
}

function calibrate() {
  slider.value = Number.isNaN(calibrated) ? slider.max : calibrated;
  judge(calibrated);
}

function sort(head) {
  const key = head.firstElementChild.dataset.key;
  const up = head.getAttribute("aria-sort") === "descending" || (key === "image" && !head.hasAttribute("aria-sort"));
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", up ? "ascending" : "descending");
  const text = (a, b) => a.localeCompare(b, undefined, { numeric: true });
  const value = row => key === "image" ? row.dataset.image : key === "verdict" ? row.lastElementChild.textContent
    : row.dataset[key] === "" ? NaN : +row.dataset[key];
  const compare = (a, b) => {
    if (typeof a === "string") return up ? text(a, b) : text(b, a);
    // What has no figure comes last in both directions.
    if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) - Number.isNaN(b);
    return up ? a - b : b - a;
  };
  const keyed = [...body.rows].map(row => [value(row), row]);
  body.append(...keyed.sort((a, b) => compare(a[0], b[0])).map(pair => pair[1]));
}

slider.max = Math.max(highest, Number.isNaN(calibrated) ? 0 : 2 * calibrated) || 1;
slider.addEventListener("input", () => judge(slider.valueAsNumber));
element("calibrated").addEventListener("click", calibrate);
element("calibrated").disabled = Number.isNaN(calibrated);
element("blend").addEventListener("input", event => document.documentElement.style.setProperty("--blend", event.target.value));
element("only").addEventListener("change", event => table.classList.toggle("only", event.target.checked));
table.addEventListener("click", event => {
  const button = event.target.closest("button");
  if (button?.dataset.key) sort(button.parentElement);
  else if (button) button.closest("tr").classList.toggle("large");
});
calibrate();
