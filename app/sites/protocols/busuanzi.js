// Busuanzi's elements and functions, with the numbers of this service. A page that is prerendered or in the background
// is counted when it is seen.
(function (window, document) {
  "use strict";
  var here = document.currentScript || document.querySelector('script[src*="/busuanzi/"]');
  var endpoint = here.src.replace(/\/busuanzi\/.*$/, "/busuanzi");
  var names = ["site_pv", "page_pv", "site_uv"];

  function each(work) {
    names.forEach(function (name) {
      var container = document.getElementById("busuanzi_container_" + name);
      var value = document.getElementById("busuanzi_value_" + name);
      work(name, container, value);
    });
  }

  var tag = {
    bszs: names,
    texts: function (numbers) {
      each(function (name, _, value) {
        if (value) value.textContent = numbers[name];
      });
    },
    hides: function () {
      each(function (_, container) {
        if (container) container.style.display = "none";
      });
    },
    shows: function () {
      each(function (_, container) {
        if (container) container.style.display = "inline";
      });
    },
  };

  var caller = {
    fetch: function (url, callback) {
      var name = "BusuanziCallback_" + Math.floor(1099511627776 * Math.random());
      var script = document.createElement("script");
      window[name] = function (numbers) {
        delete window[name];
        if (numbers) callback(numbers);
        else tag.hides();
      };
      script.type = "text/javascript";
      script.defer = true;
      script.referrerPolicy = "no-referrer-when-downgrade";
      script.src = url.replace("=BusuanziCallback", "=" + name);
      script.onerror = tag.hides;
      script.onload = function () {
        script.remove();
      };
      document.head.appendChild(script);
    },
  };

  function count() {
    caller.fetch(endpoint + "?jsonpCallback=BusuanziCallback", function (numbers) {
      tag.texts(numbers);
      tag.shows();
    });
  }

  window.bszCaller = caller;
  window.bszTag = tag;
  if (document.prerendering || document.visibilityState === "hidden") {
    document.addEventListener("visibilitychange", count, { once: true });
  } else {
    count();
  }
})(window, document);
