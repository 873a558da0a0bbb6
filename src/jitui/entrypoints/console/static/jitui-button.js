// A button that opens the refund page of one order, for a shop's own pages. No style, no dependency, no cookie:
// <script src="…/shop/jitui-button.js" defer data-order="…" data-link="…"></script>
(() => {
  "use strict";
  const script = document.currentScript;
  if (!script) return;
  const { order = "", link = "", text = "" } = script.dataset;
  const home = new URL(script.src).origin;
  let address;
  try {
    address = new URL(link || `/shop?order=${encodeURIComponent(order)}`, home);
  } catch {
    return;
  }
  if (address.origin !== home || !address.pathname.startsWith("/shop")) return; // a link of somebody else's

  const button = document.createElement("a");
  button.className = "jitui-button";
  button.href = address.href;
  button.rel = "noreferrer";
  const chinese = (document.documentElement.lang || navigator.language).toLowerCase().startsWith("zh");
  button.textContent = text || (chinese ? "申请退款" : "Ask for a refund");
  if (order) button.setAttribute("aria-label", `${button.textContent}: ${order}`);
  script.insertAdjacentElement("afterend", button);
})();
