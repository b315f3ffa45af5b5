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
  const buttons = form.querySelectorAll("button");
  const file = document.getElementById("file").files[0];
  if (file.size > Number(form.dataset.most)) {
    status.textContent = form.dataset.large;
    return;
  }
  const request = new XMLHttpRequest();
  request.open("POST", form.dataset.to + (preview ? "?preview=1" : ""));
  request.responseType = "json";
  request.upload.onprogress = (sent) => {
    bar.hidden = false;
    bar.value = sent.lengthComputable ? sent.loaded / sent.total : 0;
  };
  request.upload.onload = () => bar.removeAttribute("value"); // it is read now, for as long as that takes
  request.onloadend = () => {
    bar.hidden = true;
    for (const button of buttons) button.disabled = false;
  };
  request.onload = () => {
    const answer = request.response || {};
    if (request.status >= 400) {
      const reason = answer.field === "body" ? answer.detail.replace(/^body: /, "") : (answer.detail ?? "");
      status.textContent = `${form.dataset.failed} ${reason}`;
    } else status.textContent = fill(preview ? form.dataset.found : form.dataset.done, answer);
    if (!preview && request.status < 400) refresh();
  };
  request.onerror = () => {
    status.textContent = form.dataset.failed;
  };
  for (const button of buttons) button.disabled = true;
  status.textContent = "";
  request.send(file);
});
