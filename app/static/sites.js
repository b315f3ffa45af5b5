// Today's figures and the newest visits, as they come; and the numbers of the point of a chart that is pointed at.
"use strict";

const live = document.querySelector("[data-stream]");
const newest = document.querySelector("[data-newest]");
const nothing = document.querySelector("[data-nothing]");

function entry(hit) {
  const item = document.createElement("li");
  const when = document.createElement("time");
  const at = new Date(hit.at * 1000);
  when.dateTime = at.toISOString();
  when.textContent = at.toLocaleTimeString();
  const names = hit.names.map((name) => name.slice(2)).join(", ");
  const path = document.createElement("span");
  path.textContent = hit.path || "…";
  const about = document.createElement("span");
  about.className = "soft small";
  about.textContent = names;
  item.append(when, " ", path, " ", about);
  return item;
}

if (live && window.EventSource) {
  const source = new EventSource(live.dataset.stream);
  source.addEventListener("site", (event) => {
    const news = JSON.parse(event.data);
    live.hidden = false;
    for (const each of live.querySelectorAll("[data-live]")) {
      each.textContent = Number(news[each.dataset.live]).toLocaleString();
    }
    if (nothing && news.recent.length) nothing.hidden = true;
    newest.hidden = news.recent.length === 0;
    newest.querySelector("ol").replaceChildren(...news.recent.map(entry));
  });
  source.addEventListener("bye", () => source.close());
}

function tellPoints(plot) {
  const points = JSON.parse(plot.dataset.points);
  const chart = plot.querySelector("svg");
  const line = document.createElementNS(chart.namespaceURI, "path");
  line.setAttribute("class", "at");
  const told = document.createElement("p");
  told.className = "told";

  function leave() {
    line.remove();
    told.remove();
  }

  function point(event) {
    const box = chart.getBoundingClientRect();
    const at = ((event.clientX - box.left) / box.width) * chart.viewBox.baseVal.width;
    const nearest = points.reduce((best, each) => (Math.abs(each[0] - at) < Math.abs(best[0] - at) ? each : best));
    const [x, label, visits, visitors] = nearest;
    line.setAttribute("d", `M${x} 0V${chart.viewBox.baseVal.height - 26}`);
    const numbers = [[plot.dataset.visits, visits], [plot.dataset.visitors, visitors]];
    told.textContent = [label, ...numbers.map(([name, number]) => `${name} ${number.toLocaleString()}`)].join(" · ");
    chart.append(line);
    plot.append(told);
    const left = (x / chart.viewBox.baseVal.width) * box.width + 8;
    told.style.left = `${Math.max(0, Math.min(left, box.width - told.offsetWidth))}px`;
  }

  if (points.length) {
    chart.addEventListener("pointermove", point);
    chart.addEventListener("pointerdown", point);
    chart.addEventListener("pointerleave", leave);
  }
}

document.querySelectorAll("[data-points]").forEach(tellPoints);
