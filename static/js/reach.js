// Where polls get no answer, the page says since when its figures stand still; what is gone is asked for no more.
(function () {
  "use strict";
  // A service that is started again misses one or two.
  const ENOUGH = 3;
  const GONE = [404, 410];
  const failing = new Map();
  const answered = new WeakMap();
  const opened = new Date();
  let gone = "";

  const polls = (element) => /\bevery\b/.test(element.getAttribute("hx-trigger") || "");
  const time = (moment) => {
    const shown = moment.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
    const day = moment.toLocaleDateString();
    return day === new Date().toLocaleDateString() ? shown : `${day}, ${shown}`;
  };

  // In the page before it has anything to say: only then do screen readers speak.
  const region = document.createElement("div");
  region.id = "reach";
  region.setAttribute("role", "status");
  document.body.append(region);

  function text() {
    if (gone) return `This is gone: it was deleted. Shown as of ${gone}.`;
    const late = Array.from(failing.values()).find((each) => each.times >= ENOUGH);
    return late ? `The service does not answer; shown as of ${late.since}.` : "";
  }

  function tell() {
    for (const each of failing.keys()) if (!each.isConnected) failing.delete(each);
    const wanted = text();
    if (region.textContent === wanted) return;
    region.replaceChildren();
    if (!wanted) return;
    const note = document.createElement("p");
    note.className = "note warning";
    note.textContent = wanted;
    region.append(note);
  }

  function failed(event) {
    const asker = event.detail.elt;
    if (!polls(asker)) return;
    const { times } = failing.get(asker) || { times: 0 };
    // Of its last answer: a laptop may have slept since.
    const since = time(answered.get(asker) || opened);
    failing.set(asker, { times: times + 1, since });
    if (event.detail.xhr && GONE.includes(event.detail.xhr.status)) {
      gone ||= since;
      asker.removeAttribute("hx-get");
      asker.removeAttribute("hx-trigger");
      window.htmx.process(asker);
    }
    tell();
  }

  for (const name of ["htmx:responseError", "htmx:sendError", "htmx:timeout"]) {
    document.addEventListener(name, failed);
  }
  document.addEventListener("htmx:afterRequest", function (event) {
    if (!event.detail.successful) return;
    answered.set(event.detail.elt, new Date());
    if (failing.delete(event.detail.elt)) tell();
  });
})();
