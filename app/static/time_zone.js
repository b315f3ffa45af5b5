// A new site gets the time zone of the browser, unless another one has been typed.
"use strict";

const zone = document.getElementById("time_zone");
if (zone.value === "UTC" && !document.querySelector("[aria-invalid]")) {
  zone.value = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
}
