// What pages expect of GoatCounter's count.js: settings, `goatcounter.count`, `url`, `filter`, `visit_count`, clicks on
// elements with `data-goatcounter-click`.
(function () {
  "use strict";
  var own = (window.goatcounter = window.goatcounter || {});
  if (own.vars) window.goatcounter = own = own.vars;
  var script = document.currentScript || document.querySelector("script[data-goatcounter]");
  if (script && script.dataset.goatcounterSettings) {
    try {
      Object.assign(own, JSON.parse(script.dataset.goatcounterSettings));
    } catch (error) {
      window.console.error("data-goatcounter-settings: " + error);
    }
  }

  function endpoint() {
    return own.endpoint || (script && script.dataset.goatcounter) || script.src.replace(/\.js.*$/, "");
  }

  function either(given, usual) {
    return typeof given === "function" ? given(usual) : given === undefined || given === null ? usual : given;
  }

  own.filter = function () {
    if (document.visibilityState === "prerender" || document.prerendering) return "prerender";
    if (!own.allow_frame && window !== window.parent) return "frame";
    if (!own.allow_local && window.location.protocol === "file:") return "localfile";
    try {
      if (window.localStorage.skipgc === "t") return "disabled with #toggle-goatcounter";
    } catch (error) {
      return false;
    }
    return false;
  };

  own.get_data = function (more) {
    more = more || {};
    var canonical = document.querySelector("link[rel=canonical][href]");
    var place = window.location;
    if (canonical && new URL(canonical.href).hostname.replace(/^www\./, "") === place.hostname.replace(/^www\./, "")) {
      place = new URL(canonical.href);
    }
    return {
      p: either(more.path === undefined ? own.path : more.path, place.pathname + place.search || "/"),
      r: either(more.referrer === undefined ? own.referrer : more.referrer, document.referrer),
      t: either(more.title === undefined ? own.title : more.title, document.title),
      e: !!(more.event || own.event),
      s: window.screen.width,
      b: 0,
      q: window.location.search,
    };
  };

  own.url = function (more) {
    var data = own.get_data(more);
    if (data.p === null) return undefined;
    data.rnd = Math.random().toString(36).slice(2, 7);
    return endpoint() + "?" + new URLSearchParams(data);
  };

  own.count = function (more) {
    var reason = own.filter();
    var url = own.url(more);
    if (reason || !url) return;
    if (!navigator.sendBeacon || !navigator.sendBeacon(url)) new Image().src = url;
  };

  own.get_query = function (name) {
    return new URLSearchParams(window.location.search).get(name) || undefined;
  };

  own.bind_events = function () {
    document.querySelectorAll("*[data-goatcounter-click]").forEach(function (element) {
      if (element.dataset.goatcounterBound) return;
      element.dataset.goatcounterBound = "true";
      var clicked = function () {
        own.count({
          event: true,
          path: element.dataset.goatcounterClick || element.name || element.id || "",
          title: element.dataset.goatcounterTitle || element.title || "",
          referrer: element.dataset.goatcounterReferrer || "",
        });
      };
      element.addEventListener("click", clicked);
      element.addEventListener("auxclick", clicked);
    });
  };

  own.visit_count = function (more) {
    more = Object.assign({ type: "html", append: "body" }, more);
    var html = more.type === "html";
    var frame = document.createElement(html ? "iframe" : "img");
    var attributes = Object.assign(html ? { frameborder: 0, scrolling: "no" } : {},
      more.attr || (html ? { width: 200, height: more.no_branding ? 60 : 80 } : {}));
    var query = new URLSearchParams();
    ["no_branding", "style", "start", "end"].forEach(function (name) {
      if (more[name]) query.set(name, more[name]);
    });
    attributes.src = endpoint() + "er/" + encodeURIComponent(more.path || own.get_data({}).p) +
      (html ? ".html?" : ".svg?") + query;
    Object.keys(attributes).forEach(function (name) {
      frame.setAttribute(name, attributes[name]);
    });

    function append() {
      var parent = document.querySelector(more.append);
      if (parent) parent.appendChild(frame);
    }
    if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", append, { once: true });
    else append();
  };

  function toggle() {
    try {
      var off = window.localStorage.skipgc !== "t";
      if (off) window.localStorage.skipgc = "t";
      else window.localStorage.removeItem("skipgc");
      window.alert("Visits of this browser are " + (off ? "not " : "") + "counted.");
    } catch (error) {
      window.console.error("goatcounter: " + error);
    }
  }

  function start() {
    if (!own.no_onload) {
      if (document.visibilityState === "hidden" || document.prerendering) {
        document.addEventListener("visibilitychange", function () { own.count(); }, { once: true });
      } else {
        own.count();
      }
    }
    if (!own.no_events) own.bind_events();
  }

  if (window.location.hash === "#toggle-goatcounter") toggle();
  if (document.body === null) document.addEventListener("DOMContentLoaded", start, { once: true });
  else start();
})();
