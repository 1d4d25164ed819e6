// Adds drag and drop, and progress, to a form that works without either.
(function () {
  "use strict";
  const equipped = new WeakSet();

  function size(bytes) {
    return bytes < 2 ** 20 ? Math.ceil(bytes / 2 ** 10) + " kB" : (bytes / 2 ** 20).toFixed(1) + " MB";
  }

  // A model's page has its form only once the model is packaged.
  function equip() {
    const form = document.getElementById("upload");
    if (!form || equipped.has(form)) return;
    equipped.add(form);
    const drop = document.getElementById("drop");
    const input = form.querySelector("input[type=file]");
    const chosen = document.getElementById("chosen");
    const sending = document.getElementById("sending");
    const label = document.getElementById("sending-label");
    const bar = document.getElementById("sent");
    const error = document.getElementById("upload-error");
    const button = form.querySelector("button[type=submit]");
    const limit = Number(form.dataset.limit);

    function rest() {
      sending.hidden = true;
      button.disabled = false;
      label.textContent = "Sending";
      bar.value = 0;
    }

    function refuse(text) {
      rest();
      error.textContent = text;
      error.hidden = false;
    }

    function show() {
      error.hidden = true;
      const file = input.files[0];
      if (!file) return;
      chosen.textContent = file.name + ", " + size(file.size);
      if (file.size > limit) {
        refuse("The file is over the limit of " + size(limit) + ". Compress it with gzip, save it as Parquet, or take a sample of its rows.");
        input.value = "";
      }
    }

    input.addEventListener("change", show);
    for (const name of ["dragenter", "dragover"]) {
      drop.addEventListener(name, function (event) {
        event.preventDefault();
        drop.classList.add("over");
      });
    }
    for (const name of ["dragleave", "drop"]) {
      drop.addEventListener(name, () => drop.classList.remove("over"));
    }
    drop.addEventListener("drop", function (event) {
      event.preventDefault();
      const { files } = event.dataTransfer;
      if (files.length > 1) {
        refuse("Those were " + files.length + " files. Drop one at a time.");
      } else if (files.length) {
        input.files = files;
        show();
      }
    });

    form.addEventListener("submit", function (event) {
      if (!input.files.length) return;
      event.preventDefault();
      error.hidden = true;
      sending.hidden = false;
      button.disabled = true;
      const request = new XMLHttpRequest();
      request.open("POST", form.action);
      request.setRequestHeader("Accept", "application/json");
      request.responseType = "json";
      request.upload.addEventListener("progress", function (moment) {
        if (!moment.lengthComputable) return;
        bar.value = (100 * moment.loaded) / moment.total;
        label.textContent = "Sending: " + size(moment.loaded) + " of " + size(moment.total);
      });
      request.addEventListener("load", function () {
        const answer = request.response || {};
        if (request.status === 201 && answer.location) window.location.assign(answer.location);
        else refuse(answer.error || "The upload failed (" + request.status + "). Reload the page and try again.");
      });
      request.addEventListener("error", () => refuse("The connection was lost. Check the file's size, and try again."));
      request.send(new FormData(form));
    });

    // Who comes back finds the form as it was left: browsers keep pages, or what was disabled in them.
    window.addEventListener("pageshow", (event) => event.persisted && rest());
    rest();
  }

  equip();
  document.addEventListener("htmx:afterSettle", equip);
})();
