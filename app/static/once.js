// A second click on a button whose answer is still on its way would replace that answer by an error.
for (const form of document.querySelectorAll("form[data-once]")) {
  form.addEventListener("submit", (event) => {
    if (form.dataset.once) event.preventDefault();
    form.dataset.once = "sent";
  });
  addEventListener("pageshow", (event) => event.persisted && (form.dataset.once = ""));
}
