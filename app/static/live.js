// The home page's number, live: every arrival changes the headline and draws one more stroke.
{
  const hero = document.querySelector("[data-visits]");
  const headline = document.getElementById("visits");
  const below = document.getElementById("yours");
  const texts = headline.dataset;
  const format = new Intl.NumberFormat(document.documentElement.lang);
  const say = (template, n) => template.replace("{n}", format.format(n));
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  const fadeIn = [{ opacity: 0.3, transform: "translateY(0.12em)" }, { opacity: 1, transform: "none" }];

  const own = hero.dataset.visits === "" ? null : Number(hero.dataset.visits);
  let shown = own;

  const show = (total) => {
    if (shown !== null && total <= shown) return;
    if (shown === null) {
      headline.textContent = say(total === 1 ? texts.totalOne : texts.total, total);
      below.textContent = "";
    } else {
      headline.textContent = say(texts.arrived, total);
      if (own !== null && texts.yours) below.textContent = say(texts.yours, own);
    }
    shown = total;
    hero.dataset.visits = total;
    if (!calm.matches && !headline.getAnimations().length) headline.animate(fadeIn, { duration: 400, easing: "ease-out" });
    // A screen reader hears of the first change only: a busy counter would never let it finish.
    setTimeout(() => headline.setAttribute("aria-live", "off"), 1000);
  };

  // A browser keeps six connections to a host, so one visible tab holds the stream and tells the others.
  const tabs = new BroadcastChannel("visits");
  tabs.onmessage = ({ data }) => (data === "how many?" ? shown && tabs.postMessage(shown) : show(data));
  if (shown === null) tabs.postMessage("how many?");

  let leave = () => {};
  const join = () => {
    leave();
    if (document.hidden) return;
    const left = new AbortController();
    leave = () => left.abort();
    const hold = () => new Promise((release) => {
      const stream = new EventSource("/events/visits");
      stream.addEventListener("visits", (event) => (show(JSON.parse(event.data).visits), tabs.postMessage(shown)));
      // The browser connects again by itself, except after an answer that is no stream.
      stream.onerror = () => stream.readyState === EventSource.CLOSED && setTimeout(join, 5000);
      left.signal.onabort = () => (stream.close(), release());
      if (left.signal.aborted) left.signal.onabort();
    });
    if (navigator.locks) navigator.locks.request("visits", { signal: left.signal }, hold).catch(() => {});
    else hold();
  };
  addEventListener("pageshow", join);
  addEventListener("pagehide", () => leave());
  document.addEventListener("visibilitychange", join);
}
