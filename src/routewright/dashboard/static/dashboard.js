// What a page has beside what the server drew: the keyboard, light and dark, charts that follow the pointer.
"use strict";
(() => {
  const root = document.documentElement;
  const isDark = () => (root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";

  // ---- light and dark, help ----
  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-theme-toggle]")) {
      root.dataset.theme = isDark() ? "light" : "dark";
      localStorage.setItem("theme", root.dataset.theme);
      redraw();
    }
    if (event.target.closest("[data-help]")) document.getElementById("help").showModal();
    const copy = event.target.closest("[data-copy]");
    if (copy) navigator.clipboard.writeText(document.getElementById(copy.dataset.copy).textContent);
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => redraw());

  // ---- keyboard ----
  const rows = () => [...document.querySelectorAll("main tr[data-row]")].filter((row) => !row.closest("details:not([open])"));
  const step = (by) => {
    const all = rows();
    if (!all.length) return;
    const at = all.findIndex((row) => row.classList.contains("current"));
    const next = all[Math.max(0, Math.min(all.length - 1, at < 0 ? 0 : at + by))];
    all.forEach((row) => row.classList.toggle("current", row === next));
    const target = next.querySelector("a") || next;
    if (target === next) next.tabIndex = -1;
    target.focus();
    next.scrollIntoView({ block: "nearest" });
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest("input, select, textarea, dialog[open]")) return;
    const keys = {
      "/": () => document.querySelector("main [data-filter], main form input:not([type=hidden]), main form select")?.focus(),
      j: () => step(1),
      k: () => step(-1),
      "?": () => document.getElementById("help").showModal(),
    };
    if (keys[event.key]) {
      event.preventDefault();
      keys[event.key]();
    }
  });

  // ---- requests as they come ----
  let source = null;
  const MOST_ROWS = 200;
  const stop = () => {
    source?.close();
    source = null;
  };
  const added = (data) => {
    const row = document.createElement("tr");
    row.dataset.row = "";
    data.cells.forEach((text, at) => {
      const cell = document.createElement(at ? "td" : "th");
      if (data.figures[at]) cell.className = "figure";
      if (at) cell.textContent = text;
      else {
        const link = document.createElement("a");
        link.href = data.link;
        link.textContent = text;
        cell.scope = "row";
        cell.append(link);
      }
      row.append(cell);
    });
    return row;
  };
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-tail]");
    if (!button) return;
    const isOn = button.getAttribute("aria-pressed") === "true";
    button.setAttribute("aria-pressed", String(!isOn));
    button.textContent = isOn ? "Follow" : "Pause";
    stop();
    if (isOn) return;
    source = new EventSource(button.dataset.tail);
    source.addEventListener("request", (message) => {
      const body = document.getElementById(button.dataset.into)?.tBodies[0];
      if (!body) return stop();
      body.prepend(added(JSON.parse(message.data)));
      while (body.rows.length > MOST_ROWS) body.lastElementChild.remove();
    });
  });
  document.addEventListener("htmx:beforeSwap", stop);

  // ---- charts ----
  const plots = [];
  const colour = (name) => getComputedStyle(root).getPropertyValue(name).trim();
  const column = (table, name) => {
    const at = [...table.tHead.rows[0].cells].findIndex((cell) => cell.dataset.name === name);
    return [...table.tBodies[0].rows].map((row) => (row.cells[at].dataset.value === "" ? null : Number(row.cells[at].dataset.value)));
  };
  const texts = (table, name) => {
    const at = [...table.tHead.rows[0].cells].findIndex((cell) => cell.dataset.name === name);
    return [...table.tBodies[0].rows].map((row) => row.cells[at].textContent.trim());
  };
  const shortened = (text) => (/^\d{4}-\d{2}-\d{2}$/.test(text) ? text.slice(5) : text);
  const draw = (figure) => {
    const table = figure.querySelector("table"), place = figure.querySelector(".drawing");
    const labels = [...table.tBodies[0].rows].map((row) => row.cells[0].textContent.trim());
    if (!labels.length || typeof uPlot === "undefined") return;
    const names = figure.dataset.series.split(" "), line = figure.dataset.line;
    const own = names.map((name) => column(table, name));
    let below = labels.map(() => 0);
    const tops = own.map((values) => (below = values.map((value, at) => below[at] + (value || 0))));
    const tick = new Map();
    [...names, ...(line ? [line] : [])].forEach((name) => column(table, name).forEach((value, at) => tick.set(value, texts(table, name)[at])));
    const title = (name) => [...table.tHead.rows[0].cells].find((cell) => cell.dataset.name === name).textContent;
    const bars = uPlot.paths.bars({ size: [0.72, 56] });
    const series = names.map((name, at) => ({
      label: title(name), fill: colour(`--s${at % 8}`), width: 0, paths: bars, points: { show: false },
      value: (_, __, ___, index) => (index === null ? "–" : texts(table, name)[index]),
    })).reverse();
    const data = [labels.map((_, at) => at), ...tops.reverse()];
    if (line) {
      series.push({ label: title(line), stroke: colour("--line"), width: 2, dash: [5, 4], spanGaps: true, value: (_, __, ___, index) => (index === null ? "–" : texts(table, line)[index]) });
      data.push(column(table, line));
    }
    const old = place.querySelector(".uplot");
    if (old) old.remove();
    const svg = place.querySelector("svg");
    svg.setAttribute("hidden", "");
    const axis = { stroke: colour("--soft"), grid: { stroke: colour("--grid"), width: 1 }, ticks: { show: false } };
    const units = { usd: (value) => `$${(value / 1e9).toPrecision(2) * 1}`, share: (value) => `${value / 10} %`, count: (value) => value.toLocaleString("en") };
    const short = units[figure.dataset.unit];
    plots.push(new uPlot({
      width: place.clientWidth, height: 260, legend: { live: true }, cursor: { points: { show: false } },
      scales: { x: { time: false, range: [-0.6, labels.length - 0.4] }, y: { range: (_, __, most) => [0, most * 1.05 || 1] } },
      axes: [
        { ...axis, grid: { show: false }, values: (_, ticks) => ticks.map((at) => (Number.isInteger(at) && labels[at] ? shortened(labels[at]) : "")) },
        { ...axis, size: 64, values: (_, ticks) => ticks.map(short) },
      ],
      series: [{ label: table.tHead.rows[0].cells[0].textContent, value: (_, __, ___, index) => (index === null ? "–" : labels[index]) }, ...series],
    }, data, place));
  };
  const drawAll = () => document.querySelectorAll("figure[data-chart]").forEach(draw);
  const redraw = () => {
    plots.splice(0).forEach((plot) => plot.destroy());
    drawAll();
  };
  let waiting = 0;
  addEventListener("resize", () => {
    clearTimeout(waiting);
    waiting = setTimeout(redraw, 150);
  });
  // Fields without a value are no part of an address.
  document.addEventListener("htmx:configRequest", (event) => {
    for (const [name, value] of [...event.detail.formData]) if (value === "") event.detail.formData.delete(name);
  });
  document.addEventListener("htmx:load", (event) => {
    if (event.target !== document.body) redraw();
  });
  drawAll();
})();
