// Today's figures and the newest visits, as they come; the numbers of the point of a chart that is pointed at, and the range
// that is drawn over.
"use strict";

const language = document.documentElement.lang === "en" ? "en-GB" : document.documentElement.lang;
const live = document.querySelector("[data-stream]");
const newest = document.querySelector("[data-newest]");
const REFRESH_MS = 30_000;
let refreshed = Date.now();
let timer;

function names(type) {
  const known = new Intl.DisplayNames([language], { type, fallback: "code" });
  return (code) => {
    try {
      return known.of(code);
    } catch {
      return code; // malformed
    }
  };
}

const screens = Object.fromEntries((newest?.dataset.screens ?? "").split(";").map((each) => each.split("=")));
const shown = { c: names("region"), l: names("language"), w: (name) => screens[name] ?? name };

function entry(hit) {
  const item = document.createElement("li");
  const when = document.createElement("time");
  const at = new Date(hit.at * 1000);
  when.dateTime = at.toISOString();
  when.textContent = at.toLocaleTimeString(language);
  const path = document.createElement("span");
  path.textContent = hit.path || "…";
  const about = document.createElement("span");
  about.className = "soft small";
  about.textContent = hit.names.map((name) => (shown[name[0]] ?? String)(name.slice(2))).join(" · ");
  item.append(when, " ", path, " ", about);
  return item;
}

// Replaces what the page says of the range by what the server says now; parts in use stay.
async function refresh() {
  timer = undefined;
  refreshed = Date.now();
  const response = await fetch(location.href).catch(() => null);
  if (!response?.ok) return;
  const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
  for (const old of document.querySelectorAll("[data-part]")) {
    const part = fresh.querySelector(`[data-part="${old.dataset.part}"]`);
    const isUsed = old.contains(document.activeElement) || old.matches(":hover") || old.querySelector("[open]");
    if (part && !isUsed) old.replaceWith(document.adoptNode(part));
  }
  const parts = new Set([...document.querySelectorAll("[data-part]")].map((part) => part.dataset.part));
  for (const part of fresh.querySelectorAll(".lists [data-part]")) {
    if (!parts.has(part.dataset.part)) document.querySelector(".lists").append(document.adoptNode(part));
  }
  document.querySelectorAll("[data-points]").forEach(tellPoints);
}

function refreshSoon() {
  const isFirst = document.querySelector("[data-nothing]");
  if (!timer && !document.hidden) timer = setTimeout(refresh, isFirst ? 0 : Math.max(0, refreshed + REFRESH_MS - Date.now()));
}

function tell(news, isFirst) {
  for (const tile of live.querySelectorAll(".live")) tile.hidden = false;
  for (const each of document.querySelectorAll("[data-live]")) {
    const sum = Number(news[each.dataset.live]) + Number(each.dataset.others ?? 0);
    (each.querySelector("strong") ?? each).textContent = sum.toLocaleString(language);
  }
  newest.hidden = news.recent.length === 0;
  newest.querySelector("ol").replaceChildren(...news.recent.map(entry));
  if (!isFirst || (news.visits && document.querySelector("[data-others]") && document.querySelector("[data-nothing]"))) {
    refreshSoon();
  }
}

if (live && window.EventSource) {
  const source = new EventSource(live.dataset.stream);
  let isFirst = true;
  source.addEventListener("site", (event) => {
    tell(JSON.parse(event.data), isFirst);
    isFirst = false;
  });
  source.addEventListener("bye", () => source.close());
}

function timeOf(at) {
  if (at.length > 10) return at.slice(11, 16);
  const form = at.length > 7 ? { weekday: "short", day: "numeric", month: "short", year: "numeric" } : { month: "long", year: "numeric" };
  return new Date(at).toLocaleDateString(language, { ...form, timeZone: "UTC" });
}

function lastDay(at) {
  if (at.length > 7) return at;
  const [year, month] = at.split("-").map(Number);
  return new Date(Date.UTC(year, month, 0)).toISOString().slice(0, 10);
}

function firstDay(at) {
  return at.length > 7 ? at : `${at}-01`;
}

function tellPoints(plot) {
  if (plot.dataset.told) return;
  plot.dataset.told = "yes";
  const points = JSON.parse(plot.dataset.points);
  const chart = plot.querySelector(".chart");
  const { width, height } = chart.viewBox.baseVal;
  const mark = document.createElementNS(chart.namespaceURI, "path");
  mark.setAttribute("class", "at");
  const told = document.createElement("p");
  told.className = "told";
  let begun = null;

  function index(event) {
    const box = chart.getBoundingClientRect();
    return Math.max(0, Math.min(points.length - 1, Math.floor(((event.clientX - box.left) / box.width) * points.length)));
  }

  function leave() {
    mark.remove();
    told.remove();
    begun = null;
  }

  function show(event) {
    const here = index(event);
    const [first, last] = [Math.min(begun ?? here, here), Math.max(begun ?? here, here)];
    const range = points.slice(first, last + 1);
    const place = width / points.length;
    mark.setAttribute("d", `M${first * place} 0H${(last + 1) * place}V${height}H${first * place}Z`);
    const when = first === last ? timeOf(points[first][0]) : `${timeOf(points[first][0])} – ${timeOf(points[last][0])}`;
    const sums = [[plot.dataset.visits, 1], [plot.dataset.visitors, 2]].map(
      ([name, which]) => `${name} ${range.reduce((sum, point) => sum + point[which], 0).toLocaleString(language)}`,
    );
    told.textContent = [when, ...sums].join(" · ");
    chart.append(mark);
    plot.append(told);
    const left = chart.getBoundingClientRect().left - plot.getBoundingClientRect().left;
    const at = left + ((first + 0.5) / points.length) * chart.clientWidth + 12;
    told.style.left = `${Math.max(0, Math.min(at, plot.clientWidth - told.offsetWidth))}px`;
  }

  function zoom(event) {
    const here = index(event);
    if (begun !== null && begun !== here && points[here][0].length <= 10) {
      const [first, last] = [points[Math.min(begun, here)][0], points[Math.max(begun, here)][0]];
      location.search = `?from=${firstDay(first)}&to=${lastDay(last)}${plot.dataset.kept}`;
    }
    begun = null;
  }

  if (points.length) {
    chart.addEventListener("pointermove", show);
    chart.addEventListener("pointerdown", (event) => {
      if (event.pointerType === "mouse" && event.button === 0) begun = index(event);
      show(event);
    });
    chart.addEventListener("pointerup", zoom);
    chart.addEventListener("pointerleave", (event) => {
      if (event.pointerType !== "touch") leave(); // a finger has left when it was lifted: the numbers stay
    });
    document.addEventListener("pointerdown", (event) => {
      if (!plot.contains(event.target)) leave();
    });
  }
}

document.querySelectorAll("[data-points]").forEach(tellPoints);
