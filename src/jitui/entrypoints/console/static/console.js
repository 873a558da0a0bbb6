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
})();
