// What themes load of Busuanzi's successors at /js (soxft's busuanzi, vercount), with the numbers of this service. A page that
// is prerendered or in the background is counted when it is seen. Attributes: data-api, data-prefix, pjax.
(function (window, document) {
  "use strict";
  var here = document.currentScript || document.querySelector('script[src$="/js"]');
  var api = here.getAttribute("data-api") || here.src.replace(/\/js([?#].*)?$/, "/api");
  var prefix = here.getAttribute("data-prefix") || "busuanzi";

  function fill(numbers) {
    Object.keys(numbers).forEach(function (name) {
      [prefix + "_" + name, prefix + "_value_" + name, "vercount_value_" + name].forEach(function (id) {
        var element = document.getElementById(id);
        if (element) element.textContent = numbers[name];
      });
      [prefix, "vercount"].forEach(function (first) {
        var container = document.getElementById(first + "_container_" + name);
        if (container) container.style.display = "inline";
      });
    });
  }

  function count() {
    var options = { method: "POST", headers: { "x-bsz-referer": window.location.href }, credentials: "omit" };
    window.fetch(api, options)
      .then(function (answer) { return answer.json(); })
      .then(function (answer) { if (answer.success) fill(answer.data); }, function () {});
  }

  function whenSeen() {
    if (document.prerendering || document.visibilityState === "hidden") {
      document.addEventListener("visibilitychange", count, { once: true });
    } else {
      count();
    }
  }

  if (here.hasAttribute("pjax")) {
    var push = window.history.pushState;
    window.history.pushState = function () {
      push.apply(this, arguments);
      count();
    };
    window.addEventListener("popstate", count);
  }
  whenSeen();
})(window, document);
