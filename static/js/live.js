// A live fragment is not replaced but changed where it differs, element by element: what the reader has
// focused, opened, ticked, typed or scrolled to stays as it is. Rows that change places glide there.
(function () {
  "use strict";
  const calm = window.matchMedia("(prefers-reduced-motion: reduce)");
  const GLIDES = "tr[id], section[id], #board-side, #limits, #board";
  let pressed = false;

  // What is pressed while a poll comes in is left alone: the next one brings the news.
  document.addEventListener("pointerdown", function (event) {
    if (event.isPrimary && event.button === 0) pressed = true;
  });
  // A menu, a drag and another window take the pointer away without a word.
  for (const name of ["pointerup", "pointercancel", "contextmenu", "dragend", "blur"]) {
    window.addEventListener(name, () => setTimeout(() => (pressed = false)));
  }
  document.addEventListener("htmx:beforeSwap", function (event) {
    const asker = event.detail.requestConfig && event.detail.requestConfig.elt;
    const polls = asker && (asker.getAttribute("hx-trigger") || "").startsWith("every");
    if (pressed && polls) event.detail.shouldSwap = false;
  });

  function sameKind(one, other) {
    return one.nodeType === other.nodeType && one.nodeName === other.nodeName && (one.id || "") === (other.id || "");
  }

  // What the reader has changed is kept, unless the server says something new of the same thing.
  function changeAttributes(now, wanted) {
    for (const { name } of Array.from(now.attributes)) {
      const readers = name === "open" && now.nodeName === "DETAILS";
      if (!wanted.hasAttribute(name) && !readers) now.removeAttribute(name);
    }
    for (const { name, value } of wanted.attributes) {
      if (now.getAttribute(name) === value) continue;
      now.setAttribute(name, value);
      if (name === "value" && now.nodeName === "INPUT" && now !== document.activeElement) now.value = value;
      if (name === "checked") now.checked = true;
      if (name === "selected" && now.closest("select") !== document.activeElement) now.selected = true;
    }
  }

  function change(now, wanted) {
    if (now.nodeType !== Node.ELEMENT_NODE) {
      if (now.nodeValue !== wanted.nodeValue) now.nodeValue = wanted.nodeValue;
      return;
    }
    if (now.isEqualNode(wanted)) return;
    changeAttributes(now, wanted);
    changeChildren(now, wanted);
  }

  function changeChildren(parent, wanted) {
    const kept = new Map();
    for (const child of parent.children) if (child.id) kept.set(child.id, child);
    const named = new Set(Array.from(wanted.children, (child) => child.id).filter(Boolean));
    let at = parent.firstChild;
    for (const next of Array.from(wanted.childNodes)) {
      while (at && at.id && !named.has(at.id)) {
        const gone = at;
        at = at.nextSibling;
        gone.remove();
      }
      const old = next.id ? kept.get(next.id) : at;
      if (!old || !sameKind(old, next)) {
        parent.insertBefore(next, at);
        continue;
      }
      if (old === at) at = at.nextSibling;
      else parent.insertBefore(old, at);
      change(old, next);
    }
    while (at) {
      const gone = at;
      at = at.nextSibling;
      gone.remove();
    }
  }

  function places() {
    const found = new Map();
    for (const each of document.querySelectorAll(GLIDES)) found.set(each, each.getBoundingClientRect().top);
    return found;
  }

  // From where it was to where it is now: nothing jumps under the reader's eyes.
  function glide(before) {
    const moved = new Map();
    for (const [each, top] of before) {
      if (!each.isConnected) continue;
      const now = each.getBoundingClientRect().top;
      if (Math.min(top, now) < window.innerHeight && Math.max(top, now) > 0) moved.set(each, top - now);
    }
    for (const [each, by] of moved) {
      const above = each.parentElement.closest(GLIDES);
      const own = by - (moved.get(above) || 0);
      if (Math.abs(own) < 1) continue;
      each.animate([{ transform: `translateY(${own}px)` }, { transform: "none" }], { duration: 260, easing: "ease-out" });
    }
  }

  function swap(style, target, fragment, settling) {
    if (style !== "morph") return false;
    const focused = document.activeElement;
    const before = calm.matches || document.hidden ? new Map() : places();
    changeChildren(target, fragment);
    glide(before);
    // An element that was moved has lost the focus on the way.
    if (focused && focused.isConnected && focused !== document.activeElement) focused.focus({ preventScroll: true });
    announce();
    settling.elts.push(target);
    return [target];
  }

  // The region stays in the page while fragments come and go: only then do screen readers speak, and
  // only a change of the phase is worth saying.
  function announce() {
    const region = document.getElementById("announced");
    const phase = document.querySelector("#progress [data-announce]");
    if (region && phase && region.textContent !== phase.dataset.announce) {
      region.textContent = phase.dataset.announce;
    }
  }

  window.htmx.defineExtension("morph", {
    isInlineSwap: (style) => style === "morph",
    handleSwap: swap,
  });
})();
