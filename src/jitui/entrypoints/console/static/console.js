// Comfort only: every page works without this file.
(() => {
  const menus = () => document.querySelectorAll("details.menu[open]");

  document.addEventListener("click", (event) => {
    for (const menu of menus()) if (!menu.contains(event.target)) menu.open = false;
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    for (const menu of menus()) {
      menu.open = false;
      menu.querySelector("summary").focus();
    }
  });

  // Deadlines, in the page's language: the two largest units, as the server wrote them.
  const units = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];
  const language = document.documentElement.lang;
  const write = (count, unit) =>
    new Intl.NumberFormat(language, { style: "unit", unit, unitDisplay: "short" }).format(count);

  function left(seconds) {
    const parts = [];
    for (const [unit, size] of units) {
      const count = Math.floor(seconds / size);
      seconds -= count * size;
      if (count) parts.push(write(count, unit));
      if (parts.length && (parts.length === 2 || !count)) break;
    }
    return parts.join(" ") || write(0, "second");
  }

  function tick() {
    for (const place of document.querySelectorAll("[data-until]")) {
      const seconds = Math.floor((new Date(place.dataset.until) - Date.now()) / 1000);
      const text = seconds > 0 ? left(seconds) : place.dataset.over;
      if (place.textContent !== text) place.textContent = text;
    }
  }
  setInterval(tick, 1000);

  // A page that follows the service: the server sends it again, and each part that has changed is replaced.
  const link = document.getElementById("live-link");
  for (const place of document.querySelectorAll("[data-live]")) {
    const source = new EventSource(place.dataset.live);
    const say = (text) => {
      if (link.textContent !== text) link.textContent = text;
    };
    source.addEventListener("open", () => say(place.dataset.following));
    source.addEventListener("error", () =>
      say(source.readyState === EventSource.CLOSED ? link.dataset.ended : link.dataset.lost));
    source.addEventListener("ended", () => {
      source.close();
      say(link.dataset.ended);
    });
    source.addEventListener("figures", (event) => {
      const sent = new DOMParser().parseFromString(event.data, "text/html");
      for (const part of [...sent.body.children]) {
        const shown = document.getElementById(part.id);
        if (shown && !shown.isEqualNode(part) && !shown.contains(document.activeElement)) shown.replaceWith(part);
      }
    });
  }

  // Names are completed while somebody writes: the arrow keys choose one, Enter takes it, Escape leaves.
  const most = 8;
  for (const area of document.querySelectorAll("textarea[data-completions]")) {
    const list = document.createElement("ul");
    list.className = "completions";
    list.id = `${area.id}-completions`;
    list.setAttribute("role", "listbox");
    list.setAttribute("aria-label", area.dataset.completionsName);
    list.hidden = true;
    area.after(list);
    area.setAttribute("aria-controls", list.id);

    const names = () =>
      [...document.querySelectorAll(`#${area.dataset.completions} code`)].map((code) => code.textContent);
    const begun = () => /[a-z][a-z0-9_.]+$/.exec(area.value.slice(0, area.selectionStart))?.[0] ?? "";
    const chosen = () => list.querySelector('[aria-selected="true"]');

    function close() {
      list.hidden = true;
      list.replaceChildren();
      area.removeAttribute("aria-activedescendant");
    }
    function choose(item) {
      chosen()?.setAttribute("aria-selected", "false");
      item.setAttribute("aria-selected", "true");
      area.setAttribute("aria-activedescendant", item.id);
    }
    function take(name) {
      area.setRangeText(name, area.selectionStart - begun().length, area.selectionStart, "end");
      close();
      area.dispatchEvent(new Event("input", { bubbles: true }));
      area.focus();
    }
    function offer() {
      const start = begun();
      const fitting = start.length < 3 ? [] : names().filter((name) => name.startsWith(start) && name !== start);
      close();
      for (const [place, name] of fitting.slice(0, most).entries()) {
        const item = document.createElement("li");
        item.id = `${list.id}-${place}`;
        item.setAttribute("role", "option");
        item.setAttribute("aria-selected", "false");
        item.textContent = name;
        item.addEventListener("mousedown", (event) => {
          event.preventDefault();
          take(name);
        });
        list.append(item);
      }
      list.hidden = !list.children.length;
    }
    area.addEventListener("input", offer);
    area.addEventListener("blur", close);
    area.addEventListener("keydown", (event) => {
      if (list.hidden) return;
      const now = chosen();
      if (event.key === "Escape") close();
      else if (event.key === "ArrowDown") choose(now?.nextElementSibling ?? list.firstElementChild);
      else if (event.key === "ArrowUp") choose(now?.previousElementSibling ?? list.lastElementChild);
      else if (event.key === "Enter" && now) take(now.textContent);
      else return;
      event.preventDefault();
    });
  }
})();
