// Before the first paint: the system's theme, where the reader has chosen none. Everything else needs no script.
(() => {
  const page = document.documentElement;
  if (page.dataset.themeChoice !== "system") return;
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const follow = () => page.setAttribute("data-bs-theme", dark.matches ? "dark" : "light");
  follow();
  dark.addEventListener("change", follow);
})();
