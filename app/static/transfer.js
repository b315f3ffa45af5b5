// Sends the file to import as it is, shows how much of it has been sent, and the import in the list.
"use strict";

const form = document.getElementById("upload");

function fill(text, values) {
  return text.replace(/\{(\w+)\}/g, (_, name) => Number(values[name]).toLocaleString());
}

// Shows the new import among those that can be undone.
async function refresh() {
  const response = await fetch(location.href).catch(() => null);
  if (!response?.ok) return;
  const fresh = new DOMParser().parseFromString(await response.text(), "text/html").getElementById("imported");
  document.getElementById("imported")?.remove();
  if (fresh) form.closest("section").after(document.adoptNode(fresh));
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const preview = event.submitter && event.submitter.value;
  const bar = form.querySelector("progress");
  const status = form.querySelector("[role=status]");
  const request = new XMLHttpRequest();
  request.open("POST", form.dataset.to + (preview ? "?preview=1" : ""));
  request.responseType = "json";
  request.upload.onprogress = (sent) => {
    bar.hidden = false;
    bar.value = sent.lengthComputable ? sent.loaded / sent.total : 0;
  };
  request.onload = () => {
    bar.hidden = true;
    const answer = request.response || {};
    if (request.status >= 400) status.textContent = answer.detail || form.dataset.failed;
    else status.textContent = fill(preview ? form.dataset.found : form.dataset.done, answer);
    if (!preview && request.status < 400) refresh();
  };
  request.onerror = () => {
    bar.hidden = true;
    status.textContent = form.dataset.failed;
  };
  request.send(document.getElementById("file").files[0]);
});
