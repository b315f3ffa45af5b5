// Sends the file to import as it is, and shows how much of it has been sent.
"use strict";

const form = document.getElementById("upload");

function fill(text, values) {
  return text.replace(/\{(\w+)\}/g, (_, name) => Number(values[name]).toLocaleString());
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
  };
  request.onerror = () => {
    bar.hidden = true;
    status.textContent = form.dataset.failed;
  };
  request.send(document.getElementById("file").files[0]);
});
