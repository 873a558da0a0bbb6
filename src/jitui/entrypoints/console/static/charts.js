// Draws the charts of a back-test. Drawn on a canvas with tips in it, because the page allows no inline style.
(() => {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const chosen = document.documentElement.dataset.themeChoice;
  let drawn = [];
  const draw = () => {
    drawn.forEach((chart) => chart.dispose());
    drawn = [];
    const theme = chosen === "dark" || (chosen === "system" && dark.matches) ? "dark" : null;
    for (const figure of document.querySelectorAll("figure.chart")) {
      figure.hidden = false;
      const option = JSON.parse(figure.dataset.option);
      const place = figure.querySelector("div");
      const chart = echarts.init(place, theme, { renderer: "canvas", height: Number(figure.dataset.height) });
      option.tooltip = { ...option.tooltip, renderMode: "richText" };
      chart.setOption({ backgroundColor: "transparent", animation: false, ...option });
      drawn.push(chart);
    }
  };
  let width = innerWidth;
  addEventListener("resize", () => {
    if (width === innerWidth) return;
    width = innerWidth;
    draw();
  });
  dark.addEventListener("change", draw);
  draw();
})();
