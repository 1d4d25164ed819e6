// A live fragment is replaced whole: keep open what the reader has opened, and where they have scrolled to.
// The focus is kept by htmx itself, for whatever has an id.
(function () {
  "use strict";
  let open = [];
  let places = [];
  let pressed = false;

  // A button that is replaced between press and release is never clicked: let the next poll bring the news.
  document.addEventListener("pointerdown", () => (pressed = true));
  for (const name of ["pointerup", "pointercancel"]) {
    document.addEventListener(name, () => setTimeout(() => (pressed = false)));
  }

  document.addEventListener("htmx:beforeSwap", function (event) {
    const target = event.detail.target;
    if (pressed) {
      event.detail.shouldSwap = false;
      return;
    }
    open = Array.from(target.querySelectorAll("details[id][open]"), (each) => each.id);
    places = Array.from(target.querySelectorAll(".scroll[id]"), (each) => [each.id, each.scrollLeft]);
  });

  document.addEventListener("htmx:afterSwap", function () {
    for (const id of open) {
      const found = document.getElementById(id);
      if (found) found.open = true;
    }
    for (const [id, left] of places) {
      const found = document.getElementById(id);
      if (found) found.scrollLeft = left;
    }
    announce();
  });

  // The region stays in the page while fragments come and go: only then do screen readers speak, and
  // only a change of the phase is worth saying.
  function announce() {
    const region = document.getElementById("announced");
    const phase = document.querySelector("#progress [data-announce]");
    if (region && phase && region.textContent !== phase.dataset.announce) {
      region.textContent = phase.dataset.announce;
    }
  }
})();
