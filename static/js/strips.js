// Where a row of links is wider than the screen, the one that stands for this page is brought into sight.
(function () {
  "use strict";
  function show(root) {
    for (const link of root.querySelectorAll(".sections [aria-current], .tabs [aria-current]")) {
      const strip = link.parentElement;
      strip.scrollLeft = link.offsetLeft - strip.offsetLeft - (strip.clientWidth - link.offsetWidth) / 2;
    }
  }
  show(document);
  document.addEventListener("htmx:afterSwap", (event) => event.detail.target.id === "insight" && show(event.detail.target));
})();
