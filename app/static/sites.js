// Today's figures and the newest visits, as they come.
"use strict";

const live = document.querySelector("[data-stream]");
const newest = document.querySelector("[data-newest]");

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
    newest.hidden = news.recent.length === 0;
    newest.querySelector("ol").replaceChildren(...news.recent.map(entry));
  });
  source.addEventListener("bye", () => source.close());
}
